//! The decisions of the kernel side against plain models of the kernel's rules.

use observer_ebpf::{
    Broken, Reason,
    decide::{
        Credentials, MAX_LEVELS, Outcome, classify, commoncap, mask,
        rules::{self, Executed, FileSets, Sets},
    },
};
use proptest::prelude::*;

/// User namespaces as a list: each knows the index of its parent.
struct Model {
    namespaces: Vec<Namespace>,
    own: usize,
    effective: u64,
    euid: u32,
}

#[derive(Clone, Copy, Debug)]
struct Namespace {
    parent: Option<usize>,
    level: u32,
    owner: u32,
}

impl Credentials for &Model {
    type Credential = ();
    type Namespace = Option<usize>;

    fn is_none(&self, namespace: Self::Namespace) -> bool {
        namespace.is_none()
    }
    fn namespace(&self, (): ()) -> Self::Namespace {
        Some(self.own)
    }
    fn effective(&self, (): ()) -> u64 {
        self.effective
    }
    fn euid(&self, (): ()) -> u32 {
        self.euid
    }
    fn level(&self, namespace: Self::Namespace) -> u32 {
        namespace.map_or(0, |index| self.namespaces[index].level)
    }
    fn parent(&self, namespace: Self::Namespace) -> Self::Namespace {
        namespace.and_then(|index| self.namespaces[index].parent)
    }
    fn owner(&self, namespace: Self::Namespace) -> u32 {
        namespace.map_or(0, |index| self.namespaces[index].owner)
    }
    fn inode(&self, _: Self::Namespace) -> u32 {
        0
    }
}

/// `cap_capable`, as the kernel's text has it (`security/commoncap.c`, 6.12):
/// whether it grants.
fn grants(model: &Model, target: usize, capability: u32) -> bool {
    let mut namespace = target;
    loop {
        if namespace == model.own {
            return model.effective & (1 << capability) != 0;
        }
        let here = model.namespaces[namespace];
        if here.level <= model.namespaces[model.own].level {
            return false;
        }
        let parent = here.parent.expect("what has a level above 0 has a parent");
        if parent == model.own && here.owner == model.euid {
            return true;
        }
        namespace = parent;
    }
}

/// A tree of namespaces, as deep as the kernel lets it be.
fn namespaces() -> impl Strategy<Value = Vec<Namespace>> {
    let deepen = prop_oneof![9 => Just(true), 1 => Just(false)];
    prop::collection::vec((deepen, any::<prop::sample::Index>(), 0u32..3), 0..60).prop_map(|made| {
        let mut all = vec![Namespace {
            parent: None,
            level: 0,
            owner: 0,
        }];
        for (deepen, index, owner) in made {
            let parent = if deepen {
                all.len() - 1
            } else {
                index.index(all.len())
            };
            // `create_user_ns`: a parent beyond level 32 has no children.
            if all[parent].level > 32 {
                continue;
            }
            all.push(Namespace {
                parent: Some(parent),
                level: all[parent].level + 1,
                owner,
            });
        }
        all
    })
}

/// Sets that a credential may have, or ask for: often alike, so rules are kept too.
fn sets() -> impl Strategy<Value = Sets> {
    let set =
        || prop_oneof![2 => Just(0), 2 => Just(u64::MAX >> 23), 1 => any::<u64>(), 3 => 0u64..1024];
    (set(), set(), set(), set()).prop_map(|(permitted, inheritable, effective, bounding)| Sets {
        permitted,
        inheritable,
        effective,
        bounding,
    })
}

