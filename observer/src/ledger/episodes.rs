//! Episodes: all of them as counters, the worst and the newest in full.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    hash::Hash,
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    Limited, NONE, OTHER, OVERFLOW,
    kept::{Kept, Worth},
    limited::Series,
    saved::{Counted, Kernel, SavedClosed, SavedEpisodes},
};
use crate::{
    finding::{Episode, EpisodeCounts, Fate, Scope, Verdict},
    time::Stamp,
};

/// Episodes of a scope that are kept in full.
const MAX_KEPT: usize = 1_000;
/// Open episodes whose last state is known, of a scope; the kernel has no room for more.
const MAX_OPEN: usize = 16_384;
/// Closed episodes that are known again by their id.
const MAX_CLOSED: usize = 4_096;
/// Versions of one supervisor that have series of their own: anybody can make
/// another by copying its program.
const MAX_VERSIONS: usize = 64;

/// Labels of `capwatch_bounding_drop_episodes_total`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EpisodeSeries {
    /// Name of the rule.
    pub supervisor: String,
    /// `supervisor`, `workload` or `none`.
    pub role: String,
    /// Version of the supervisor.
    pub version: String,
    /// Verdict.
    pub verdict: Verdict,
    /// Layer that refused, or `none`.
    pub layer: String,
}

impl Series for EpisodeSeries {
    fn coarse(&self) -> Self {
        Self {
            version: OTHER.to_owned(),
            ..self.clone()
        }
    }

    fn last_resort(&self) -> Self {
        Self {
            supervisor: OVERFLOW.to_owned(),
            version: OVERFLOW.to_owned(),
            ..self.clone()
        }
    }
}

/// Labels of `capwatch_bounding_drops_total`: the supervisor, and the result.
pub type DropSeries = (String, &'static str);

impl Series for DropSeries {
    fn coarse(&self) -> Self {
        self.last_resort()
    }

    fn last_resort(&self) -> Self {
        (OVERFLOW.to_owned(), self.1)
    }
}

/// Labels of `capwatch_bounding_drops_skipped_total`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SkippedSeries {
    /// Name of the rule.
    pub supervisor: String,
    /// `supervisor`, `workload` or `none`.
    pub role: String,
    /// Version of the supervisor.
    pub version: String,
}

impl Series for SkippedSeries {
    fn coarse(&self) -> Self {
        Self {
            version: OTHER.to_owned(),
            ..self.clone()
        }
    }

    fn last_resort(&self) -> Self {
        Self {
            supervisor: OVERFLOW.to_owned(),
            version: OVERFLOW.to_owned(),
            ..self.clone()
        }
    }
}

struct Told {
    episode: Episode,
    time: Stamp,
}

