//! The two sentences at the top of the page, and what came of each version of a
//! supervisor: what an operator should see within ten seconds.

mod headline;

pub use headline::Headline;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::view::{Supervisor, Tally, TimedEpisode};
use crate::finding::{Episode, Verdict};
use crate::ledger::{NONE, OTHER};
use crate::time::Stamp;

/// A layer that refused, with its profile.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Refusal {
    /// Who refused.
    pub layer: String,
    /// The LSM's profile.
    pub profile: Option<String>,
}

/// The last episode of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Last {
    /// Its id.
    pub id: String,
    /// What it came to.
    pub verdict: Verdict,
    /// When.
    pub time: Stamp,
}

/// What came of one version of one supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Name of its rule; `none` for what no rule matched.
    pub supervisor: String,
    /// Whether no rule names it: it is a supervisor by what it does.
    pub inferred: bool,
    /// Image tag or digest, else a digest of the executable; `other` beyond a bound.
    pub version: Option<String>,
    /// Instances that live now.
    pub live: usize,
    /// Episodes of the supervisor itself by verdict.
    pub verdicts: BTreeMap<Verdict, u64>,
    /// Episodes below it, of its workloads, that were refused.
    pub workload_refused: u64,
    /// Those of them that are pending.
    #[serde(skip)]
    pub workload_pending: u64,
    /// Who refused drops of raised bits to the supervisor itself.
    pub refused_by: BTreeSet<Refusal>,
    /// Capabilities left raised by its own episodes.
    pub residual: BTreeSet<String>,
    /// The last episode of the supervisor itself.
    pub last: Option<Last>,
}

impl Group {
    fn new(supervisor: &str, version: Option<&str>) -> Self {
        Self {
            supervisor: supervisor.to_owned(),
            inferred: false,
            version: version.map(str::to_owned),
            live: 0,
            verdicts: BTreeMap::new(),
            workload_refused: 0,
            workload_pending: 0,
            refused_by: BTreeSet::new(),
            residual: BTreeSet::new(),
            last: None,
        }
    }

    fn count_in(&mut self, tally: &Tally) {
        let refused = tally.verdict >= Verdict::Pending;
        self.inferred |= tally.inferred;
        if tally.of_workload {
            self.workload_refused += if refused { tally.count } else { 0 };
            let pending = tally.verdict == Verdict::Pending;
            self.workload_pending += if pending { tally.count } else { 0 };
        } else {
            *self.verdicts.entry(tally.verdict).or_default() += tally.count;
        }
    }

    /// Takes over what an episode shows beyond its count.
    fn describe(&mut self, timed: &TimedEpisode) {
        let TimedEpisode { time, episode } = timed;
        if of_workload(episode) {
            return;
        }
        if episode.verdict >= Verdict::Pending {
            self.refused_by.insert(Refusal {
                layer: episode.layer.clone().unwrap_or_else(|| NONE.to_owned()),
                profile: episode.profile.clone(),
            });
            self.residual.extend(episode.residual.iter().cloned());
        }
        if self.last.as_ref().is_none_or(|last| last.time <= *time) {
            self.last = Some(Last {
                id: episode.id.clone(),
                verdict: episode.verdict,
                time: *time,
            });
        }
    }

    /// The worst verdict of the supervisor itself.
    pub fn worst(&self) -> Option<Verdict> {
        self.verdicts.keys().next_back().copied()
    }

    /// Whether it is a supervisor by a rule (2), by what it does (1), or none (0).
    fn standing(&self) -> u8 {
        match (self.supervisor.as_str(), self.inferred) {
            (NONE, _) => 0,
            (_, true) => 1,
            (_, false) => 2,
        }
    }

    fn refused(&self) -> u64 {
        let refused = self.verdicts.range(Verdict::Pending..);
        refused.map(|(_, count)| count).sum()
    }

    /// Episodes of the supervisor itself.
    fn all(&self) -> u64 {
        self.verdicts.values().sum()
    }

    /// Episodes of anybody of it that are pending.
    fn pending(&self) -> u64 {
        self.count(Verdict::Pending) + self.workload_pending
    }

    fn count(&self, verdict: Verdict) -> u64 {
        self.verdicts.get(&verdict).copied().unwrap_or_default()
    }
}

/// All groups, the worst first.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// By supervisor and version.
    pub groups: Vec<Group>,
}

