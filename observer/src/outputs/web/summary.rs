//! The two sentences at the top of the page, and what came of each version of a
//! supervisor: what an operator should see within ten seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;

use super::view::{Status, Supervisor, Tally, TimedEpisode};
use crate::correlate::listed;
use crate::finding::{Episode, Verdict, Workload};
use crate::ledger::{NONE, OTHER};
use crate::time::Stamp;

/// A sentence and how bad it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Headline {
    /// `fatal`, `degraded`, `pending`, `warning`, `blind`, `partial`, `starting` or `ok`.
    pub level: &'static str,
    /// A few words.
    pub title: String,
    /// The rest.
    pub detail: String,
}

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
    /// The last episode of its own.
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

    /// Takes over what an episode tells beyond its count.
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

    /// Episodes of its own.
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

    /// The sentence about what was found. It is as bad as the worst alert that
    /// the same findings raise.
    pub fn findings(&self, workloads: &[Workload], now: Stamp) -> Headline {
        let (own, inferred) = (self.worst(2), self.worst(1));
        let below = self.below();
        match own {
            Some((group, verdict)) if verdict > Verdict::Pending || workloads.is_empty() => {
                return self.failed(verdict.as_str(), group, verdict, now, &below);
            }
            _ => {}
        }
        if let Some(first) = workloads.first() {
            return left_raised(workloads, first, &below);
        }
        if let Some((group, verdict)) = inferred {
            let below = format!(
                " No rule names {}, so this is a warning only: `capwatch config suggest` prints a \
                 rule.{below}",
                group.supervisor
            );
            return self.failed("warning", group, verdict, now, &below);
        }
        let pending: u64 = self.groups.iter().map(Group::pending).sum();
        if pending > 0 {
            return Headline {
                level: "pending",
                title: format!(
                    "{pending} {} with capabilities left after a refused drop",
                    if pending == 1 {
                        "process is running"
                    } else {
                        "processes are running"
                    }
                ),
                detail: format!("None of them is a supervisor.{below}"),
            };
        }
        let own = self.groups.iter().filter(|group| group.standing() > 0);
        let episodes: u64 = own.map(Group::all).sum();
        Headline {
            level: "ok",
            title: "No known supervisor failed to drop capabilities".to_owned(),
            detail: format!(
                "{episodes} supervisor {}, none of them fatal, degraded or pending.{below}",
                plural(episodes, "episode")
            ),
        }
    }

    /// What was refused to others than supervisors.
    fn below(&self) -> String {
        let workloads: u64 = self.groups.iter().map(|group| group.workload_refused).sum();
        let strangers = self.groups.iter().filter(|group| group.standing() == 0);
        let strangers: u64 = strangers.map(Group::refused).sum();
        let mut below = String::new();
        for (count, place) in [
            (workloads, "in workloads"),
            (strangers, "in unknown processes"),
        ] {
            if count > 0 {
                let _ = write!(below, " {count} {} {place}.", plural(count, "failure"));
            }
        }
        below
    }

    /// That drops were refused to supervisors, of which this is the worst.
    fn failed(
        &self,
        level: &'static str,
        group: &Group,
        verdict: Verdict,
        now: Stamp,
        below: &str,
    ) -> Headline {
        let alike = || {
            let groups = self.groups.iter();
            groups.filter(|one| one.standing() == group.standing())
        };
        let counts = [Verdict::Fatal, Verdict::Degraded, Verdict::Pending]
            .into_iter()
            .map(|verdict| (verdict, alike().map(|one| one.count(verdict)).sum::<u64>()))
            .filter(|(_, count)| *count > 0)
            .map(|(verdict, count)| format!("{count} {verdict}"))
            .collect::<Vec<_>>()
            .join(", ");
        let affected = alike()
            .filter(|group| group.worst() >= Some(Verdict::Pending))
            .count() as u64;
        let last = match &group.last {
            Some(last) => format!(
                " Most recent: {}, {}.",
                group.supervisor,
                ago(now, last.time)
            ),
            None => String::new(),
        };
        Headline {
            level,
            title: format!("{} {}", group.name(), what_became(verdict)),
            detail: format!(
                "Refused by {}. {counts} ({affected} supervisor {}).{last}{below}",
                group.layers(),
                plural(affected, "version"),
            ),
        }
    }
}

/// That workloads run on with what should be gone, whoever's they are.
fn left_raised(workloads: &[Workload], first: &Workload, below: &str) -> Headline {
    let count = workloads.len() as u64;
    let of = match &first.supervisor {
        Some(supervisor) => format!(" of {supervisor}"),
        None => String::new(),
    };
    Headline {
        level: "degraded",
        title: format!(
            "{count} {} with capabilities that should be gone",
            if count == 1 {
                "workload runs"
            } else {
                "workloads run"
            }
        ),
        detail: format!(
            "{} (pid {}){of} still has {}: fix the cause, then restart it.{below}",
            first.comm,
            first.pid,
            listed(&first.residual)
        ),
    }
}

impl Group {
    /// The supervisor with its version, as short as it may be.
    pub fn name(&self) -> String {
        match &self.version {
            Some(version) => {
                let short = short_version(version);
                // An image of the same name needn't tell the name twice.
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

impl Headline {
    /// The sentence about what the agent can see.
    pub fn agent(status: &Status) -> Self {
        let hooks = status.hooks.iter().filter(|hook| hook.attached).count();
        let missed = status.hooks.iter().filter(|hook| hook.is_missed()).count();
        let sources = status.sources.iter().filter(|source| source.up).count();
        let lost = status.lost.get("events").copied().unwrap_or_default();
        let complete = missed == 0 && hooks > 0 && sources > 0;
        let (level, title) = if !status.ready {
            ("starting", "The agent is starting")
        } else if hooks == 0 && sources == 0 {
            ("blind", "The agent sees nothing")
        } else if !complete {
            ("partial", "The agent sees only a part")
        } else if lost > 0 {
            ("partial", "The agent lost events")
        } else {
            ("ok", "The agent sees everything")
        };
        let reason = match (&status.reason, status.ready) {
            (Some(reason), false) => format!(" {reason}."),
            _ => String::new(),
        };
        Self {
            level,
            title: title.to_owned(),
            detail: format!(
                "{hooks} of {} hooks attached, {sources} of {} audit sources connected, {lost} {} lost.{reason}",
                hooks + missed,
                status.sources.len(),
                plural(lost, "event"),
            ),
        }
    }
}

fn of_workload(episode: &Episode) -> bool {
    episode.role.as_deref() == Some("workload")
}

const fn what_became(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Fatal => "exited after a refused drop",
        Verdict::Degraded => "runs its workload with capabilities left",
        Verdict::Pending => "is running with capabilities left",
        Verdict::Harmless | Verdict::Ok => "is well",
    }
}

/// A word for one or for many.
pub fn plural(count: u64, word: &str) -> String {
    if count == 1 {
        word.to_owned()
    } else {
        format!("{word}s")
    }
}

/// A version without what a person can't tell apart anyway: the registry's
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
