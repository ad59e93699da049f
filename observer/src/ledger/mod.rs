//! Counts and keeps what was found, bounded. No I/O and no clock.

mod audit;
mod counters;
mod denials;
mod episodes;
mod folded;
mod kept;
mod leftover;
mod limited;
mod supervisors;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

pub use audit::{AuditLog, AuditSeries};
pub use counters::{DenialSeries, KernelRow, KernelTotal, LsmSeries};
pub use denials::{Denials, row_name};
pub use episodes::{EpisodeSeries, Episodes, SkippedSeries};
pub use leftover::Grounds;
pub use limited::{Limited, Series};
pub use supervisors::{MAX_SERIES, Supervisors};

use crate::{
    config::Rules,
    correlate::Finding,
    finding::{
        Command, Counts, Denial, EventKind, HookReport, Host, LossEvent, REPORT_SCHEMA, Report,
        SourceReport,
    },
    sight::{self, Lapses},
    time::Stamp,
};

/// The label of what no rule matched.
pub const NONE: &str = "none";
/// The label of what found no series of its own.
pub const OVERFLOW: &str = "overflow";
/// The label of versions beyond a bound.
pub const OTHER: &str = "other";

/// Rows of denials that a report lists.
const MAX_LISTED: usize = 4_096;

/// The stage of losses in which runs of the programs that the kernel skipped
/// are told, with `missed_runs`.
pub const PROGRAM: &str = "program";
/// The stage of losses of audit records.
pub const AUDIT: &str = "audit";
/// The reason of skipped runs.
pub const MISSED_RUNS: &str = "missed_runs";

/// Everything that is known now.
pub struct Ledger {
    /// The host.
    pub host: Host,
    /// What came of every hook.
    pub hooks: Vec<HookReport>,
    /// What came of every source of audit records.
    pub sources: Vec<SourceReport>,
    /// Denials.
    pub denials: Denials,
    /// Episodes.
    pub episodes: Episodes,
    /// Supervisors that live now, and workloads that run on with what was refused.
    pub supervisors: Supervisors,
    /// What came of the audit log.
    pub audit: AuditLog,
    /// Labels of containers that are told.
    pub labels: Vec<String>,
    /// Since when, until when and how much was not seen.
    pub sight: Lapses,
    losses: BTreeMap<(String, String), u64>,
    /// Runs of the programs that the kernel skipped, by what they stand for.
    missed: BTreeMap<&'static str, u64>,
}

impl Ledger {
    /// An empty ledger that holds at most `series` series of each metric.
    pub fn new(rules: Arc<Rules>, host: Host, series: usize) -> Self {
        Self {
            host,
            hooks: Vec::new(),
            sources: Vec::new(),
            labels: rules.labels().to_vec(),
            denials: Denials::new(rules, series),
            episodes: Episodes::new(series),
            supervisors: Supervisors::default(),
            audit: AuditLog::new(series),
            sight: Lapses::default(),
            losses: BTreeMap::new(),
            missed: BTreeMap::new(),
        }
    }

    /// Enters a finding.
    pub fn enter(&mut self, finding: &Finding) {
        match &finding.event.kind {
            EventKind::Denial(_) => {
                if let Some((key, detail)) = &finding.row {
                    self.denials.describe(*key, detail.clone());
                }
            }
            EventKind::Episode(episode) => {
                let time = finding.event.time;
                if !self.episodes.enter(episode, time, finding.in_tree) {
                    self.lose("ledger", "open_episodes_full", 1);
                }
                self.supervisors.judge(episode, finding.event.time);
            }
            EventKind::Supervisor(event) => {
                if event.change == "started" {
                    let version = event.version.as_deref().unwrap_or_default();
                    self.episodes.appear(&event.supervisor, version);
                }
                self.supervisors.enter(event, finding.event.time);
            }
            EventKind::Audit(event) => {
                if let Some(key) = &finding.joined {
                    self.denials.join(key, event);
                }
                self.audit.enter(event, finding.event.time, finding.in_tree);
            }
            EventKind::Loss(LossEvent {
                stage,
                reason,
                count,
            }) => {
                self.lose(stage, reason, *count);
            }
        }
    }

    /// Adds to the losses.
    pub fn lose(&mut self, stage: &str, reason: &str, count: u64) {
        *self
            .losses
            .entry((stage.to_owned(), reason.to_owned()))
            .or_default() += count;
    }

    /// Sets a loss that the kernel counts itself; returns by how much it grew.
    pub fn set_loss(&mut self, stage: &str, reason: &str, total: u64) -> u64 {
        let entry = self
            .losses
            .entry((stage.to_owned(), reason.to_owned()))
            .or_default();
        let grown = total.saturating_sub(*entry);
        *entry = total.max(*entry);
        grown
    }

    /// Sets how many runs of the programs the kernel skipped; returns by how many
    /// they grew.
    pub fn set_missed(&mut self, missed: BTreeMap<&'static str, u64>) -> u64 {
        self.missed = missed;
        let total = self.missed.values().sum();
        self.set_loss(PROGRAM, MISSED_RUNS, total)
    }

