//! Episodes in which a drop that was wanted was never tried.

use observer_ebpf::decide::{Ran, ran};

use super::{names, wanted};
use crate::{
    config::{Rules, Supervisor},
    correlate::{chain::chain, explain, name},
    finding::{Episode, Fate, Launched, Link, Namespace, Verdict},
    observation::WorkloadSeen,
    words::Reason,
};

/// Whether what a process became is what its rule or its configuration speaks of.
///
/// A rule that empties means what the supervisor launches, but not its own
/// helpers. A container's configuration means the first process of the
/// container, which is the first one of its pid namespace: one that is executed
/// in it later may rightly have more.
pub fn applies(seen: &WorkloadSeen, rule: Option<&Supervisor>) -> bool {
    let Some(rule) = rule else {
        return false;
    };
    let event = &seen.event;
    // A namespace that was made for it grants nothing outside of it.
    let bounding = event.bounding.0;
    let filled = ran(bounding, event.above, bounding, event.namespace) == Ran::Refilled;
    if rule.empties {
        let is_helper = |exe: &String| rule.helpers.contains(exe);
        return !filled && !event.exe.as_ref().is_some_and(is_helper);
    }
    event.inner_pid == 1
}

/// The finding of a workload that starts with more than it should have, and
/// whose process never tried to drop.
pub fn skipped(seen: &WorkloadSeen, rules: &Rules) -> Option<Episode> {
    let event = &seen.event;
    let rule = rules.get(event.owner.rule);
    let wanted = wanted(rule, seen.container.as_deref()).filter(|_| applies(seen, rule))?;
    let residual = event.bounding.difference(wanted);
    if residual.is_empty() {
        return None;
    }
    let set = event.bounding.to_string();
    let mut episode = Episode {
        id: format!("{:x}-{}", event.time, event.tgid),
        scope: seen.scope,
        verdict: Verdict::Degraded,
        retried: false,
        skipped: true,
        refilled: false,
        supervisor: name(rules, event.owner.rule),
        inferred: false,
        while_away: false,
        // It was the supervisor's process that did not drop.
        role: Some("supervisor".to_owned()),
        version: seen.version.clone(),
        exe_uid: seen.exe_uid,
        container: seen.container.clone(),
        pid: event.tgid,
        ppid: event.ppid,
        comm: event.comm.clone(),
        exe: None,
        layer: None,
        profile: None,
        drops: 0,
        refused_raised: 0,
        refused_lowered: 0,
        unknown_capability: 0,
        bounding_before: set.clone(),
        bounding_after: set,
        bounding_namespace: Some(event.namespace).filter(|inode| *inode != 0),
        residual: names(residual),
        dropping_thread: None,
        workload: Some(Launched {
            pid: event.tgid,
            exe: event.exe.clone(),
            count: 1,
        }),
        effective: event.effective.to_string(),
        user_namespace: Namespace {
            inode: event.namespace,
            level: event.level,
        },
        fate: Fate::Exec,
        exit: None,
        chain: chain(
            &event.ancestors,
            &event.owner,
            event.tgid,
            event.comm.clone(),
        ),
        first_refused: None,
        not_the_cause: Vec::new(),
        duration_seconds: 0.0,
        explanation: String::new(),
    };
    let refusal = explain::Refusal {
        reason: Reason::None,
        rule,
        uid: None,
        launcher: launcher(&event.ancestors),
        is_program: false,
        release: rules.release(),
        failed_exec: None,
    };
    episode.explanation = explain::episode(&episode, &refusal);
    Some(episode)
}

/// The nearest launcher above a process.
pub(super) fn launcher(above: &[Link]) -> Option<&'static str> {
    explain::launcher(above.iter().map(|ancestor| ancestor.comm.as_str()))
}
