//! Episodes: all of them as counters, the worst and the newest in full.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{
    NONE, OTHER, OVERFLOW,
    limited::{Counted, Limited},
    room::{Calls, KeptEpisode, Known, RESULTS, Room, calls},
    saved::{Kernel, SavedClosed, SavedEpisodes},
    series::{DropSeries, EpisodeSeries, SkippedSeries},
};
use crate::{
    finding::{Episode, EpisodeCounts, Fate, Scope, Verdict},
    time::Stamp,
};

/// Versions of one supervisor that have their own series: anybody can make
/// another by copying its program.
const MAX_VERSIONS: usize = 64;

/// Every episode.
pub struct Episodes {
    rooms: [Room; Scope::ALL.len()],
    number: u64,
    closed: Limited<EpisodeSeries>,
    drops: Limited<DropSeries>,
    skipped: Limited<SkippedSeries>,
    versions: HashMap<String, BTreeSet<String>>,
    last_failed: BTreeMap<String, Stamp>,
    inferred: BTreeSet<String>,
    overflowed: u64,
    limit: usize,
}

impl Episodes {
    /// None yet.
    pub fn new(limit: usize) -> Self {
        Self {
            rooms: Scope::ALL.map(|_| Room::new()),
            number: 0,
            closed: Limited::new(limit),
            drops: Limited::new(limit),
            skipped: Limited::new(limit),
            versions: HashMap::new(),
            last_failed: BTreeMap::new(),
            inferred: BTreeSet::new(),
            overflowed: 0,
            limit,
        }
    }

    /// Gives the room back that a storm took.
    pub(super) fn trim(&mut self) {
        self.rooms.iter_mut().for_each(Room::trim);
    }

    /// What is to be kept over a restart. Agents that run know the host's scope alone.
    pub fn save(&self) -> SavedEpisodes {
        let room = &self.rooms[Scope::Host as usize];
        let drops = self.drops.iter();
        let known = |id: &str, known: &Known| SavedClosed {
            id: id.to_owned(),
            role: known.role.to_owned(),
            verdict: known.verdict,
            calls: known.closed,
        };
        let remembered = room.order.iter();
        let remembered = remembered.filter_map(|id| Some(known(id, room.closed.get(id)?)));
        let open = room.open.iter();
        SavedEpisodes {
            closed: Counted::of(&self.closed),
            drops: drops
                .map(|((supervisor, result), count)| {
                    (supervisor.clone(), (*result).to_owned(), count)
                })
                .collect(),
            skipped: Counted::of(&self.skipped),
            last_failed: self.last_failed.clone(),
            inferred: self.inferred.iter().cloned().collect(),
            overflowed: self.overflowed,
            counts: room.counts.clone(),
            open: open
                .map(|(id, series)| (id.clone(), series.clone()))
                .collect(),
            remembered: remembered.collect(),
        }
    }

    /// Goes on from what was kept.
    pub fn restore(&mut self, saved: SavedEpisodes, kernel: Kernel) {
        let SavedEpisodes {
            closed,
            drops,
            skipped,
            last_failed,
            inferred,
            overflowed,
            counts,
            open,
            remembered,
        } = saved;
        for (series, _) in &closed.counts {
            let (supervisor, version) = (series.supervisor.clone(), series.version.clone());
            if version != OTHER && version != OVERFLOW {
                self.version(&supervisor, &version);
            }
        }
        self.closed.restore(closed);
        for (supervisor, result, count) in drops {
            if let Some(result) = RESULTS.iter().find(|known| **known == result) {
                self.drops.add((supervisor, *result), count);
            }
        }
        self.skipped.restore(skipped);
        self.last_failed.extend(last_failed);
        self.inferred.extend(inferred);
        self.overflowed += overflowed;
        let room = &mut self.rooms[Scope::Host as usize];
        room.counts = counts;
        for SavedClosed {
            id,
            role,
            verdict,
            calls,
        } in remembered
        {
            let id: Arc<str> = id.into();
            room.order.push_back(Arc::clone(&id));
            room.closed
                .insert(id, Known::new(Some(&role), verdict, calls));
        }
        for (id, series) in open {
            match kernel {
                Kernel::Same => {
                    room.open.insert(id, series);
                }
                // Nothing is left to report its end.
                Kernel::Other => room.counts.take(Some(&series.role), series.verdict),
            }
        }
    }