impl Summary {
    /// Sums up: counts from the tallies, which are exact; the rest from the episodes
    /// that are kept.
    pub fn of(tallies: &[Tally], episodes: &[TimedEpisode], supervisors: &[Supervisor]) -> Self {
        let mut groups: BTreeMap<(&str, Option<&str>), Group> = BTreeMap::new();
        for tally in tallies {
            let (name, version) = (tally.supervisor.as_str(), tally.version.as_deref());
            groups
                .entry((name, version))
                .or_insert_with(|| Group::new(name, version))
                .count_in(tally);
        }
        for timed in episodes {
            let name = timed.episode.supervisor.as_deref().unwrap_or(NONE);
            let version = timed.episode.version.as_deref();
            // One that is open and not pending has no tally yet.
            let known = [version, Some(OTHER)].map(|version| (name, version));
            let known = known.into_iter().find(|key| groups.contains_key(key));
            if let Some(group) = known.and_then(|key| groups.get_mut(&key)) {
                group.describe(timed);
            }
        }
        for one in supervisors {
            let (name, version) = (one.supervisor.as_str(), one.version.as_deref());
            groups
                .entry((name, version))
                .or_insert_with(|| Group::new(name, version))
                .live += 1;
        }
        let mut groups: Vec<Group> = groups.into_values().collect();
        groups.sort_by(|left, right| {
            let key = |group: &Group| {
                let alarm = group.worst().filter(|worst| *worst >= Verdict::Pending);
                (
                    group.standing(),
                    alarm,
                    group.last.as_ref().map(|last| last.time),
                )
            };
            key(right).cmp(&key(left))
        });
        Self { groups }
    }

    /// The worst group of those that stand so, if anything was refused to it.
    fn worst(&self, standing: u8) -> Option<(&Group, Verdict)> {
        let group = self
            .groups
            .iter()
            .find(|group| group.standing() == standing)?;
        let worst = group.worst().filter(|worst| *worst >= Verdict::Pending)?;
        Some((group, worst))
    }
}

impl Group {
    /// The supervisor with its version, as short as it may be.
    pub fn name(&self) -> String {
        match &self.version {
            Some(version) => {
                let short = short_version(version);
                // An image of the same name need not have the name twice.
                let tag = short
                    .strip_prefix(self.supervisor.as_str())
                    .and_then(|rest| rest.strip_prefix(':'))
                    .unwrap_or(&short);
                format!("{} {tag}", self.supervisor)
            }
            None => self.supervisor.clone(),
        }
    }

    /// The layers that refused, as words.
    pub fn layers(&self) -> String {
        let words: Vec<String> = self
            .refused_by
            .iter()
            .map(|refusal| match &refusal.profile {
                Some(profile) => format!("{} (profile {profile})", refusal.layer),
                None => refusal.layer.clone(),
            })
            .collect();
        words.join(", ")
    }
}

fn of_workload(episode: &Episode) -> bool {
    episode.role.as_deref() == Some("workload")
}

/// A word for one or for many.
pub fn plural(count: u64, word: &str) -> String {
    if count == 1 {
        word.to_owned()
    } else {
        format!("{word}s")
    }
}

/// A version without the parts that a person can't distinguish anyway: the registry's
/// path, and all but the first digits of a digest.
pub fn short_version(version: &str) -> String {
    let name = version.rsplit('/').next().unwrap_or(version);
    match name.split_once("sha256:") {
        Some((before, digest)) => {
            let digits: String = digest.chars().take(12).collect();
            format!("{before}sha256:{digits}")
        }
        None => name.to_owned(),
    }
}

/// How long ago something was, in one unit.
pub fn ago(now: Stamp, then: Stamp) -> String {
    let seconds = now.since(then) / 1_000_000_000;
    let (count, unit) = match seconds {
        0..60 => return "just now".to_owned(),
        60..3_600 => (seconds / 60, "min"),
        3_600..172_800 => (seconds / 3_600, "h"),
        _ => (seconds / 86_400, "days"),
    };
    format!("{count} {unit} ago")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_short_and_times_rough() {
        assert_eq!(short_version("ghcr.io/a/b:1.2"), "b:1.2");
        assert_eq!(
            short_version("quay.io/a/b@sha256:0123456789abcdef0123"),
            "b@sha256:0123456789ab"
        );
        let at = |seconds: u64| Stamp(seconds * 1_000_000_000);
        assert_eq!(ago(at(59), at(0)), "just now");
        assert_eq!(ago(at(3_600), at(0)), "1 h ago");
        assert_eq!(ago(at(0), at(9)), "just now");
        assert_eq!(ago(at(172_800), at(0)), "2 days ago");
    }
}
