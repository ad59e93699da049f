//! The episodes of a scope: the worst and the newest in full, and by their ids those
//! that may be reported again.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    sync::Arc,
};

use super::{
    NONE,
    kept::{Kept, Worth},
    series::EpisodeSeries,
};
use crate::{
    finding::{Episode, EpisodeCounts, Fate, Verdict},
    memory,
    time::Stamp,
};

/// Episodes of a scope that are kept in full.
pub(super) const MAX_KEPT: usize = 1_000;
/// Open episodes whose last state is known, of a scope; the kernel has no room for more.
pub(super) const MAX_OPEN: usize = 16_384;
/// Closed episodes that are known again by their id.
pub(super) const MAX_CLOSED: usize = 4_096;

/// An episode, and when its last state was reported.
pub(super) struct KeptEpisode {
    pub(super) episode: Episode,
    pub(super) time: Stamp,
}

impl Worth for KeptEpisode {
    /// A failure of a rule's supervisor comes before those that anybody can have.
    fn rank(&self) -> u8 {
        let episode = &self.episode;
        let alarm = episode.verdict >= Verdict::Pending && episode.is_of_a_rule();
        u8::from(alarm) * 8 + episode.verdict as u8
    }

    fn kind(&self) -> impl Hash {
        let Episode {
            supervisor,
            role,
            version,
            verdict,
            layer,
            profile,
            ..
        } = &self.episode;
        (supervisor, role, version, verdict, layer, profile)
    }
}

/// Calls by result, in the order of [`RESULTS`].
pub(super) type Calls = [u32; RESULTS.len()];

/// What a call of a drop can give.
pub(super) const RESULTS: [&str; 4] = [
    "dropped",
    "refused_raised",
    "refused_lowered",
    "unknown_capability",
];

/// The calls of an episode so far.
pub(super) const fn calls(episode: &Episode) -> Calls {
    let refused = episode.refused_raised + episode.refused_lowered;
    let others = refused + episode.unknown_capability;
    [
        episode.drops.saturating_sub(others),
        episode.refused_raised,
        episode.refused_lowered,
        episode.unknown_capability,
    ]
}

/// The last state of an episode that is reported again.
#[derive(Clone, Copy)]
pub(super) struct Known {
    pub(super) role: &'static str,
    pub(super) verdict: Verdict,
    /// The calls that were counted when it was closed.
    pub(super) closed: Option<Calls>,
}

impl Known {
    pub(super) fn new(role: Option<&str>, verdict: Verdict, closed: Option<Calls>) -> Self {
        let role = match role {
            Some("supervisor") => "supervisor",
            Some("workload") => "workload",
            _ => NONE,
        };
        Self {
            role,
            verdict,
            closed,
        }
    }
}

/// The episodes of a scope: none takes another's room.
pub(super) struct Room {
    pub(super) counts: EpisodeCounts,
    pub(super) kept: Kept<KeptEpisode>,
    pub(super) open: HashMap<String, EpisodeSeries>,
    /// Failed ones, which alone are reported again once they are closed.
    pub(super) closed: HashMap<Arc<str>, Known>,
    pub(super) order: VecDeque<Arc<str>>,
}

impl Room {
    pub(super) fn new() -> Self {
        Self {
            counts: EpisodeCounts::default(),
            kept: Kept::new(MAX_KEPT),
            open: HashMap::new(),
            closed: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Gives the room back that a storm took.
    pub(super) fn trim(&mut self) {
        memory::trim(&mut self.open);
        memory::trim(&mut self.closed);
    }

    /// What is known of an episode by its earlier states.
    pub(super) fn known(&self, id: &str) -> Option<Known> {
        if let Some(KeptEpisode { episode, .. }) = self.kept.get(id) {
            let closed = (episode.fate != Fate::Running).then(|| calls(episode));
            return Some(Known::new(episode.role.as_deref(), episode.verdict, closed));
        }
        if let Some(series) = self.open.get(id) {
            return Some(Known::new(Some(&series.role), series.verdict, None));
        }
        self.closed.get(id).copied()
    }

    /// Remembers a state; says whether there was room for it.
    pub(super) fn remember(
        &mut self,
        id: &str,
        series: EpisodeSeries,
        closed: Option<Calls>,
    ) -> bool {
        if closed.is_none() {
            let room = self.open.len() < MAX_OPEN || self.open.contains_key(id);
            if room {
                self.open.insert(id.to_owned(), series);
            }
            return room;
        }
        self.open.remove(id);
        let known = Known::new(Some(&series.role), series.verdict, closed);
        if let Some(old) = self.closed.get_mut(id) {
            *old = known;
        } else {
            let id: Arc<str> = id.into();
            self.order.push_back(Arc::clone(&id));
            self.closed.insert(id, known);
        }
        if self.order.len() > MAX_CLOSED
            && let Some(oldest) = self.order.pop_front()
        {
            self.closed.remove(&oldest);
        }
        true
    }
}