    /// Starts the counters of a supervisor's version at zero, so a first failure is seen to rise.
    pub fn appear(&mut self, supervisor: &str, version: &str) {
        for result in RESULTS {
            self.drops.add((supervisor.to_owned(), result), 0);
        }
        let version = self.version(supervisor, version);
        for verdict in [Verdict::Fatal, Verdict::Degraded] {
            self.closed.place(EpisodeSeries {
                supervisor: supervisor.to_owned(),
                role: "supervisor".to_owned(),
                version: version.clone(),
                verdict,
                layer: "commoncap".to_owned(),
            });
        }
    }

    /// The label of a version: its own where it has a place, or finds one.
    fn version(&mut self, supervisor: &str, version: &str) -> String {
        if version.is_empty() {
            return String::new();
        }
        // Rules and inferred names are few; a stream may hold any.
        if self.versions.len() >= self.limit && !self.versions.contains_key(supervisor) {
            return OTHER.to_owned();
        }
        let versions = self.versions.entry(supervisor.to_owned()).or_default();
        if versions.contains(version) {
            return version.to_owned();
        }
        if versions.len() >= MAX_VERSIONS {
            return OTHER.to_owned();
        }
        versions.insert(version.to_owned());
        version.to_owned()
    }

    /// Enters an episode, in place of its earlier state; says whether there was
    /// room to know it again.
    pub fn enter(&mut self, episode: &Episode, time: Stamp, scope: Scope) -> bool {
        let supervisor = episode.supervisor.as_deref().unwrap_or(NONE);
        if episode.inferred && self.inferred.len() < self.limit {
            self.inferred.insert(supervisor.to_owned());
        }
        let own = episode.version.as_deref().unwrap_or_default();
        let version = self.version(supervisor, own);
        let series = EpisodeSeries {
            supervisor: supervisor.to_owned(),
            role: episode.role.clone().unwrap_or_else(|| NONE.to_owned()),
            verdict: episode.verdict,
            layer: episode.layer.clone().unwrap_or_else(|| NONE.to_owned()),
            version,
        };
        let room = &mut self.rooms[scope as usize];
        let known = room.known(&episode.id);
        let closed = (episode.fate != Fate::Running).then(|| calls(episode));
        // One that ended well is reported once.
        let reported_once =
            closed.is_some() && known.is_none() && episode.verdict < Verdict::Pending;
        if !reported_once && !room.remember(&episode.id, series.clone(), closed) {
            return false;
        }
        if let Some(Known { role, verdict, .. }) = &known {
            room.counts.take(Some(role), *verdict);
        }
        room.counts.add(episode.role.as_deref(), episode.verdict);
        let kept = KeptEpisode {
            episode: episode.clone(),
            time,
        };
        room.kept.put(&episode.id, self.number, kept);
        self.number += 1;
        self.note_failure(episode, supervisor, time);
        if let Some(calls) = closed {
            // One that is reported again, with more in its sentence or when the last that
            // it covers has ended, counts once; its calls since then are counted too.
            let counted = known.and_then(|known| known.closed);
            self.count_calls(&series.supervisor, calls, counted.unwrap_or_default());
            if counted.is_none() {
                self.count(episode, own, series);
            }
        }
        true
    }

    /// A workload's failure is its own business and must not page for its supervisor.
    fn note_failure(&mut self, episode: &Episode, supervisor: &str, time: Stamp) {
        if episode.verdict < Verdict::Pending || episode.role.as_deref() == Some("workload") {
            return;
        }
        let room = self.last_failed.len() < self.limit || self.last_failed.contains_key(supervisor);
        let supervisor = if room { supervisor } else { OVERFLOW };
        self.last_failed.insert(supervisor.to_owned(), time);
    }

