//! A security module's denial near a drop that commoncap refused: the log
//! shows the one and not the other, so people take it for the cause.

use std::{cmp::Reverse, collections::VecDeque};

use super::{Finding, explain};
use crate::{
    finding::{Denial, Episode, Event, EventKind, Verdict},
    time::Stamp,
};

/// How far apart the two may be to be taken for one another.
pub const NEAR_NS: u64 = 1_000_000_000;
/// Of either, so many are remembered.
const MAX_KEPT: usize = 64;

struct Failed {
    episode: Episode,
    time: Stamp,
}

/// What happened lately.
#[derive(Default)]
pub struct Near {
    denials: VecDeque<(Denial, Stamp)>,
    failed: VecDeque<Failed>,
}

impl Near {
    /// Says of an episode that what is near it is not its cause.
    pub fn judge(&mut self, episode: &mut Episode, time: Stamp) {
        if episode.verdict < Verdict::Pending || episode.layer.as_deref() != Some("commoncap") {
            return;
        }
        let near = self.denials.iter();
        let near = near.filter(|(denial, at)| concerns(episode, denial, time, *at));
        // Of several the earliest, in whatever order they came.
        let likeliest = near.max_by_key(|(denial, at)| {
            let earliest = (Reverse(*at), Reverse(denial.pid));
            (related(episode, denial), earliest)
        });
        if let Some((denial, _)) = likeliest {
            acquit(episode, denial);
            return;
        }
        if self.failed.len() == MAX_KEPT {
            self.failed.pop_front();
        }
        self.failed.push_back(Failed {
            episode: episode.clone(),
            time,
        });
    }

    /// Takes in a denial; gives the episodes that it could be taken for the
    /// cause of, reported again.
    pub fn denial(&mut self, denial: &Denial, time: Stamp) -> Vec<Finding> {
        if denial.audited != "yes" || !matches!(denial.layer.as_str(), "apparmor" | "selinux") {
            return Vec::new();
        }
        if self.denials.len() == MAX_KEPT {
            self.denials.pop_front();
        }
        self.denials.push_back((denial.clone(), time));
        let mut repeated = Vec::new();
        self.failed.retain_mut(|failed| {
            if !concerns(&failed.episode, denial, failed.time, time) {
                return time.since(failed.time) <= NEAR_NS;
            }
            acquit(&mut failed.episode, denial);
            repeated.push(Finding {
                event: Event::new(failed.time, EventKind::Episode(failed.episode.clone())),
                scope: failed.episode.scope,
                row: None,
                joined: None,
            });
            false
        });
        repeated
    }
}

fn concerns(episode: &Episode, denial: &Denial, time: Stamp, at: Stamp) -> bool {
    let apart = time.0.abs_diff(at.0);
    apart <= NEAR_NS && denial.pid.is_some_and(|pid| pid != episode.pid)
}

/// How likely somebody takes one for the cause of the other.
fn related(episode: &Episode, denial: &Denial) -> u8 {
    u8::from(denial.supervisor == episode.supervisor)
        + u8::from(denial.container == episode.container)
}

fn acquit(episode: &mut Episode, denial: &Denial) {
    let text = explain::not_the_cause(denial);
    episode.explanation = format!("{} {text}", episode.explanation);
    episode.not_the_cause.push(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(ms: u64) -> Stamp {
        Stamp(1_795_460_062_000_000_000 + ms * 1_000_000)
    }

    fn failed(pid: u32, layer: &str) -> Episode {
        let json = format!(
            r#"{{"id":"{pid}","verdict":"fatal","retried":false,"supervisor":"openshell","role":"supervisor",
            "version":null,"container":null,"pid":{pid},"ppid":1,"comm":"x","exe":null,"layer":"{layer}","profile":null,
            "drops":1,"refused_raised":1,"refused_lowered":0,"unknown_capability":0,"bounding_before":"0x1",
            "bounding_after":"0x1","residual":["chown"],"effective":"0x0","user_namespace":{{"inode":1,"level":1}},
            "fate":"exit","exit":{{"code":1,"signal":null}},"first_refused":"chown","duration_seconds":0.1,"explanation":"It failed."}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    fn denial(pid: u32, layer: &str, audited: &str) -> Denial {
        let json = format!(
            r#"{{"supervisor":null,"role":null,"container":null,"comm":"unshare","exe":null,"pid":{pid},
            "capability":"sys_admin","number":21,"layer":"{layer}","reason":null,"profile":"unprivileged_userns",
            "namespace":null,"target_namespace":null,"audited":"{audited}","expected":false,"own_credentials":true,
            "via":"unknown","count":1,"exact":true,"first":"2026-11-24T01:00:00Z","last":"2026-11-24T01:00:00Z","explanation":""}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    const TEXT: &str = "The AppArmor record logged at the same time concerns another process, \
                        unshare (pid 9, sys_admin), and is not the cause.";

    #[test]
    fn a_denial_before_the_episode_is_named_in_it() {
        let mut near = Near::default();
        assert!(
            near.denial(&denial(9, "apparmor", "yes"), stamp(0))
                .is_empty()
        );
        let mut episode = failed(7, "commoncap");
        near.judge(&mut episode, stamp(900));
        assert_eq!(episode.not_the_cause, [TEXT]);
        assert_eq!(episode.explanation, format!("It failed. {TEXT}"));
    }

    #[test]
    fn a_denial_after_it_has_the_episode_reported_again_once() {
        let mut near = Near::default();
        let mut episode = failed(7, "commoncap");
        near.judge(&mut episode, stamp(0));
        assert!(episode.not_the_cause.is_empty());
        let again = near.denial(&denial(9, "apparmor", "yes"), stamp(500));
        assert_eq!(again.len(), 1);
        assert_eq!(again[0].scope, episode.scope);
        let EventKind::Episode(repeated) = &again[0].event.kind else {
            panic!("no episode");
        };
        assert_eq!(repeated.not_the_cause, [TEXT]);
        let third = near.denial(&denial(9, "apparmor", "yes"), stamp(600));
        assert!(third.is_empty(), "once");
    }

    #[test]
    fn what_may_be_the_cause_or_is_not_logged_is_left_alone() {
        for (pid, layer, audited, ms, refused_by) in [
            (7, "apparmor", "yes", 1, "commoncap"),
            (9, "commoncap", "yes", 1, "commoncap"),
            (9, "apparmor", "no", 1, "commoncap"),
            (9, "apparmor", "yes", 1_001, "commoncap"),
            (9, "apparmor", "yes", 1, "apparmor"),
        ] {
            let mut near = Near::default();
            near.denial(&denial(pid, layer, audited), stamp(0));
            let mut episode = failed(7, refused_by);
            near.judge(&mut episode, stamp(ms));
            assert!(
                episode.not_the_cause.is_empty(),
                "{pid} {layer} {audited} {ms}"
            );
            assert!(
                near.denial(&denial(pid, layer, audited), stamp(ms + 2_000))
                    .is_empty()
            );
        }
    }

    #[test]
    fn a_storm_is_bounded() {
        let mut near = Near::default();
        for pid in 10..10_000 {
            near.judge(&mut failed(pid, "commoncap"), stamp(0));
            near.denial(&denial(9, "apparmor", "yes"), stamp(5_000));
            near.judge(&mut failed(pid, "commoncap"), stamp(10_000));
        }
        assert!(near.denials.len() <= MAX_KEPT && near.failed.len() <= MAX_KEPT);
    }
}
