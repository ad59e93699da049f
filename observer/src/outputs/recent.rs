//! Episodes that were shown to a person already.

use std::collections::VecDeque;

use super::columns::Layout;
use crate::finding::{Event, EventKind, Verdict};

/// Episodes that are remembered.
const MAX_KEPT: usize = 256;

/// What was shown lately.
#[derive(Default)]
pub struct Recent {
    episodes: VecDeque<(String, Verdict)>,
}

impl Recent {
    /// What there is to say of an episode that was shown before with the same
    /// verdict: what is not its cause. `None` for what is new.
    pub fn again(&mut self, event: &Event, layout: &Layout) -> Option<String> {
        let EventKind::Episode(episode) = &event.kind else {
            return None;
        };
        let known =
            |(id, verdict): &(String, Verdict)| *id == episode.id && *verdict == episode.verdict;
        if self.episodes.iter().any(known) {
            let text = episode.not_the_cause.last().map_or("", String::as_str);
            return Some(layout.below(&format!("(pid {}) {text}", episode.pid)));
        }
        if self.episodes.len() == MAX_KEPT {
            self.episodes.pop_front();
        }
        self.episodes
            .push_back((episode.id.clone(), episode.verdict));
        None
    }
}
