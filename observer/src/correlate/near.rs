//! A security module's denial near a drop that commoncap refused: the log
//! shows the one and not the other, so people take it for the cause.

use std::collections::VecDeque;

use super::{Finding, explain};
use crate::{
    finding::{Denial, Episode, Event, EventKind, Verdict},
    time::Stamp,
};

/// How far apart the two may be to be taken for one another.
const NEAR_NS: u64 = 1_000_000_000;
/// Of either, so many are remembered.
const MAX_KEPT: usize = 64;

struct Failed {
    episode: Episode,
    time: Stamp,
    in_tree: bool,
}

/// What happened lately.
#[derive(Default)]
pub struct Near {
    denials: VecDeque<(Denial, Stamp)>,
    failed: VecDeque<Failed>,
}

impl Near {
    /// Says of an episode that what is near it is not its cause.
    pub fn judge(&mut self, episode: &mut Episode, time: Stamp, in_tree: bool) {
        if episode.verdict < Verdict::Pending || episode.layer.as_deref() != Some("commoncap") {
            return;
        }
        let near = self.denials.iter().rev();
        let near = near.filter(|(denial, at)| concerns(episode, denial, time, *at));
        if let Some((denial, _)) = near.max_by_key(|(denial, _)| related(episode, denial)) {
            acquit(episode, denial);
            return;
        }
        if self.failed.len() == MAX_KEPT {
            self.failed.pop_front();
        }
        self.failed.push_back(Failed {
            episode: episode.clone(),
            time,
            in_tree,
        });
    }

    /// Takes in a denial; gives the episodes that it could be taken for the
    /// cause of, told again.
    pub fn denial(&mut self, denial: &Denial, time: Stamp) -> Vec<Finding> {
        if denial.audited != "yes" || !matches!(denial.layer.as_str(), "apparmor" | "selinux") {
            return Vec::new();
        }
        if self.denials.len() == MAX_KEPT {
            self.denials.pop_front();
        }
        self.denials.push_back((denial.clone(), time));
        let mut told = Vec::new();
        self.failed.retain_mut(|failed| {
            if !concerns(&failed.episode, denial, failed.time, time) {
                return time.since(failed.time) <= NEAR_NS;
            }
            acquit(&mut failed.episode, denial);
            told.push(Finding {
                event: Event::new(failed.time, EventKind::Episode(failed.episode.clone())),
                in_tree: failed.in_tree,
                row: None,
                joined: None,
            });
            false
        });
        told
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