proptest! {
    #[test]
    fn the_walk_gives_what_cap_capable_gives(
        namespaces in namespaces(),
        own in any::<prop::sample::Index>(),
        target in any::<prop::sample::Index>(),
        effective in prop_oneof![Just(0), Just(u64::MAX), any::<u64>()],
        euid in 0u32..3,
        capability in 0u32..41,
    ) {
        let model = Model {
            own: own.index(namespaces.len()),
            effective,
            euid,
            namespaces,
        };
        let target = target.index(model.namespaces.len());
        let reason = commoncap(&&model, (), Some(target), capability);
        prop_assert_eq!(reason == Reason::None, grants(&model, target, capability));
    }

    #[test]
    fn a_drop_is_what_the_kernel_made_of_it(
        argument in prop_oneof![0u64..70, Just(1 << 32), any::<u64>()],
        before in any::<u64>(),
        holds in any::<bool>(),
        last in 30u64..63,
    ) {
        // `cap_prctl_drop`: the privilege first, then the number.
        let before = before & ((2u64 << last) - 1);
        let known = argument <= last;
        let (result, after) = match (holds, known) {
            (false, _) => (-1, before),
            (true, false) => (-22, before),
            (true, true) => (0, before & !(1 << argument)),
        };
        let outcome = classify(argument, result, after, last);
        let number = u32::try_from(argument).unwrap_or_default();
        let raised = known && before >> argument & 1 == 1;
        let expected = match (known, holds, raised) {
            (false, ..) => Outcome::Unknown,
            (true, true, _) => Outcome::Granted(number),
            (true, false, true) => Outcome::RefusedRaised(number),
            (true, false, false) => Outcome::RefusedLowered,
        };
        prop_assert_eq!(outcome, expected);
    }

    #[test]
    fn capset_is_refused_by_the_first_rule_that_it_breaks(old in sets(), asked in sets()) {
        let refused = rules::capset(old, asked);
        // `cap_capset`, as the kernel's text has it, a capability at a time.
        let beyond = |set: u64, allowed: &dyn Fn(u64) -> bool| {
            (0..64).filter(|bit| set >> bit & 1 == 1 && !allowed(1 << bit)).map(|bit| 1_u64 << bit).sum::<u64>()
        };
        let setpcap = old.effective & 1 << 8 != 0;
        let in_order = [
            (
                Broken::InheritableBeyondPermitted,
                beyond(asked.inheritable, &|bit| setpcap || (old.inheritable | old.permitted) & bit != 0),
            ),
            (
                Broken::InheritableBeyondBounding,
                beyond(asked.inheritable, &|bit| (old.inheritable | old.bounding) & bit != 0),
            ),
            (Broken::PermittedBeyondPermitted, beyond(asked.permitted, &|bit| old.permitted & bit != 0)),
            (Broken::EffectiveBeyondPermitted, beyond(asked.effective, &|bit| asked.permitted & bit != 0)),
        ];
        let first = in_order.into_iter().find(|(_, missing)| *missing != 0);
        prop_assert_eq!((refused.rule, refused.missing), first.unwrap_or_default());
    }

    #[test]
    fn a_file_gives_all_that_is_effective_or_is_refused(
        file in sets(),
        effective in any::<bool>(),
        own in sets(),
    ) {
        let file = FileSets { permitted: file.permitted, inheritable: file.inheritable, effective };
        let refused = rules::exec(file, own);
        // `bprm_caps_from_vfs_caps`, a capability at a time.
        let (mut gained, mut lacking) = (0_u64, 0_u64);
        for bit in (0..64).map(|bit| 1_u64 << bit) {
            let by_bounding = file.permitted & bit != 0 && own.bounding & bit != 0;
            let by_inheritance = file.inheritable & bit != 0 && own.inheritable & bit != 0;
            if by_bounding || by_inheritance {
                gained |= bit;
            } else if file.permitted & bit != 0 {
                lacking |= bit;
            }
        }
        prop_assert_eq!(rules::gains(file, own), gained);
        let expected = if effective && lacking != 0 {
            (Broken::FileBeyondBounding, lacking)
        } else {
            (Broken::None, 0)
        };
        prop_assert_eq!((refused.rule, refused.missing), expected);
    }

    #[test]
    fn an_ambient_capability_is_permitted_inheritable_and_not_forbidden(
        own in sets(),
        securebits in 0u32..256,
        argument in prop_oneof![0u64..70, Just(1 << 32), any::<u64>()],
        last in 30u64..63,
    ) {
        let rule = rules::ambient(own, securebits, argument, last).rule;
        let has = |set: u64| argument <= last && set >> (argument & 63) & 1 == 1;
        if argument > last {
            prop_assert_eq!(rule, Broken::None);
            return Ok(());
        }
        prop_assert_eq!(rule == Broken::NotPermitted, !has(own.permitted));
        prop_assert_eq!(rule == Broken::NotInheritable, has(own.permitted) && !has(own.inheritable));
        let may = has(own.permitted) && has(own.inheritable);
        prop_assert_eq!(rule == Broken::Locked, may && securebits & 64 != 0);
    }

    #[test]
    fn what_an_exec_does_not_give_is_lost_by_the_first_reason(
        promised in any::<u64>(),
        permitted in any::<u64>(),
        is_set_id in any::<bool>(),
        is_nosuid in any::<bool>(),
        is_foreign in any::<bool>(),
        unsafes in 0u32..8,
    ) {
        let executed = Executed { promised, permitted, is_set_id, is_nosuid, is_foreign, unsafes };
        let lost = rules::lost(executed);
        let lacking = promised & !permitted;
        let reasons = [
            (is_nosuid, Broken::LostNosuid),
            (is_foreign, Broken::LostForeignMount),
            (unsafes & 4 != 0, Broken::LostNoNewPrivs),
            (unsafes & 2 != 0, Broken::LostTraced),
        ];
        let first = reasons.into_iter().find(|(holds, _)| *holds).map(|(_, rule)| rule);
        let expected = first.filter(|_| is_set_id || lacking != 0);
        prop_assert_eq!(lost.rule, expected.unwrap_or(Broken::None));
        prop_assert_eq!(lost.missing, if expected.is_some() { lacking } else { 0 });
    }

    #[test]
    fn a_locked_bit_keeps_its_value_and_its_lock(old in 0u32..256, asked in 0u64..256) {
        let bit = |of: u64, number: u32| of >> number & 1 == 1;
        let broken = [0, 2, 4, 6].into_iter().any(|value| {
            let lock = value + 1;
            let same = bit(u64::from(old), value) == bit(asked, value);
            bit(u64::from(old), lock) && !(same && bit(asked, lock))
        });
        let rule = rules::securebits(old, asked).rule;
        prop_assert_eq!(rule == Broken::Locked, broken);
    }

    #[test]
    fn a_mask_has_the_marked_capabilities(set in any::<u64>()) {
        let mut bytes = [0; 64];
        for (number, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from(set >> number & 1 == 1);
        }
        prop_assert_eq!(mask(&bytes), set);
    }
}

