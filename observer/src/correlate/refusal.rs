//! Refusals by a rule: the finding, and the last exec of each process that one
//! refused, for the sentence of its episode.

use std::collections::VecDeque;

use super::{explain, name, role};
use crate::{
    config::Rules,
    finding::{Episode, RuleRefusal},
    observation::BreachSeen,
    time::Stamp,
    words::Call,
};

/// Refused execs that are remembered.
const MAX_KEPT: usize = 512;
/// Those of one user.
const MAX_OF_USER: usize = 64;

/// Execs that a rule refused, the last at the end.
#[derive(Default)]
pub struct FailedExecs {
    kept: VecDeque<RuleRefusal>,
}

impl FailedExecs {
    /// Remembers a refused exec.
    pub fn note(&mut self, refusal: &RuleRefusal) {
        if refusal.call != Call::Exec.as_str() || refusal.errno == 0 || refusal.pid.is_none() {
            return;
        }
        let of_user = |kept: &RuleRefusal| kept.uid == refusal.uid;
        if self.kept.iter().filter(|kept| of_user(kept)).count() >= MAX_OF_USER {
            let oldest = self.kept.iter().position(of_user);
            oldest.and_then(|oldest| self.kept.remove(oldest));
        } else if self.kept.len() == MAX_KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(refusal.clone());
    }

    /// The exec of an episode's process that was refused last, since its first drop.
    pub fn of(&self, episode: &Episode, first: Stamp) -> Option<&RuleRefusal> {
        let mut latest = self.kept.iter().rev();
        latest.find(|refusal| refusal.pid == Some(episode.pid) && refusal.last >= first)
    }
}

/// The finding.
pub fn finding(seen: &BreachSeen, rules: &Rules) -> RuleRefusal {
    let BreachSeen {
        time,
        event,
        container,
        version,
        count,
        scope,
    } = seen;
    let key = &event.key;
    let mut refusal = RuleRefusal {
        scope: *scope,
        call: key.call.as_str().to_owned(),
        rule: key.rule.as_str().to_owned(),
        missing: key
            .missing
            .names()
            .map(std::borrow::Cow::into_owned)
            .collect(),
        errno: key.errno,
        count: *count,
        while_away: false,
        supervisor: name(rules, key.owner.rule),
        role: role(key.owner.role),
        version: version.clone(),
        container: container.clone(),
        pid: event.caller.map(|(pid, _)| pid),
        uid: event.caller.map(|(_, uid)| uid),
        comm: key.comm.to_string(),
        exe: event.exe.clone(),
        path: event.path.clone(),
        first: *time,
        last: *time,
        explanation: String::new(),
    };
    refusal.explanation = explain::rule_refusal(&refusal);
    refusal
}