    /// Looks at what makes sight partial, as it stands at this time.
    pub fn look(&mut self, now: Stamp) {
        let losses = self.losses.iter();
        let losses = losses.filter(|((stage, _), _)| stage != PROGRAM && stage != AUDIT);
        let losses = losses.map(|((stage, loss), total)| (sight::reason_of(stage, loss), *total));
        let of_stage = |wanted: &str| -> u64 {
            let losses = self.losses.iter();
            let losses = losses.filter(|((stage, _), _)| stage == wanted);
            losses.map(|(_, total)| total).sum()
        };
        let told_apart: u64 = self.missed.values().sum();
        let untold = of_stage(PROGRAM).saturating_sub(told_apart);
        let missed = self.missed.iter().map(|(reason, total)| (*reason, *total));
        let sources = self.sources.iter();
        let (lost, malformed) = sources.fold((0, 0), |(lost, malformed), source| {
            (lost + source.lost, malformed + source.malformed)
        });
        let others = [
            (sight::CHECKS_MISSED, untold),
            // A loss that finds no room in the channel is in the source's count alone.
            (sight::RECORDS_LOST, of_stage(AUDIT).max(lost)),
            (sight::LINES_UNREAD, malformed),
        ];
        let hooks = self.hooks.iter().filter(|hook| hook.is_missed()).count();
        let silent = self.sources.iter().filter(|source| !source.up).count();
        self.sight.look(
            now,
            losses.chain(missed).chain(others),
            [
                (sight::HOOK_DOWN, hooks as u64),
                (sight::SOURCE_DOWN, silent as u64),
            ],
        );
    }

    /// Everything that was lost, by stage and reason.
    pub fn losses(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        let losses = self.losses.iter();
        losses.map(|((stage, reason), count)| (stage.as_str(), reason.as_str(), *count))
    }

    /// Everything that was lost, by reason; `events` is the sum, but for
    /// `missed_runs`: a run on an allowed check would have counted nothing.
    pub fn lost(&self) -> BTreeMap<String, u64> {
        let mut lost = BTreeMap::from([("events".to_owned(), 0)]);
        for (stage, reason, count) in self.losses().filter(|(_, _, count)| *count > 0) {
            if stage != PROGRAM {
                *lost.entry("events".to_owned()).or_default() += count;
            }
            *lost.entry(reason.to_owned()).or_default() += count;
        }
        lost
    }

    /// How many findings no series was free for.
    pub fn series_overflow(&self) -> u64 {
        self.denials.overflowed()
            + self.episodes.overflowed()
            + self.audit.overflowed()
            + self.supervisors.overflowed()
    }

    /// What tells why log and hooks differ.
    pub fn grounds(&self) -> Grounds {
        let kernel = self.losses().filter(|(stage, ..)| *stage == "kernel");
        Grounds {
            events_lost: kernel.map(|(_, _, count)| count).sum(),
            ..Grounds::new(&self.host, &self.hooks, &self.sources)
        }
    }

    /// A report; of the recorded tree alone where `tree_only`.
    pub fn report(&self, tree_only: bool, command: Option<Command>) -> Report {
        let grounds = self.grounds();
        let (mut denials, counted) = self.denials.report(tree_only, &grounds);
        let mut counts = Counts {
            episodes: self.episodes.counts(tree_only),
            denials: counted,
        };
        let logged = self.audit.report(tree_only, &grounds);
        for row in &logged {
            counts.denials.add(row);
        }
        denials.extend(logged);
        let mut audit = self.audit.tally(tree_only, self.denials.by_lsm(tree_only));
        for denial in &denials {
            if let (Some(reason), Some(logged)) = (&denial.leftover, denial.logged) {
                // A row of the log's alone, or one that it contradicts, is left over whole.
                let count = match denial.count - logged {
                    0 => denial.count,
                    unlogged => unlogged,
                };
                *audit.leftovers.entry(reason.clone()).or_default() += count;
            }
        }
        let denials = worthiest(denials);
        let episodes = self.episodes.report(tree_only);
        counts.shows(episodes.len(), denials.len());
        Report {
            schema: REPORT_SCHEMA.to_owned(),
            host: self.host.clone(),
            hooks: self.hooks.clone(),
            sources: self.sources.clone(),
            lost: self.lost(),
            command,
            counts,
            denials,
            episodes,
            notes: Vec::new(),
            failed_on: Vec::new(),
            audit,
            sight: self.sight.overall(),
        }
    }
}

/// The rows that a report lists, in the order given: those that may matter, of
/// these a supervisor's, then the first of each kind, then the newest.
fn worthiest(denials: Vec<Denial>) -> Vec<Denial> {
    use kept::Worth as _;

    if denials.len() <= MAX_LISTED {
        return denials;
    }
    let mut kinds = HashSet::new();
    let mut places: Vec<_> = denials
        .iter()
        .enumerate()
        .map(|(place, denial)| {
            let first = kinds.insert(counters::identity(&denial.kind()));
            // What JSON has of a time, so that a replayed report chooses the same.
            let last = denial.last.0 / 1_000;
            (Reverse((denial.rank(), first, last)), place)
        })
        .collect();
    places.sort_unstable();
    let chosen: HashSet<_> = places
        .into_iter()
        .take(MAX_LISTED)
        .map(|(_, place)| place)
        .collect();
    let denials = denials.into_iter().enumerate();
    let chosen = denials.filter(|(place, _)| chosen.contains(place));
    chosen.map(|(_, denial)| denial).collect()
}