#[test]
fn the_deepest_namespace_is_reached() {
    let mut namespaces = vec![Namespace {
        parent: None,
        level: 0,
        owner: 0,
    }];
    for level in 1..=MAX_LEVELS {
        namespaces.push(Namespace {
            parent: Some(namespaces.len() - 1),
            level,
            owner: 7,
        });
    }
    let deepest = namespaces.len() - 1;
    let model = |own, effective| Model {
        namespaces: namespaces.clone(),
        own,
        effective,
        euid: 0,
    };
    for own in [0, 1, deepest - 1, deepest] {
        let granted = commoncap(&&model(own, 1), (), Some(deepest), 0);
        assert_eq!(granted, Reason::None, "from level {own}");
        let refused = commoncap(&&model(own, 0), (), Some(deepest), 0);
        assert_eq!(refused, Reason::NotEffective, "from level {own}");
    }
}

#[test]
fn memory_accounting_is_distinguished_from_what_asks_in_earnest() {
    use observer_ebpf::decide::{Abi, is_accounting};

    let numbers = |abi, of: &[i64]| of.iter().all(|number| is_accounting(abi, *number, 0));
    // mmap, brk, clone, execve, a page fault
    assert!(numbers(Abi::X64, &[9, 12, 56, 59, -1]));
    assert!(numbers(Abi::X86, &[192, 45, 120, 11, -1]));
    assert!(numbers(Abi::Arm64, &[222, 214, 220, 221, -1]));
    assert!(numbers(Abi::Arm, &[192, 45, 120, 11, -1]));
    // mount, umount2, unshare, setns, bpf, clone3
    let earnest = [
        (Abi::X64, [165, 166, 272, 308, 321, 435]),
        (Abi::X86, [21, 52, 310, 346, 357, 435]),
        (Abi::Arm64, [40, 39, 97, 268, 280, 435]),
        (Abi::Arm, [21, 52, 337, 375, 386, 435]),
    ];
    for (abi, numbers) in earnest {
        for number in numbers {
            assert!(!is_accounting(abi, number, 0), "{abi:?} {number}");
        }
    }
    let namespaces = [
        libc::CLONE_NEWNS,
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWNET,
        libc::CLONE_NEWCGROUP,
    ];
    for namespace in namespaces {
        let flags = u64::from((namespace | libc::SIGCHLD).cast_unsigned());
        assert!(!is_accounting(Abi::X64, 56, flags), "{namespace:#x}");
    }
    let thread = u64::from((libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD).cast_unsigned());
    assert!(is_accounting(Abi::X64, 56, thread));
}

#[test]
fn capset_is_known_by_its_number_in_each_table() {
    use observer_ebpf::decide::{Abi, is_capset};

    let capset = [
        (Abi::X64, libc::SYS_capset),
        (Abi::X86, 185),
        (Abi::Arm, 185),
        (Abi::Arm64, 91),
    ];
    for (abi, number) in capset {
        assert!(is_capset(abi, number), "{abi:?}");
        // capget, prctl, none
        for other in [number - 1, number + 1, -1] {
            assert!(!is_capset(abi, other), "{abi:?} {other}");
        }
    }
}
