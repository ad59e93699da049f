//! The rules by which the kernel refuses without a check, held against the kernel at hand.

use std::thread;

use observer_ebpf::{
    Broken,
    decide::rules::{self, Sets},
};
use proptest::{prelude::*, test_runner::TestRunner};
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, capabilities,
    capability_is_in_bounding_set, configure_capability_in_ambient_set,
    remove_capability_from_bounding_set, set_capabilities, set_capabilities_secure_bits,
};

/// Capabilities that cases are made of: few, so sets meet. `SETPCAP` is among them.
const USED: u64 = 0b1_0000_1101;
const SETPCAP: u64 = 1 << 8;

/// What one thread is made to be, and what it then asks for.
#[derive(Clone, Copy, Debug)]
struct Case {
    bounding_less: u64,
    before: CapabilitySets,
    asked: CapabilitySets,
    ambient: u64,
    securebits: (u32, u32),
}

fn set() -> impl Strategy<Value = CapabilitySet> {
    prop_oneof![1 => Just(USED), 1 => Just(0), 3 => any::<u64>()]
        .prop_map(|set| CapabilitySet::from_bits_retain(set & USED))
}

fn sets() -> impl Strategy<Value = CapabilitySets> {
    (set(), set(), set()).prop_map(|(permitted, effective, inheritable)| CapabilitySets {
        permitted,
        effective,
        inheritable,
    })
}

fn case() -> impl Strategy<Value = Case> {
    let capability = prop_oneof![Just(0u32), Just(2), Just(3), Just(8), Just(63)];
    (
        set(),
        sets(),
        sets(),
        capability,
        (0u32..256, 0u32..256),
        any::<bool>(),
    )
        .prop_map(
            |(less, before, asked, ambient, (first, second), all)| Case {
                bounding_less: less.bits(),
                before: CapabilitySets {
                    // What every thread may have: the rest of the case is about it.
                    effective: before.effective & before.permitted,
                    permitted: before.permitted,
                    inheritable: if all {
                        before.permitted
                    } else {
                        before.inheritable
                    },
                },
                asked,
                ambient: 1 << ambient,
                securebits: (first & second, second),
            },
        )
}

/// The sets of this thread, of the capabilities used.
fn own() -> Sets {
    let CapabilitySets {
        effective,
        permitted,
        inheritable,
    } = capabilities(None).unwrap();
    let bounding = (0..64)
        .map(|bit| 1_u64 << bit)
        .filter(|bit| USED & bit != 0)
        .filter(|bit| capability_is_in_bounding_set(CapabilitySet::from_bits_retain(*bit)).unwrap())
        .sum();
    Sets {
        permitted: permitted.bits(),
        inheritable: inheritable.bits(),
        effective: effective.bits(),
        bounding,
    }
}

/// Whether the kernel refuses, and by which rule it should.
type Answer = (bool, Broken);

fn capset(to: CapabilitySets) -> Answer {
    let asked = Sets {
        permitted: to.permitted.bits(),
        inheritable: to.inheritable.bits(),
        effective: to.effective.bits(),
        bounding: 0,
    };
    let rule = rules::capset(own(), asked).rule;
    (set_capabilities(None, to).is_err(), rule)
}

fn securebits(old: u32, to: u32) -> Option<Answer> {
    // Without it the call is refused by a check.
    if own().effective & SETPCAP == 0 {
        return None;
    }
    let bits = CapabilitiesSecureBits::from_bits_retain(to);
    let rule = rules::securebits(old, u64::from(to)).rule;
    Some((set_capabilities_secure_bits(bits).is_err(), rule))
}

/// Plays a case on its own thread, whose credential ends with it.
fn play(case: Case) -> Vec<(&'static str, Answer)> {
    let Case {
        bounding_less,
        before,
        asked,
        ambient,
        securebits: (first, second),
    } = case;
    let mut answers = Vec::new();
    for bit in (0..64)
        .map(|bit| 1 << bit)
        .filter(|bit| bounding_less & bit != 0)
    {
        remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(bit)).unwrap();
    }
    let mut bits = 0;
    for to in [first, second] {
        if let Some(answer) = securebits(bits, to) {
            answers.push(("securebits", answer));
            bits = if answer.0 { bits } else { to };
        }
    }
    answers.push(("capset", capset(before)));
    answers.push(("capset", capset(asked)));
    let number = u64::from(ambient.trailing_zeros());
    let rule = rules::ambient(own(), bits, number, 40).rule;
    if number <= 40 {
        let raise = CapabilitySet::from_bits_retain(ambient);
        let refused = configure_capability_in_ambient_set(raise, true).is_err();
        answers.push(("ambient", (refused, rule)));
    }
    answers
}

#[test]
fn the_kernel_refuses_what_a_rule_refuses_and_nothing_else() {
    if crate::stage("the_kernel_refuses_what_a_rule_refuses_and_nothing_else").is_none() {
        return;
    }
    let config = ProptestConfig {
        cases: 3_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let met = std::cell::RefCell::new(std::collections::BTreeSet::new());
    let result = TestRunner::new(config).run(&case(), |case| {
        let answers = thread::spawn(move || play(case)).join().unwrap();
        for (call, (refused, rule)) in answers {
            prop_assert_eq!(refused, rule != Broken::None, "{} by {:?}", call, rule);
            met.borrow_mut().insert((call, rule.as_str()));
        }
        Ok(())
    });
    result.unwrap();
    // Each rule was broken at least once, and each call granted.
    let met = met.into_inner();
    assert_eq!(met.len(), 11, "{met:?}");
}
