//! Counts and keeps what was found, bounded. No I/O and no clock.

mod audit;
mod counters;
mod denials;
mod episodes;
mod folded;
mod kept;
mod leftover;
mod limited;
mod losses;
mod made;
mod others;
mod refusals;
mod reported;
mod room;
mod saved;
mod series;
mod supervisors;

use std::{collections::BTreeMap, sync::Arc};

pub use crate::finding::{NONE, OTHER, OVERFLOW};
pub use audit::AuditLog;
pub use counters::{KernelRow, KernelTotal};
pub use denials::{Denials, FoldedRow, row_name};
pub use episodes::Episodes;
pub use leftover::Grounds;
pub use limited::{Limited, Series};
use made::MadeBeside;
pub use others::Others;
pub use refusals::Refusals;
pub use saved::{Kernel, Saved, SavedSource};
pub use series::{
    AuditSeries, DenialSeries, DropSeries, EpisodeSeries, LsmSeries, RefusalSeries, SkippedSeries,
};
pub use supervisors::{MAX_SERIES, Supervisors};

use crate::{
    config::Rules,
    correlate::Finding,
    finding::{Course, EventKind, HookReport, Host, LossEvent, Made, Scope, SourceReport},
    sight::Lapses,
};

/// The stage of losses in which runs of the programs that the kernel skipped
/// are reported, with `missed_runs`.
pub const PROGRAM: &str = "program";
/// The stage of losses of audit records.
pub const AUDIT: &str = "audit";
/// The stage of look-ups of names.
pub const LOOKUP: &str = "lookup";
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
    /// What it reports beside denials.
    pub others: Others,
    /// What rules refused.
    pub refusals: Refusals,
    /// Labels of containers that are reported.
    pub labels: Vec<String>,
    /// Since when, until when and how much was not seen.
    pub sight: Lapses,
    /// What counts don't show of the recorded command's scope.
    pub course: Course,
    made: MadeBeside,
    losses: BTreeMap<(String, String), u64>,
    /// What the kernel had counted of losses before it began again.
    loss_bases: BTreeMap<(String, String), u64>,
    /// What sources had counted before this agent.
    source_bases: BTreeMap<String, SavedSource>,
    /// Runs of the programs that the kernel skipped, by what they stand for.
    missed: BTreeMap<&'static str, u64>,
    /// Capabilities to look up names that this process lacks.
    pub privileges_missing: u64,
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
            others: Others::default(),
            refusals: Refusals::new(series),
            sight: Lapses::default(),
            course: Course::default(),
            made: MadeBeside::default(),
            losses: BTreeMap::new(),
            loss_bases: BTreeMap::new(),
            source_bases: BTreeMap::new(),
            missed: BTreeMap::new(),
            privileges_missing: 0,
        }
    }

    /// Gives the room back that a storm took.
    pub fn trim(&mut self) {
        self.denials.trim();
        self.episodes.trim();
    }

    /// Enters a finding.
    pub fn enter(&mut self, finding: &Finding) {
        if finding.scope == Scope::Beside {
            self.note_made(&finding.event.kind);
        }
        match &finding.event.kind {
            EventKind::Denial(_) => {
                if let Some((key, detail)) = &finding.row {
                    self.denials.describe(*key, detail.clone());
                }
            }
            EventKind::Episode(episode) => {
                let time = finding.event.time;
                if !self.episodes.enter(episode, time, finding.scope) {
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
                self.audit.enter(event, finding.event.time, finding.scope);
                if event.result == "not_a_denial" {
                    let time = finding.event.time;
                    self.others.enter_event(event, time, finding.scope);
                }
            }
            EventKind::RuleRefusal(refusal) => self.refusals.enter(refusal, finding.scope),
            EventKind::Loss(LossEvent {
                stage,
                reason,
                count,
            }) => {
                self.lose(stage, reason, *count);
            }
        }
    }

    /// Keeps which container or unit something beside the recorded tree was of.
    pub fn note_made(&mut self, event: &EventKind) {
        let container = match event {
            EventKind::Denial(denial) => denial.container.as_deref(),
            EventKind::Episode(episode) => episode.container.as_deref(),
            EventKind::Supervisor(event) => event.container.as_deref(),
            EventKind::RuleRefusal(refusal) => refusal.container.as_deref(),
            // The record of a denial, which has one.
            EventKind::Audit(_) | EventKind::Loss(_) => return,
        };
        self.made.note(Made::new(container));
    }

    /// Keeps a container or unit that lives beside the recorded tree, or that a
    /// recording had.
    pub fn keep_made(&mut self, made: Made, more: u64) {
        self.made.note(made);
        self.made.more = self.made.more.max(more);
    }

    /// Whether anything was seen beside the recorded tree.
    pub fn has_made(&self) -> bool {
        !self.made.is_empty()
    }

    /// How many findings no series was free for.
    pub fn series_overflow(&self) -> u64 {
        self.denials.overflowed()
            + self.episodes.overflowed()
            + self.audit.overflowed()
            + self.supervisors.overflowed()
            + self.refusals.by_series().overflowed()
    }

    /// What shows why log and hooks differ.
    pub fn grounds(&self) -> Grounds {
        let kernel = self.losses().filter(|(stage, ..)| *stage == "kernel");
        Grounds {
            events_lost: kernel.map(|(_, _, count)| count).sum(),
            release: self.denials.release(),
            ..Grounds::new(&self.host, &self.hooks, &self.sources)
        }
    }
}
