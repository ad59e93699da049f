//! What a process was refused beside a capability at the same moment: a call that
//! failed for certain is the likelier cause of what went wrong than a check.

use std::collections::HashMap;

use crate::{
    finding::{Denial, Other, Sort},
    time::Stamp,
};

/// Processes that are remembered.
const MAX_KEPT: usize = 4_096;
/// A moment.
const NEAR_NS: u64 = 1_000_000_000;

/// The last refusal of each process that made a call fail.
#[derive(Default)]
pub struct Beside {
    by_pid: HashMap<u32, (Stamp, String)>,
}

impl Beside {
    /// Notes a refusal, and of which object.
    pub fn note(&mut self, other: &Other, object: Option<String>) {
        let failed = matches!(other.verdict.as_deref(), Some("denied" | "killed"));
        let (true, Some(pid), Some(operation)) = (failed, other.pid, &other.operation) else {
            return;
        };
        let has_room = self.by_pid.len() < MAX_KEPT || self.by_pid.contains_key(&pid);
        if !other.last.is_known() || !has_room {
            return;
        }
        let what = match (other.kind, object) {
            (Sort::Seccomp, _) => format!("the system call {operation:?} (by seccomp)"),
            (_, Some(object)) => format!("{operation:?} of {object:?}"),
            (_, None) => format!("{operation:?}"),
        };
        // The first one of a moment: what follows is mostly its consequence.
        let known = self.by_pid.get(&pid);
        if known.is_none_or(|(time, _)| other.last.since(*time) > NEAR_NS) {
            self.by_pid.insert(pid, (other.last, what));
        }
    }

    /// Says so where a denial has such a neighbour.
    pub fn explain(&self, denials: &mut [Denial]) {
        for denial in denials {
            let Some((time, what)) = denial.pid.and_then(|pid| self.by_pid.get(&pid)) else {
                continue;
            };
            let early = denial.first.since(*time) > NEAR_NS;
            let late = time.since(denial.last) > NEAR_NS;
            if denial.last.is_known() && !early && !late {
                denial.explanation = format!(
                    "{} The same process was refused {what} at that moment: that call failed, \
                     and is the likely cause of the failure.",
                    denial.explanation
                );
            }
        }
    }
}
