//! From an episode as the kernel reports it to a finding with its verdict.

mod skipped;

use skipped::launcher;
pub use skipped::{applies, skipped};

use super::{chain::chain, explain, name, refusal::FailedExecs, role};
use crate::{
    caps::{self, CapSet},
    config::{Rules, Supervisor},
    finding::{Container, Episode, Exit, Fate, Launched, Namespace, Verdict},
    observation::{Episode as RawEpisode, EpisodeEnd, EpisodeSeen, WorkloadSeen},
    time::{Stamp, seconds},
    words::Layer,
};

/// Alive for so long after its last refused drop, a process has carried on.
pub const CARRIED_ON_NS: u64 = 10_000_000_000;
/// Ended in good order so long after it, it had carried on too.
const SERVED_NS: u64 = 1_000_000_000;

/// What a verdict follows from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Course {
    /// What was refused while it was raised.
    pub refused: CapSet,
    /// What of all that was tried is in the set of the first program that was
    /// executed with any of it.
    pub launched: Option<CapSet>,
    /// Whether a program was executed with none of it, or in its own namespace.
    pub clean: bool,
    /// What of it is in the set of the process itself.
    pub left: CapSet,
    /// Drops refused on capabilities that were not in the set.
    pub refused_lowered: u32,
    /// How it goes on.
    pub now: Now,
}

/// How a process, and what was forked from it, goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Now {
    /// Some of it runs, and has tolerated no refusal for long.
    #[default]
    Running,
    /// It has tolerated a refusal, or had before it ended.
    CarriedOn,
    /// All of it has executed or ended.
    Over,
}

/// The verdict: by the set that a program was executed with, and only where
/// there was none by what became of the process.
pub fn verdict(course: &Course) -> (Verdict, Fate) {
    let Course {
        refused,
        launched,
        clean,
        left,
        refused_lowered,
        now,
    } = *course;
    if launched.is_some() {
        return (Verdict::Degraded, Fate::Exec);
    }
    let fate = match now {
        Now::Running => Fate::Running,
        Now::Over | Now::CarriedOn if clean => Fate::Exec,
        Now::Over | Now::CarriedOn => Fate::Exit,
    };
    if refused.is_empty() {
        let verdict = if refused_lowered > 0 {
            Verdict::Harmless
        } else {
            Verdict::Ok
        };
        return (verdict, fate);
    }
    if left.is_empty() || (clean && now == Now::Over) {
        return (Verdict::Ok, fate);
    }
    match now {
        Now::Running => (Verdict::Pending, Fate::Running),
        Now::CarriedOn => (Verdict::Degraded, Fate::CarriedOn),
        Now::Over => (Verdict::Fatal, Fate::Exit),
    }
}

/// How an episode goes on, `until` then.
fn now(raw: &RawEpisode, first: Stamp, until: Stamp, end: Option<&EpisodeEnd>) -> Now {
    let since = until.since(first);
    // The kernel's clock, on which both lie.
    let after = raw.first.saturating_add(since);
    let tolerated = after.saturating_sub(raw.last_refused);
    let refused = raw.last_refused != 0;
    match end {
        None if refused && tolerated >= CARRIED_ON_NS => Now::CarriedOn,
        None => Now::Running,
        Some(end) if end.open => Now::Running,
        Some(end) if end.is_exec() => Now::Over,
        Some(_) if refused && tolerated >= CARRIED_ON_NS => Now::CarriedOn,
        Some(end) if refused && tolerated > SERVED_NS && in_good_order(end.status) => {
            Now::CarriedOn
        }
        Some(_) => Now::Over,
    }
}

/// Whether a process ended as one that is stopped does: with code 0, or by
/// SIGTERM, SIGINT or SIGHUP.
fn in_good_order(status: u32) -> bool {
    match exit(status) {
        Exit { code, signal: None } => code == Some(0),
        Exit { signal, .. } => [libc::SIGTERM, libc::SIGINT, libc::SIGHUP]
            .map(Some)
            .contains(&signal),
    }
}

/// The bounding set that the first program of a supervisor should start with;
/// none where nothing says so.
pub fn wanted(rule: Option<&Supervisor>, container: Option<&Container>) -> Option<CapSet> {
    let rule = rule?;
    if rule.empties {
        return Some(CapSet::EMPTY);
    }
    let requested = container?.requested.as_ref().filter(|_| rule.runtime)?;
    requested.bounding.parse().ok()
}

/// What an episode came to.
struct Judged {
    verdict: Verdict,
    fate: Fate,
    /// The set that the verdict speaks of: a program's, else the process's own.
    set: CapSet,
    /// What of it should be gone.
    residual: CapSet,
    /// Whether a drop was never tried.
    skipped: bool,
    /// The program that runs with it.
    launched: Option<Launched>,
    /// The user namespace that the set is of.
    namespace: u32,
}

