//! Episodes: the last ones in full, all of them as counters.

use std::collections::{BTreeMap, VecDeque};

use super::{Limited, NONE, OVERFLOW};
use crate::{
    finding::{Episode, Fate, Verdict},
    time::Stamp,
};

/// Episodes that are kept in full.
const MAX_KEPT: usize = 1_000;

/// Labels of `capwatch_bounding_drop_episodes_total`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
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

struct Kept {
    episode: Episode,
    time: Stamp,
    in_tree: bool,
}

/// Every episode.
pub struct Episodes {
    kept: VecDeque<Kept>,
    forgotten: u64,
    closed: Limited<EpisodeSeries>,
    drops: Limited<(String, &'static str)>,
    last_failed: BTreeMap<String, Stamp>,
    limit: usize,
}

impl Episodes {
    /// None yet.
    pub fn new(limit: usize) -> Self {
        Self {
            kept: VecDeque::new(),
            forgotten: 0,
            closed: Limited::new(limit),
            drops: Limited::new(limit),
            last_failed: BTreeMap::new(),
            limit,
        }
    }

    /// Starts the counters of a supervisor's version at zero, so that a first failure is seen to rise.
    pub fn appear(&mut self, supervisor: &str, version: &str) {
        for result in [
            "dropped",
            "refused_raised",
            "refused_lowered",
            "unknown_capability",
        ] {
            self.count_drops(supervisor, result, 0);
        }
        for verdict in [Verdict::Fatal, Verdict::Degraded] {
            let series = EpisodeSeries {
                supervisor: supervisor.to_owned(),
                role: "supervisor".to_owned(),
                version: version.to_owned(),
                verdict,
                layer: "commoncap".to_owned(),
            };
            self.closed.add(series, 0, overflow);
        }
    }

    /// Enters an episode, in place of its earlier state.
    pub fn enter(&mut self, episode: &Episode, time: Stamp, in_tree: bool) {
        let kept = self
            .kept
            .iter_mut()
            .rfind(|kept| kept.episode.id == episode.id);
        // One that is told again with more in its sentence counts once.
        let counted = kept
            .as_ref()
            .is_some_and(|kept| kept.episode.fate != Fate::Running);
        if let Some(kept) = kept {
            kept.episode = episode.clone();
            kept.time = time;
        } else {
            if self.kept.len() == MAX_KEPT {
                self.kept.pop_front();
                self.forgotten += 1;
            }
            self.kept.push_back(Kept {
                episode: episode.clone(),
                time,
                in_tree,
            });
        }
        // A workload's failure is its own business and must not page for its supervisor.
        let failed =
            episode.verdict >= Verdict::Pending && episode.role.as_deref() != Some("workload");
        let supervisor = episode.supervisor.as_deref().unwrap_or(NONE);
        let room = self.last_failed.len() < self.limit || self.last_failed.contains_key(supervisor);
        if failed && room {
            self.last_failed.insert(supervisor.to_owned(), time);
        }
        if episode.fate != Fate::Running && !counted {
            self.count(episode, supervisor);
        }
    }

    fn count(&mut self, episode: &Episode, supervisor: &str) {
        let series = EpisodeSeries {
            supervisor: supervisor.to_owned(),
            role: episode.role.clone().unwrap_or_else(|| NONE.to_owned()),
            version: episode.version.clone().unwrap_or_default(),
            verdict: episode.verdict,
            layer: episode.layer.clone().unwrap_or_else(|| NONE.to_owned()),
        };
        self.closed.add(series, 1, overflow);
        let refused = episode.refused_raised + episode.refused_lowered;
        let dropped = episode
            .drops
            .saturating_sub(refused + episode.unknown_capability);
        for (result, count) in [
            ("dropped", dropped),
            ("refused_raised", episode.refused_raised),
            ("refused_lowered", episode.refused_lowered),
            ("unknown_capability", episode.unknown_capability),
        ] {
            self.count_drops(supervisor, result, count.into());
        }
    }

    fn count_drops(&mut self, supervisor: &str, result: &'static str, count: u64) {
        let key = (supervisor.to_owned(), result);
        self.drops
            .add(key, count, |(_, result)| (OVERFLOW.to_owned(), result));
    }

    /// The counters of `capwatch_bounding_drop_episodes_total`.
    pub const fn closed(&self) -> &Limited<EpisodeSeries> {
        &self.closed
    }

    /// The counters of `capwatch_bounding_drops_total`, by supervisor and result.
    pub const fn drops(&self) -> &Limited<(String, &'static str)> {
        &self.drops
    }

    /// When a supervisor's drop failed last.
    pub const fn last_failed(&self) -> &BTreeMap<String, Stamp> {
        &self.last_failed
    }

    /// Episodes that are pending now, by supervisor and role.
    pub fn pending(&self) -> BTreeMap<(String, String), u64> {
        let mut pending = BTreeMap::new();
        for Kept { episode, .. } in &self.kept {
            if episode.verdict == Verdict::Pending {
                let label = |word: &Option<String>| word.clone().unwrap_or_else(|| NONE.to_owned());
                let key = (label(&episode.supervisor), label(&episode.role));
                *pending.entry(key).or_default() += 1;
            }
        }
        pending
    }

    /// How much found no series.
    pub const fn overflowed(&self) -> u64 {
        self.closed.overflowed() + self.drops.overflowed()
    }

    /// Episodes that are no longer kept in full.
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// The kept episodes with the time of their state, oldest first.
    pub fn kept(&self) -> impl Iterator<Item = (&Episode, Stamp)> {
        self.kept.iter().map(|kept| (&kept.episode, kept.time))
    }

    /// The kept episodes, oldest first.
    pub fn report(&self, tree_only: bool) -> Vec<Episode> {
        let kept = self.kept.iter().filter(|kept| !tree_only || kept.in_tree);
        kept.map(|kept| kept.episode.clone()).collect()
    }
}

fn overflow(series: &EpisodeSeries) -> EpisodeSeries {
    EpisodeSeries {
        supervisor: OVERFLOW.to_owned(),
        role: OVERFLOW.to_owned(),
        version: OVERFLOW.to_owned(),
        verdict: series.verdict,
        layer: series.layer.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn episode(fate: &str, verdict: &str) -> Episode {
        let json = format!(
            r#"{{"id":"1","verdict":"{verdict}","retried":false,"supervisor":"openshell","role":"supervisor",
            "version":"0.0.73","container":null,"pid":7,"ppid":1,"comm":"x","exe":null,"layer":"commoncap","profile":null,
            "drops":1,"refused_raised":1,"refused_lowered":0,"unknown_capability":0,"bounding_before":"0x1",
            "bounding_after":"0x1","residual":["chown"],"effective":"0x0","user_namespace":{{"inode":1,"level":1}},
            "fate":"{fate}","exit":null,"first_refused":"chown","duration_seconds":0.1,"explanation":"It failed."}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn an_episode_that_is_told_again_counts_once_and_is_kept_in_its_last_state() {
        let mut episodes = Episodes::new(10);
        let pending = episode("running", "pending");
        episodes.enter(&pending, Stamp(1), true);
        episodes.enter(&pending, Stamp(2), true);
        assert_eq!(
            episodes
                .closed()
                .iter()
                .map(|(_, count)| count)
                .sum::<u64>(),
            0
        );
        let fatal = episode("exit", "fatal");
        episodes.enter(&fatal, Stamp(3), true);
        let mut again = fatal;
        again.explanation = "It failed. Something else is not the cause.".to_owned();
        episodes.enter(&again, Stamp(3), true);
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
        assert_eq!(episodes.report(true), [again]);
    }
}
