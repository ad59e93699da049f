//! Handing over from one version's programs to another's: each call is counted once,
//! wherever in it the word changes.

use observer_ebpf::decide::turn::{self, AFTER, BEFORE};
use proptest::prelude::*;

/// What a hook of one thread does: both programs at each call, in their order.
struct Thread {
    newer_first: bool,
    note: u64,
}

impl Thread {
    /// One program's part in a call; whether it counts.
    fn program(&mut self, word: u32, turn: u32) -> bool {
        if word == turn {
            return true;
        }
        if !turn::is_handing(word) {
            return false;
        }
        let pass = turn::pass(word, turn, self.newer_first, 0x7_0000_04d2, self.note);
        self.note = pass.note;
        !pass.idle
    }

    /// A call, within which the word changes or not; how often it is counted.
    fn call(&mut self, older: u32, (word, then): (u32, u32), skipped: Skipped) -> u32 {
        let (first, second) = if self.newer_first {
            (older + 1, older)
        } else {
            (older, older + 1)
        };
        let one = skipped != Skipped::First && self.program(word, first);
        let other = skipped != Skipped::Second && self.program(then, second);
        u32::from(one) + u32::from(other)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Skipped {
    None,
    First,
    Second,
}

/// The words of a turn that is handed over, and of one that is given back.
fn words(older: u32, back: bool) -> Vec<u32> {
    let (before, after) = (older | BEFORE, (older + 1) | AFTER);
    if back {
        vec![older, before, after, before, older]
    } else {
        vec![older, before, after, older + 1]
    }
}

proptest! {
    #[test]
    fn each_call_is_counted_once_wherever_the_word_changes(
        older in 0_u32..70_000,
        newer_first in any::<bool>(),
        back in any::<bool>(),
        // Calls between two changes, and whether the change comes amid one.
        steps in prop::collection::vec((0_usize..4, any::<bool>()), 4),
        stale in any::<u64>(),
        takeovers in 1_u32..4,
    ) {
        let mut thread = Thread { newer_first, note: stale };
        for older in older..older + takeovers {
            let words = words(older, back);
            for (pair, (calls, amid)) in words.windows(2).zip(&steps) {
                for _ in 0..*calls {
                    let counted = thread.call(older, (pair[0], pair[0]), Skipped::None);
                    prop_assert_eq!(counted, 1);
                }
                if *amid {
                    let counted = thread.call(older, (pair[0], pair[1]), Skipped::None);
                    prop_assert_eq!(counted, 1, "amid {:x?}", pair);
                }
            }
            let last = *words.last().unwrap();
            prop_assert_eq!(thread.call(older, (last, last), Skipped::None), 1);
        }
    }

    #[test]
    fn what_the_kernel_skips_is_counted_once_at_most(
        older in 0_u32..70_000,
        newer_first in any::<bool>(),
        calls in prop::collection::vec(
            prop_oneof![Just(Skipped::None), Just(Skipped::First), Just(Skipped::Second)], 0..20),
    ) {
        let mut thread = Thread { newer_first, note: 0 };
        for word in [older | BEFORE, (older + 1) | AFTER] {
            for skipped in &calls {
                prop_assert!(thread.call(older, (word, word), *skipped) <= 1);
            }
        }
    }
}
