//! The rules for id maps, groups and user namespaces against the kernel's text
//! (`kernel/user_namespace.c`, 6.12).

use observer_ebpf::{
    Broken, Call,
    decide::ids::{self, IdMap, MAP_TEXT, Opener},
};
use proptest::prelude::*;

/// What may be in a map's text.
fn text() -> impl Strategy<Value = String> {
    let number = || prop_oneof![Just("0".to_owned()), Just("00".to_owned()), "[0-9]{1,10}"];
    let space = || prop_oneof![Just(" "), Just("\t"), Just("   ")];
    let line = (number(), space(), number(), space(), number()).prop_map(
        |(inside, one, outside, other, count)| format!("{inside}{one}{outside}{other}{count}"),
    );
    let end = prop_oneof![Just(""), Just("\n"), Just("\n1 0 1\n")];
    let start = prop_oneof![Just(""), Just(" "), Just("\t")];
    (start, line, end).prop_map(|(start, line, end)| format!("{start}{line}{end}"))
}

/// Whether the first line maps the parent's id 0, as a person reads it.
fn reads_root(text: &str) -> bool {
    let outside = text.split_ascii_whitespace().nth(1);
    outside.is_some_and(|word| word.bytes().all(|byte| byte == b'0'))
}

fn map() -> impl Strategy<Value = IdMap> {
    let opener = prop_oneof![
        3 => Just(Opener::Inside),
        2 => Just(Opener::Parent),
        1 => Just(Opener::Other)
    ];
    let bools = || prop::bool::weighted(0.7);
    let flags = (bools(), bools(), bools(), bools(), bools());
    (opener, any::<bool>(), any::<bool>(), flags).prop_map(
        |(opener, is_initial, is_written, (administer, root, could, setfcap, may_map))| IdMap {
            is_initial,
            opener,
            is_written,
            may_administer: administer,
            has_root: root,
            could_setfcap: could,
            may_setfcap: setfcap,
            may_map,
        },
    )
}

proptest! {
    #[test]
    fn id_0_of_the_parent_is_found(text in text(), cut in 0_usize..64) {
        let length = text.len().min(MAP_TEXT);
        let mut bytes = [b'7'; MAP_TEXT];
        bytes[..length].copy_from_slice(&text.as_bytes()[..length]);
        // What lies behind the text is not of it.
        let answer = ids::has_root(&bytes, u32::try_from(text.len()).unwrap());
        if text.len() <= MAP_TEXT {
            prop_assert_eq!(answer, reads_root(&text), "{:?}", text);
        }
        // Any other bytes are no text, and do no harm.
        let odd: Vec<u8> = text.bytes().rev().cycle().take(MAP_TEXT).collect();
        let _ = ids::has_root(odd.as_slice().try_into().unwrap(), u32::try_from(cut).unwrap());
    }

    /// In the order of `proc_uid_map_write`, `map_write` and `new_idmap_permitted`; what
    /// is left there for EPERM is a parent that lacks the ids.
    #[test]
    fn a_map_is_refused_by_the_first_rule(map in map(), of_users in any::<bool>()) {
        let call = if of_users { Call::UidMap } else { Call::GidMap };
        let mut expected = Vec::new();
        let mut step = |refuses: bool, rule| {
            if refuses {
                expected.push(rule);
            }
        };
        // `if (!ns->parent) return -EPERM;`
        step(map.is_initial, Broken::WrittenBefore);
        // `if ((seq_ns != ns) && (seq_ns != ns->parent)) return -EPERM;`
        step(map.opener == Opener::Other, Broken::OtherOpener);
        // `if (map->nr_extents != 0) goto out;`
        step(map.is_written, Broken::WrittenBefore);
        // `if (cap_valid(cap_setid) && !file_ns_capable(file, map_ns, CAP_SYS_ADMIN))`: a check.
        step(!map.may_administer, Broken::None);
        // `verify_root_map`
        let root = of_users && map.has_root;
        let inside = map.opener == Opener::Inside;
        step(root && inside && !map.could_setfcap, Broken::CreatorLacksSetfcap);
        step(root && !inside && !map.may_setfcap, Broken::None);
        step(!map.may_map, Broken::NotOwnId);
        step(true, Broken::Unmapped);
        prop_assert_eq!(ids::id_map(call, map), expected[0]);
    }
}

#[test]
fn groups_and_namespaces_are_refused_in_the_kernel_s_order() {
    assert_eq!(ids::setgroups(false, false), Broken::NoGidMap);
    assert_eq!(ids::setgroups(true, false), Broken::DeniedInNamespace);
    assert_eq!(ids::setgroups(true, true), Broken::None);
    let (eperm, enospc) = (1, 28);
    assert_eq!(ids::userns(enospc, 33, true, false), Broken::Depth);
    assert_eq!(ids::userns(enospc, 32, true, false), Broken::Limit);
    assert_eq!(ids::userns(eperm, 0, true, false), Broken::Chroot);
    assert_eq!(ids::userns(eperm, 1, false, false), Broken::Unmapped);
    // A security module's.
    assert_eq!(ids::userns(eperm, 0, false, true), Broken::None);
    assert_eq!(ids::userns(12, 0, true, false), Broken::None);
}
