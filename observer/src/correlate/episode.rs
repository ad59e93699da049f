//! From an episode as the kernel tells it to a finding with its verdict.

use observer_ebpf::{Episode as Told, EpisodeEnd, Fate as ToldFate, Layer, Reason};

use super::{chain::chain, explain, name, role};
use crate::{
    caps::{self, CapSet},
    config::Rules,
    finding::{Episode, Exit, Fate, Namespace, Verdict},
    observation::EpisodeSeen,
    sources::bpf::text,
    time::seconds,
};

/// The verdict, from the bits that were refused while raised, those of them
/// that are raised in the end, and what became of the process.
pub fn verdict(refused: CapSet, residual: CapSet, refused_lowered: u32, fate: Fate) -> Verdict {
    if refused.is_empty() {
        return if refused_lowered > 0 {
            Verdict::Harmless
        } else {
            Verdict::Ok
        };
    }
    if residual.is_empty() {
        return Verdict::Ok;
    }
    match fate {
        Fate::Exec => Verdict::Degraded,
        Fate::Exit => Verdict::Fatal,
        Fate::Running => Verdict::Pending,
    }
}

/// The finding of an episode.
pub fn finding(seen: &EpisodeSeen, rules: &Rules) -> Episode {
    let EpisodeSeen {
        first,
        until,
        episode: told,
        end,
        profile,
        container,
        version,
    } = seen;
    let fate = end.map_or(Fate::Running, |end| fate(&end));
    // At exec the set of the thread that execs counts; threads that ended
    // leave the word to the one that dropped last.
    let after = match (fate, end) {
        (Fate::Exec, Some(end)) => end.after,
        _ => told.after,
    };
    let refused = refused(told);
    let residual = refused.intersection(CapSet(after));
    let verdict = verdict(refused, residual, told.refused_lowered, fate);
    let layer = Layer::ALL
        .get(told.layer as usize)
        .copied()
        .unwrap_or_default();
    let exe = text(&told.exe);
    let mut episode = Episode {
        id: format!("{:x}-{}", told.first, told.tgid),
        verdict,
        retried: !refused.is_empty() && residual.is_empty(),
        supervisor: name(rules, told.owner.rule),
        inferred: false,
        role: role(told.owner.role),
        version: version.clone(),
        container: container.clone(),
        pid: told.tgid,
        ppid: told.ppid,
        comm: text(&told.comm),
        exe: (!exe.is_empty()).then_some(exe),
        layer: (layer != Layer::None).then(|| layer.as_str().to_owned()),
        profile: profile.clone(),
        drops: told.drops,
        refused_raised: told.refused_raised,
        refused_lowered: told.refused_lowered,
        unknown_capability: told.unknown,
        bounding_before: CapSet(told.before).to_string(),
        bounding_after: CapSet(after).to_string(),
        residual: residual.names().map(std::borrow::Cow::into_owned).collect(),
        effective: CapSet(told.effective).to_string(),
        user_namespace: Namespace {
            inode: told.namespace,
            level: told.level,
        },
        fate,
        exit: end
            .filter(|_| fate == Fate::Exit)
            .map(|end| exit(end.status)),
        chain: chain(&told.ancestors, &told.owner, told.tgid, &told.comm),
        first_refused: told
            .first_refused
            .checked_sub(1)
            .map(|n| caps::name(n).into_owned()),
        not_the_cause: Vec::new(),
        duration_seconds: seconds(until.since(*first)),
        explanation: String::new(),
    };
    let refusal = explain::Refusal {
        reason: Reason::ALL
            .get(told.reason as usize)
            .copied()
            .unwrap_or_default(),
        rule: rules.get(told.owner.rule),
    };
    episode.explanation = explain::episode(&episode, &refusal);
    episode
}

fn fate(end: &EpisodeEnd) -> Fate {
    if end.fate == ToldFate::Exec as u32 {
        Fate::Exec
    } else {
        Fate::Exit
    }
}

/// What wait(2) would tell: the low seven bits are the signal.
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

fn refused(told: &Told) -> CapSet {
    let mut set = CapSet::EMPTY;
    for (number, refused) in (0u32..).zip(told.refused) {
        if refused != 0 {
            set.insert(number);
        }
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHOWN: CapSet = CapSet(1);

    #[test]
    fn nothing_refused_is_ok_and_lowered_bits_are_harmless() {
        for fate in [Fate::Exec, Fate::Exit, Fate::Running] {
            assert_eq!(verdict(CapSet::EMPTY, CapSet::EMPTY, 0, fate), Verdict::Ok);
            assert_eq!(
                verdict(CapSet::EMPTY, CapSet::EMPTY, 42, fate),
                Verdict::Harmless
            );
        }
    }

    #[test]
    fn a_refused_bit_that_stays_raised_is_judged_by_the_fate() {
        assert_eq!(verdict(CHOWN, CHOWN, 0, Fate::Exit), Verdict::Fatal);
        assert_eq!(verdict(CHOWN, CHOWN, 0, Fate::Exec), Verdict::Degraded);
        assert_eq!(verdict(CHOWN, CHOWN, 0, Fate::Running), Verdict::Pending);
    }

    #[test]
    fn a_refused_bit_that_is_lowered_in_the_end_is_ok() {
        assert_eq!(verdict(CHOWN, CapSet::EMPTY, 3, Fate::Exec), Verdict::Ok);
    }

    #[test]
    fn a_wait_status_is_a_code_or_a_signal() {
        assert_eq!(
            exit(0x0100),
            Exit {
                code: Some(1),
                signal: None
            }
        );
        assert_eq!(
            exit(9),
            Exit {
                code: None,
                signal: Some(9)
            }
        );
        assert_eq!(
            exit(0x8b),
            Exit {
                code: None,
                signal: Some(11)
            }
        );
    }
}