    fn count(&mut self, episode: &Episode, own: &str, series: EpisodeSeries) {
        let supervisor = series.supervisor.clone();
        let bounded = series.version != own;
        let skipped = SkippedSeries {
            supervisor: supervisor.clone(),
            role: series.role.clone(),
            version: series.version.clone(),
        };
        let wanted = series.clone();
        let placed = self.closed.add(series, 1);
        self.overflowed += u64::from(bounded || placed != wanted);
        if placed.supervisor != supervisor
            && let Some(time) = self.last_failed.get(&supervisor).copied()
        {
            // The alarm looks at both, by the same name.
            self.last_failed.insert(placed.supervisor, time);
        }
        if episode.skipped {
            self.skipped.add(skipped, 1);
        }
    }

    fn count_calls(&mut self, supervisor: &str, calls: Calls, counted: Calls) {
        for ((result, all), before) in RESULTS.into_iter().zip(calls).zip(counted) {
            let key = (supervisor.to_owned(), result);
            self.drops.add(key, all.saturating_sub(before).into());
        }
    }

    /// The counters of `capwatch_bounding_drop_episodes_total`.
    pub const fn closed(&self) -> &Limited<EpisodeSeries> {
        &self.closed
    }

    /// The counters of `capwatch_bounding_drops_total`, by supervisor and result.
    pub const fn drops(&self) -> &Limited<DropSeries> {
        &self.drops
    }

    /// The counters of `capwatch_bounding_drops_skipped_total`.
    pub const fn skipped(&self) -> &Limited<SkippedSeries> {
        &self.skipped
    }

    /// When a supervisor's drop failed last.
    pub const fn last_failed(&self) -> &BTreeMap<String, Stamp> {
        &self.last_failed
    }

    /// Supervisors by deed, which no rule names.
    pub const fn inferred(&self) -> &BTreeSet<String> {
        &self.inferred
    }

    /// Episodes that are pending now, by supervisor and role.
    pub fn pending(&self) -> BTreeMap<(String, String), u64> {
        let mut pending = BTreeMap::new();
        for series in self.open_failures() {
            let key = (series.supervisor.clone(), series.role.clone());
            *pending.entry(key).or_default() += 1;
        }
        pending
    }

    fn open_failures(&self) -> impl Iterator<Item = &EpisodeSeries> {
        let open = self.rooms.iter().flat_map(|room| room.open.values());
        open.filter(|series| series.verdict == Verdict::Pending)
    }

    /// How many episodes there are of each kind, whatever is kept of them: those
    /// that are closed, and those that are pending.
    pub fn tallies(&self) -> Vec<(EpisodeSeries, u64)> {
        let mut pending: HashMap<&EpisodeSeries, u64> = HashMap::new();
        for series in self.open_failures() {
            *pending.entry(series).or_default() += 1;
        }
        let pending = pending.into_iter();
        let all = self.closed.iter().chain(pending);
        let all = all.filter(|(_, count)| *count > 0);
        let mut all: Vec<_> = all.map(|(series, count)| (series.clone(), count)).collect();
        all.sort();
        all
    }

    /// How many episodes have no separate series.
    pub const fn overflowed(&self) -> u64 {
        self.overflowed
    }

    /// Exact counts of a scope alone, whatever is kept.
    pub const fn counts(&self, scope: Scope) -> &EpisodeCounts {
        &self.rooms[scope as usize].counts
    }

    /// The kept episodes with the time of their state, oldest first.
    pub fn kept(&self) -> impl Iterator<Item = (&Episode, Stamp)> {
        self.sorted(Scope::Host)
    }

    /// The kept episodes of a scope and those within it, oldest first.
    pub fn report(&self, scope: Scope) -> Vec<Episode> {
        let kept = self.sorted(scope);
        kept.map(|(episode, _)| episode.clone()).collect()
    }

    fn sorted(&self, scope: Scope) -> impl Iterator<Item = (&Episode, Stamp)> {
        let rooms = scope.parts().map(|part| &self.rooms[part as usize]);
        let mut kept: Vec<_> = rooms.flat_map(|room| room.kept.iter()).collect();
        kept.sort_by_key(|(number, _)| *number);
        kept.into_iter().map(|(_, one)| (&one.episode, one.time))
    }
}

#[cfg(test)]
mod tests;