/// Judges an episode. `workload` is what the process became by the exec that
/// closed it, where it is known which set it should have.
fn judge(seen: &EpisodeSeen, workload: Option<&WorkloadSeen>, rule: Option<&Supervisor>) -> Judged {
    let EpisodeSeen {
        first,
        until,
        episode: raw,
        end,
        container,
        ..
    } = seen;
    let refused = raw.refused;
    let tried = CapSet(refused.0 | raw.granted.0);
    let executed = end.as_ref().filter(|end| end.is_exec());
    let launched = (raw.raised > 0).then_some(raw.workload.bounding);
    let set = match (launched, executed) {
        (Some(set), _) => set,
        (None, Some(end)) => end.after,
        (None, None) => raw.after,
    };
    let course = Course {
        refused,
        launched: launched.map(|set| tried.intersection(set)),
        clean: raw.clean > 0 || executed.is_some(),
        left: refused.intersection(raw.after),
        refused_lowered: raw.refused_lowered,
        now: now(raw, *first, *until, end.as_ref()),
    };
    let (mut verdict, mut fate) = verdict(&course);
    // Nothing of what was tried is left, but more than should be.
    let seen_in = workload.filter(|seen| launched.is_none() && applies(seen, rule));
    let asked = seen_in.and_then(|seen| {
        let container = seen.container.as_deref().or(container.as_deref());
        Some((seen, wanted(rule, container)?))
    });
    let short = asked.filter(|(seen, wanted)| !seen.event.bounding.difference(*wanted).is_empty());
    if short.is_some() {
        (verdict, fate) = (Verdict::Degraded, Fate::Exec);
    }
    let empties = rule.is_some_and(|rule| rule.empties);
    let residual = match wanted(rule, container.as_deref()) {
        _ if verdict < Verdict::Pending => CapSet::EMPTY,
        Some(wanted) if fate == Fate::Exec || empties => set.difference(wanted),
        _ if launched.is_some() => tried.intersection(set),
        _ => refused.intersection(set),
    };
    let program = (fate == Fate::Exec && verdict == Verdict::Degraded).then(|| {
        let own = (raw.workload.tgid, &raw.workload.exe);
        let (pid, exe) = short.map_or(own, |(seen, _)| (seen.event.tgid, &seen.event.exe));
        Launched {
            pid,
            exe: exe.clone(),
            count: raw.raised.max(1),
        }
    });
    Judged {
        verdict,
        fate,
        set,
        residual,
        skipped: short.is_some(),
        namespace: match end {
            Some(end) if launched.is_none() => end.namespace,
            _ => raw.namespace,
        },
        launched: program,
    }
}

/// The finding of an episode. `workload` is what the process became by the exec
/// that closed it, where it is known which set it should have; `execs` are those that
/// a rule refused.
pub fn finding(
    seen: &EpisodeSeen,
    workload: Option<&WorkloadSeen>,
    rules: &Rules,
    execs: &FailedExecs,
) -> Episode {
    let rule = rules.get(seen.episode.owner.rule);
    let judged = judge(seen, workload, rule);
    let EpisodeSeen {
        first,
        until,
        episode: raw,
        end,
        profile,
        container,
        version,
        exe_uid,
        scope,
    } = seen;
    let ended = end
        .as_ref()
        .filter(|end| !end.open && matches!(judged.fate, Fate::Exit | Fate::CarriedOn));
    let by_another = raw.raised > 0 && raw.workload.tgid == raw.tgid && raw.workload.tid != raw.tid;
    let mut episode = Episode {
        id: format!("{:x}-{}", raw.first, raw.tgid),
        scope: *scope,
        verdict: judged.verdict,
        retried: judged.verdict == Verdict::Ok && raw.refused_raised > 0,
        skipped: judged.skipped,
        refilled: raw.refilled > 0,
        supervisor: name(rules, raw.owner.rule),
        inferred: false,
        while_away: false,
        role: role(raw.owner.role),
        version: version.clone(),
        exe_uid: *exe_uid,
        container: container.clone(),
        pid: raw.tgid,
        ppid: raw.ppid,
        comm: raw.comm.clone(),
        exe: raw.exe.clone(),
        layer: (raw.layer != Layer::None).then(|| raw.layer.as_str().to_owned()),
        profile: profile.clone(),
        drops: raw.drops,
        refused_raised: raw.refused_raised,
        refused_lowered: raw.refused_lowered,
        unknown_capability: raw.unknown,
        bounding_before: raw.before.to_string(),
        bounding_after: judged.set.to_string(),
        bounding_namespace: Some(judged.namespace).filter(|inode| *inode != 0),
        residual: names(judged.residual),
        workload: judged.launched,
        dropping_thread: by_another.then_some(raw.tid),
        effective: raw.effective.to_string(),
        user_namespace: Namespace {
            inode: raw.namespace,
            level: raw.level,
        },
        fate: judged.fate,
        // Its own end shows more than that of the last one forked from it.
        exit: ended.map(|end| {
            exit(if raw.ended == 0 {
                end.status
            } else {
                raw.status
            })
        }),
        chain: chain(&raw.ancestors, &raw.owner, raw.tgid, raw.comm.clone()),
        first_refused: raw.first_refused.map(|n| caps::name(n).into_owned()),
        not_the_cause: Vec::new(),
        duration_seconds: seconds(until.since(*first)),
        explanation: String::new(),
    };
    let refusal = explain::Refusal {
        reason: raw.reason,
        rule,
        uid: (raw.level == 0).then_some(raw.uid),
        launcher: launcher(&raw.ancestors),
        is_program: rule
            .zip(raw.exe.as_deref())
            .is_some_and(|(rule, exe)| rule.is_program(exe)),
        release: rules.release(),
        failed_exec: execs.of(&episode, *first),
    };
    episode.explanation = explain::episode(&episode, &refusal);
    episode
}

fn names(set: CapSet) -> Vec<String> {
    set.names().map(std::borrow::Cow::into_owned).collect()
}

/// The status of wait(2): the low seven bits are the signal.
fn exit(status: u32) -> Exit {
    let signal = i32::from(status.to_le_bytes()[0] & 0x7f);
    let [_, code, ..] = status.to_le_bytes();
    if signal == 0 {
        Exit {
            code: Some(i32::from(code)),
            signal: None,
        }
    } else {
        Exit {
            code: None,
            signal: Some(signal),
        }
    }
}

#[cfg(test)]
mod tests;
