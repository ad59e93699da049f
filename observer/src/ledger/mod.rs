//! Counts and keeps what was found, bounded. No I/O and no clock.

mod audit;
mod counters;
mod denials;
mod episodes;
mod folded;
mod kept;
mod leftover;
mod limited;
mod made;
mod others;
mod refusals;
mod room;
mod saved;
mod series;
mod supervisors;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

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
    finding::{
        Command, Counts, Course, Denial, EventKind, HookReport, Host, LossEvent, Made,
        REPORT_SCHEMA, Report, Scope, Scoped, SourceReport,
    },
    observation::identity,
    sight::{self, Lapses},
    time::Stamp,
};

/// Rows of denials that a report lists.
const MAX_LISTED: usize = 4_096;

/// The stage of losses in which runs of the programs that the kernel skipped
/// are told, with `missed_runs`.
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
    /// What it tells beside denials.
    pub others: Others,
    /// What rules refused.
    pub refusals: Refusals,
    /// Labels of containers that are told.
    pub labels: Vec<String>,
    /// Since when, until when and how much was not seen.
    pub sight: Lapses,
    /// What counts don't tell of the recorded command's scope.
    pub course: Course,
    made: MadeBeside,
    losses: BTreeMap<(String, String), u64>,
    /// What the kernel had counted of losses before it began anew.
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
            EventKind::Denial(denial) => denial.container.as_ref(),
            EventKind::Episode(episode) => episode.container.as_ref(),
            EventKind::Supervisor(event) => event.container.as_ref(),
            EventKind::RuleRefusal(refusal) => refusal.container.as_ref(),
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

    /// Adds to the losses.
    pub fn lose(&mut self, stage: &str, reason: &str, count: u64) {
        *self
            .losses
            .entry((stage.to_owned(), reason.to_owned()))
            .or_default() += count;
    }

    /// Sets a loss that the kernel counts itself; returns by how much it grew.
    pub fn set_loss(&mut self, stage: &str, reason: &str, total: u64) -> u64 {
        let name = (stage.to_owned(), reason.to_owned());
        let total = total + self.loss_bases.get(&name).copied().unwrap_or_default();
        let entry = self.losses.entry(name).or_default();
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

    /// Sets what sources tell, beside what they had told an agent before.
    pub fn set_sources(&mut self, mut sources: Vec<SourceReport>) {
        for source in &mut sources {
            if let Some(base) = self.source_bases.get(&source.name) {
                source.records += base.records;
                source.lost += base.lost;
                source.malformed += base.malformed;
            }
        }
        self.audit
            .set_malformed(sources.iter().map(|source| source.malformed).sum());
        self.sources = sources;
    }

    /// What is known by now is no news: sight begins at this time.
    pub fn begin_sight(&mut self, at: Stamp) {
        self.look(at);
        self.sight.forget();
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
                (sight::PRIVILEGE_MISSING, self.privileges_missing),
            ],
        );
    }

    /// Everything that was lost, by stage and reason.
    pub fn losses(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        let losses = self.losses.iter();
        losses.map(|((stage, reason), count)| (stage.as_str(), reason.as_str(), *count))
    }

    /// Everything that was lost, by reason; `events` is the sum, but for
    /// `missed_runs` (a run on an allowed check would have counted nothing) and
    /// late look-ups (what they cost is a name).
    pub fn lost(&self) -> BTreeMap<String, u64> {
        let mut lost = BTreeMap::from([("events".to_owned(), 0)]);
        for (stage, reason, count) in self.losses().filter(|(_, _, count)| *count > 0) {
            if stage != PROGRAM && stage != LOOKUP {
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
            + self.refusals.by_series().overflowed()
    }

    /// What tells why log and hooks differ.
    pub fn grounds(&self) -> Grounds {
        let kernel = self.losses().filter(|(stage, ..)| *stage == "kernel");
        Grounds {
            events_lost: kernel.map(|(_, _, count)| count).sum(),
            release: self.denials.release(),
            ..Grounds::new(&self.host, &self.hooks, &self.sources)
        }
    }

    /// A report of a scope and those within it.
    pub fn report(&self, scope: Scope, command: Option<Command>) -> Report {
        let grounds = self.grounds();
        let (mut denials, by_scope) = self.denials.report(scope, &grounds);
        let mut parts = by_scope.map(|denials| Counts {
            denials,
            ..Counts::default()
        });
        let logged = self.audit.report(scope, &grounds);
        for row in &logged {
            parts[row.scope as usize].denials.add(row);
        }
        denials.extend(logged);
        let mut audit = self.audit.tally(scope, self.denials.by_lsm(scope));
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
        let episodes = self.episodes.report(scope);
        let mut counts = Counts::default();
        for part in scope.parts() {
            let of_part = &mut parts[part as usize];
            of_part.episodes = self.episodes.counts(part).clone();
            of_part.rules = self.refusals.counts(part);
            of_part.shows(
                episodes.iter().filter(|one| one.scope == part).count(),
                denials.iter().filter(|one| one.scope == part).count(),
            );
            counts.join(of_part);
        }
        counts.shows(episodes.len(), denials.len());
        Report {
            schema: REPORT_SCHEMA.to_owned(),
            host: self.host.clone(),
            hooks: self.hooks.clone(),
            sources: self.sources.clone(),
            lost: self.lost(),
            scope: command.is_some().then(|| self.scoped(scope, parts)),
            command,
            counts,
            denials,
            episodes,
            rule_refusals: self.refusals.report(scope),
            others: self.others.report(scope),
            log: None,
            notes: Vec::new(),
            failed_on: Vec::new(),
            audit,
            sight: self.sight.overall(),
        }
    }

    fn scoped(&self, chosen: Scope, parts: [Counts; Scope::ALL.len()]) -> Scoped {
        let [tree, beside, host] = parts;
        let is_asked = |scope: Scope| chosen.takes(scope);
        Scoped {
            chosen,
            tree,
            beside: is_asked(Scope::Beside).then_some(beside),
            host: is_asked(Scope::Host).then_some(host),
            made: self
                .made
                .iter()
                .filter(|_| is_asked(Scope::Beside))
                .collect(),
            made_unlisted: self.made.more,
            course: self.course.clone(),
        }
    }
}

/// The rows that a report lists, in the order given. No scope takes another's
/// room.
fn worthiest(denials: Vec<Denial>) -> Vec<Denial> {
    if denials.len() <= MAX_LISTED {
        return denials;
    }
    let mut chosen = HashSet::new();
    for scope in Scope::ALL {
        chosen.extend(worthiest_of(scope, &denials));
    }
    let denials = denials.into_iter().enumerate();
    let chosen = denials.filter(|(place, _)| chosen.contains(place));
    chosen.map(|(_, denial)| denial).collect()
}

/// Places of the rows of a scope that are listed: those that may matter, of these
/// a supervisor's, then the first of each kind, then the newest.
fn worthiest_of(scope: Scope, denials: &[Denial]) -> impl Iterator<Item = usize> {
    use kept::Worth as _;

    let mut kinds = HashSet::new();
    let mut places: Vec<_> = denials
        .iter()
        .enumerate()
        .filter(|(_, denial)| denial.scope == scope)
        .map(|(place, denial)| {
            let first = kinds.insert(identity(&denial.kind()));
            // What JSON has of a time, so that a replayed report chooses the same.
            let last = denial.last.0 / 1_000;
            (Reverse((denial.rank(), first, last)), place)
        })
        .collect();
    places.sort_unstable();
    let places = places.into_iter().take(MAX_LISTED);
    places.map(|(_, place)| place)
}