impl Worth for Told {
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
type Calls = [u32; RESULTS.len()];

/// What a call of a drop can give.
const RESULTS: [&str; 4] = [
    "dropped",
    "refused_raised",
    "refused_lowered",
    "unknown_capability",
];

/// The calls of an episode so far.
const fn calls(episode: &Episode) -> Calls {
    let refused = episode.refused_raised + episode.refused_lowered;
    let others = refused + episode.unknown_capability;
    [
        episode.drops.saturating_sub(others),
        episode.refused_raised,
        episode.refused_lowered,
        episode.unknown_capability,
    ]
}

/// The last state of an episode that is told again.
#[derive(Clone, Copy)]
struct Known {
    role: &'static str,
    verdict: Verdict,
    /// The calls that were counted when it was closed.
    closed: Option<Calls>,
}

impl Known {
    fn new(role: Option<&str>, verdict: Verdict, closed: Option<Calls>) -> Self {
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
struct Room {
    counts: EpisodeCounts,
    kept: Kept<Told>,
    open: HashMap<String, EpisodeSeries>,
    /// Failed ones, which alone are told again once they are closed.
    closed: HashMap<Arc<str>, Known>,
    order: VecDeque<Arc<str>>,
}

impl Room {
    fn new() -> Self {
        Self {
            counts: EpisodeCounts::default(),
            kept: Kept::new(MAX_KEPT),
            open: HashMap::new(),
            closed: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// What is known of an episode by its earlier states.
    fn known(&self, id: &str) -> Option<Known> {
        if let Some(Told { episode, .. }) = self.kept.get(id) {
            let closed = (episode.fate != Fate::Running).then(|| calls(episode));
            return Some(Known::new(episode.role.as_deref(), episode.verdict, closed));
        }
        if let Some(series) = self.open.get(id) {
            return Some(Known::new(Some(&series.role), series.verdict, None));
        }
        self.closed.get(id).copied()
    }

    /// Remembers a state; says whether there was room for it.
    fn remember(&mut self, id: &str, series: EpisodeSeries, closed: Option<Calls>) -> bool {
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
        let told = room.order.iter();
        let told = told.filter_map(|id| Some(known(id, room.closed.get(id)?)));
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
            told: told.collect(),
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
            told,
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
        } in told
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
                // Nobody is left to tell of its end.
                Kernel::Other => room.counts.take(Some(&series.role), series.verdict),
            }
        }
    }

    /// Starts the counters of a supervisor's version at zero, so that a first failure is seen to rise.
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
        // One that ended well is told once.
        let told_once = closed.is_some() && known.is_none() && episode.verdict < Verdict::Pending;
        if !told_once && !room.remember(&episode.id, series.clone(), closed) {
            return false;
        }
        if let Some(Known { role, verdict, .. }) = &known {
            room.counts.take(Some(role), *verdict);
        }
        room.counts.add(episode.role.as_deref(), episode.verdict);
        let told = Told {
            episode: episode.clone(),
            time,
        };
        room.kept.put(&episode.id, self.number, told);
        self.number += 1;
        self.note_failure(episode, supervisor, time);
        if let Some(calls) = closed {
            // One that is told again, with more in its sentence or when the last that
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

    /// How many episodes have no series of their own.
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
        kept.into_iter().map(|(_, told)| (&told.episode, told.time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(id: u64, fate: &str, verdict: &str) -> Episode {
        let json = format!(
            r#"{{"id":"{id}","verdict":"{verdict}","retried":false,"supervisor":"openshell","role":"supervisor",
            "version":"0.0.73","container":null,"pid":7,"ppid":1,"comm":"x","exe":null,"layer":"commoncap","profile":null,
            "drops":1,"refused_raised":1,"refused_lowered":0,"unknown_capability":0,"bounding_before":"0x1",
            "bounding_after":"0x1","residual":["chown"],"effective":"0x0","user_namespace":{{"inode":1,"level":1}},
            "fate":"{fate}","exit":null,"first_refused":"chown","duration_seconds":0.1,"explanation":"It failed."}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    fn episode(fate: &str, verdict: &str) -> Episode {
        named(1, fate, verdict)
    }

    #[test]
    fn an_episode_that_is_told_again_counts_once_and_is_kept_in_its_last_state() {
        let mut episodes = Episodes::new(10);
        let pending = episode("running", "pending");
        episodes.enter(&pending, Stamp(1), Scope::Tree);
        episodes.enter(&pending, Stamp(2), Scope::Tree);
        assert_eq!(
            episodes
                .closed()
                .iter()
                .map(|(_, count)| count)
                .sum::<u64>(),
            0
        );
        let fatal = episode("exit", "fatal");
        episodes.enter(&fatal, Stamp(3), Scope::Tree);
        let mut again = fatal;
        again.explanation = "It failed. Something else is not the cause.".to_owned();
        episodes.enter(&again, Stamp(3), Scope::Tree);
        assert_eq!(
            episodes
                .closed()
                .iter()
                .map(|(_, count)| count)
                .sum::<u64>(),
            1
        );
        assert_eq!(
            episodes.drops().iter().map(|(_, count)| count).sum::<u64>(),
            1
        );
        assert_eq!(episodes.report(Scope::Tree), std::slice::from_ref(&again));

        // What is tried after that counts as well.
        again.drops = 5;
        again.refused_raised = 3;
        episodes.enter(&again, Stamp(4), Scope::Tree);
        let counted = episodes.drops().iter();
        let counted: BTreeMap<_, _> = counted
            .filter(|(_, count)| *count > 0)
            .map(|((_, result), count)| (*result, count))
            .collect();
        assert_eq!(
            counted,
            BTreeMap::from([("dropped", 2), ("refused_raised", 3)])
        );
    }

    #[test]
    fn counts_are_exact_and_the_one_that_died_is_kept() {
        for ok in [10, 1_100, 20_000] {
            let mut episodes = Episodes::new(5_000);
            episodes.enter(&named(0, "exit", "fatal"), Stamp(0), Scope::Tree);
            for id in 1..=ok {
                // Others' must not matter to the command's own, whatever they are.
                episodes.enter(&named(id, "exit", "ok"), Stamp(id), Scope::Tree);
                episodes.enter(&named(id, "exit", "fatal"), Stamp(id), Scope::Host);
            }
            let counts = episodes.counts(Scope::Tree);
            assert_eq!((counts.all, counts.supervisor.fatal), (ok + 1, 1));
            assert_eq!(counts.supervisor.ok, ok);
            let kept = episodes.report(Scope::Tree);
            assert_eq!(kept[0].verdict, Verdict::Fatal, "{ok}");
            assert_eq!(kept.len() as u64, (ok + 1).min(1_000));
            assert_eq!(episodes.counts(Scope::Host).supervisor.fatal, ok);
        }
    }

    #[test]
    fn a_pending_one_that_is_no_longer_kept_is_counted_once_all_the_same() {
        let mut episodes = Episodes::new(5_000);
        episodes.enter(&named(0, "running", "pending"), Stamp(0), Scope::Tree);
        for id in 1..=2_000 {
            episodes.enter(&named(id, "exit", "fatal"), Stamp(id), Scope::Tree);
        }
        assert_eq!(episodes.counts(Scope::Tree).supervisor.pending, 1);
        assert_eq!(episodes.pending().values().sum::<u64>(), 1);
        assert!(
            episodes
                .report(Scope::Tree)
                .iter()
                .all(|kept| kept.id != "0")
        );
        episodes.enter(&named(0, "exec", "degraded"), Stamp(3_000), Scope::Tree);
        episodes.enter(&named(0, "exec", "degraded"), Stamp(3_001), Scope::Tree);
        let counts = episodes.counts(Scope::Tree).supervisor;
        assert_eq!(
            (counts.pending, counts.degraded, counts.fatal),
            (0, 1, 2_000)
        );
        assert!(episodes.pending().is_empty());
    }

    #[test]
    fn open_ones_are_bounded_and_those_without_room_are_told() {
        let mut episodes = Episodes::new(5_000);
        for id in 0..20_000 {
            let room = episodes.enter(&named(id, "running", "pending"), Stamp(id), Scope::Host);
            assert_eq!(room, id < 16_384, "{id}");
        }
        for id in 0..20_000 {
            episodes.enter(&named(id, "exit", "fatal"), Stamp(id), Scope::Host);
        }
        let counts = episodes.counts(Scope::Host);
        assert_eq!((counts.all, counts.supervisor.fatal), (20_000, 20_000));
    }

    #[test]
    fn copies_of_a_program_take_no_series_that_the_alarm_needs() {
        let mut episodes = Episodes::new(5_000);
        let mut last: HashMap<EpisodeSeries, u64> = HashMap::new();
        for id in 0..20_000_u64 {
            if id % 500 == 0 {
                // A scrape: no counter may have fallen since the last one.
                for (series, count) in &last {
                    assert!(episodes.closed().get(series) >= *count, "{series:?}");
                }
                last = episodes
                    .closed()
                    .iter()
                    .map(|(series, count)| (series.clone(), count))
                    .collect();
            }
            let mut copy = named(id, "exit", "fatal");
            copy.version = Some(format!("sha256:{id:012x}"));
            if id % 3 == 0 {
                episodes.appear("openshell", &format!("sha256:{id:012x}"));
            }
            episodes.enter(&copy, Stamp(id), Scope::Host);
        }
        let mut real = named(20_000, "exec", "degraded");
        real.version = Some("0.0.74".to_owned());
        let other = Episode {
            id: "other".to_owned(),
            supervisor: Some("crun".to_owned()),
            ..real.clone()
        };
        episodes.enter(&real, Stamp(20_001), Scope::Host);
        episodes.enter(&other, Stamp(20_001), Scope::Host);
        let count = |supervisor: &str, version: &str| -> u64 {
            let alarm = episodes.closed().iter().filter(|(series, _)| {
                series.supervisor == supervisor
                    && series.version == version
                    && series.role == "supervisor"
                    && series.verdict >= Verdict::Degraded
            });
            alarm.map(|(_, count)| count).sum()
        };
        assert_eq!(count("crun", "0.0.74"), 1);
        assert_eq!(count("openshell", "other"), 20_000 - 64 + 1);
        assert!(episodes.closed().iter().count() < 500);
        assert!(episodes.last_failed().contains_key("openshell"));
        assert_eq!(
            episodes.overflowed(),
            20_000 - 64 + 1,
            "findings, nothing else"
        );
    }

    #[test]
    fn a_drop_that_was_never_tried_is_counted_apart_too() {
        let mut episodes = Episodes::new(5_000);
        let mut skipped = named(1, "exec", "degraded");
        skipped.skipped = true;
        episodes.enter(&skipped, Stamp(1), Scope::Host);
        episodes.enter(&skipped, Stamp(2), Scope::Host);
        episodes.enter(&named(2, "exec", "degraded"), Stamp(3), Scope::Host);
        let all: Vec<_> = episodes.skipped().iter().collect();
        let [(series, 1)] = all[..] else {
            panic!("{all:?}");
        };
        assert_eq!(
            (series.supervisor.as_str(), series.version.as_str()),
            ("openshell", "0.0.73")
        );
        let closed: u64 = episodes.closed().iter().map(|(_, count)| count).sum();
        assert_eq!(closed, 2, "it is an episode as well");
    }

    #[test]
    fn the_last_resort_keeps_the_role_and_is_what_the_alarm_looks_at() {
        let mut episodes = Episodes::new(2);
        for id in 0..500_u64 {
            let mut one = named(id, "exit", "fatal");
            one.supervisor = Some(format!("rule-{id}"));
            episodes.enter(&one, Stamp(id), Scope::Host);
        }
        let last = episodes
            .closed()
            .iter()
            .find(|(series, _)| series.supervisor == OVERFLOW);
        let (series, count) = last.unwrap();
        assert_eq!(
            (series.role.as_str(), series.verdict),
            ("supervisor", Verdict::Fatal)
        );
        assert!(count > 400);
        assert!(episodes.last_failed().contains_key(OVERFLOW));
    }
}
