//! Joins observations and gives verdicts. No I/O and no clock: observations
//! carry their stamps: a recorded stream gives the same findings.

mod calls;
mod chain;
mod denial;
mod domain;
mod episode;
mod explain;
mod inferred;
mod join;
mod logged;
mod near;
mod record;
mod refusal;
mod workload;

pub use calls::{Alive, Calls, Host as CallHost, SETTLE_NS};
pub use denial::{Detail, Tally, denial, name, role};
pub use episode::{CARRIED_ON_NS, Course, Now, verdict, wanted};
pub use explain::{
    Refusal, denial as explain_denial, episode as explain_episode, listed,
    logged as explain_logged, other as explain_other, rule_refusal as explain_rule,
};
pub use inferred::{cleaned, is_reserved};
pub use join::HOLD_NS;
pub use logged::{LoggedDrops, episode as logged_episode};
pub use near::NEAR_NS;

use std::sync::Arc;

use domain::Domains;
use inferred::Inferred;
use join::{Join, Joined};
use near::Near;
use refusal::FailedExecs;
use workload::Workloads;

use crate::{
    config::Rules,
    finding::{Event, EventKind, LossEvent, Scope, SupervisorEvent},
    observation::{
        BreachSeen, DenialSeen, EpisodeSeen, Observation, Owner, ProcessSeen, Row, WorkloadSeen,
    },
    time::Stamp,
    words::Role,
};

/// What an observation comes to.
#[derive(Clone, Debug)]
pub struct Finding {
    /// As every output shows it.
    pub event: Event,
    /// How far from the command that `capwatch record` runs it happened.
    pub scope: Scope,
    /// The row of a denial, and what is known of it.
    pub row: Option<(Row, Detail)>,
    /// The row that an audit record was joined with.
    pub joined: Option<Row>,
}

impl Finding {
    /// That something was lost: it may concern anyone.
    pub fn lost(time: Stamp, loss: LossEvent) -> Self {
        Self {
            event: Event::new(time, EventKind::Loss(loss)),
            scope: Scope::Host,
            row: None,
            joined: None,
        }
    }
}

/// Turns observations into findings.
pub struct Correlator {
    rules: Arc<Rules>,
    join: Join,
    near: Near,
    domains: Domains,
    inferred: Inferred,
    workloads: Workloads,
    failed_execs: FailedExecs,
}

impl Correlator {
    /// A correlator that knows supervisors by these rules.
    pub fn new(rules: Arc<Rules>) -> Self {
        Self {
            rules,
            join: Join::default(),
            near: Near::default(),
            domains: Domains::default(),
            inferred: Inferred::default(),
            workloads: Workloads::default(),
            failed_execs: FailedExecs::default(),
        }
    }

    /// Knows supervisors by other rules from now on.
    pub fn set_rules(&mut self, rules: Arc<Rules>) {
        self.rules = rules;
    }

    /// What an observation comes to: the finding itself, and the audit record
    /// that had waited for it.
    pub fn observe(&mut self, observation: Observation) -> Vec<Finding> {
        match observation {
            Observation::Denial(seen) => {
                let supervisor = name(&self.rules, seen.row().owner.rule);
                let joined = self.join.event(&seen, supervisor);
                let joined = joined.into_iter().map(audit);
                let finding = self.denial(&seen);
                let repeated = match &finding.event.kind {
                    EventKind::Denial(denial) => self.near.denial(denial, seen.time),
                    _ => Vec::new(),
                };
                std::iter::once(finding)
                    .chain(joined)
                    .chain(repeated)
                    .collect()
            }
            Observation::Episode(seen) => {
                let seen = self.domains.episode(*seen);
                seen.iter().map(|seen| self.episode(seen)).collect()
            }
            Observation::Process(seen) => vec![self.process(&seen)],
            Observation::Workload(seen) => {
                let alone = self.workloads.enter(*seen);
                alone.iter().filter_map(|seen| self.skipped(seen)).collect()
            }
            Observation::Breach(seen) => vec![self.breach(&seen)],
            Observation::Audit(seen) => {
                let named = self.domains.record(&seen.record);
                let joined = self.join.record(*seen).into_iter().map(audit);
                let named = named.iter().map(|seen| self.episode(seen));
                named.chain(joined).collect()
            }
        }
    }

    /// What has waited for too long: records that no event came for, episodes
    /// whose record did not come.
    pub fn expire(&mut self, now: Stamp) -> Vec<Finding> {
        let (alone, unnamed) = (self.join.expire(now), self.domains.expire(now));
        let mut findings = self.settled(alone, &unnamed);
        let launched = self.workloads.expire(now);
        findings.extend(launched.iter().filter_map(|seen| self.skipped(seen)));
        findings
    }

    /// Whether it matters that time passes.
    pub fn is_waiting(&self) -> bool {
        self.join.is_waiting() || self.holds_states()
    }

    /// Whether something that the kernel reported waits.
    pub fn holds_states(&self) -> bool {
        self.domains.is_waiting() || self.workloads.is_waiting()
    }

    /// What the kernel reported and still waits; records go on waiting.
    pub fn finish_states(&mut self) -> Vec<Finding> {
        let unnamed = self.domains.finish();
        let mut findings = self.settled(Vec::new(), &unnamed);
        let launched = self.workloads.finish();
        findings.extend(launched.iter().filter_map(|seen| self.skipped(seen)));
        findings
    }

    /// What still waits, at the end of a stream.
    pub fn finish(&mut self) -> Vec<Finding> {
        let (alone, unnamed) = (self.join.finish(), self.domains.finish());
        let mut findings = self.settled(alone, &unnamed);
        let launched = self.workloads.finish();
        findings.extend(launched.iter().filter_map(|seen| self.skipped(seen)));
        findings
    }

    fn settled(&mut self, alone: Vec<Joined>, unnamed: &[EpisodeSeen]) -> Vec<Finding> {
        let unnamed = unnamed.iter().map(|seen| self.episode(seen));
        unnamed.chain(alone.into_iter().map(audit)).collect()
    }

    /// Whether something younger than so many nanoseconds waits to be joined.
    pub fn waits(&self, now: Stamp, younger: u64) -> bool {
        self.join.waits(now, younger) || self.domains.waits(now, younger)
    }

    fn episode(&mut self, seen: &EpisodeSeen) -> Finding {
        let workload = self.workloads.take(seen);
        let is_launched = self.is_launched(&seen.episode.owner);
        let named = self.by_deed(seen);
        let seen_as = named.as_ref().unwrap_or(seen);
        let execs = &self.failed_execs;
        let mut episode = episode::finding(seen_as, workload.as_ref(), &self.rules, execs);
        if named.is_some() && is_launched {
            // Of the process that launched it.
            episode.version = None;
        } else if episode.supervisor.is_none() || is_launched {
            self.inferred.infer(&mut episode, &self.rules);
        }
        self.near.judge(&mut episode, seen.until);
        Finding {
            event: Event::new(seen.until, EventKind::Episode(episode)),
            scope: seen.scope,
            row: None,
            joined: None,
        }
    }

    /// The episode of a process that nobody owns, or that was only launched by its
    /// owner, under the rule that knows its executable.
    fn by_deed(&self, seen: &EpisodeSeen) -> Option<EpisodeSeen> {
        let owner = &seen.episode.owner;
        if owner.rule != 0 && !self.is_launched(owner) {
            return None;
        }
        let owner = Owner {
            rule: self.rules.by_deed(seen.episode.exe.as_deref()?)?,
            role: Role::Supervisor,
            ..*owner
        };
        let mut seen = seen.clone();
        seen.episode.owner = owner;
        Some(seen)
    }

    /// Whether only a launcher is above a process, which is gone by now.
    fn is_launched(&self, owner: &Owner) -> bool {
        let rule = self.rules.get(owner.rule);
        rule.is_some_and(|rule| rule.launcher) && owner.role == Role::Workload
    }

    /// The finding of a workload that should have less, where nothing was tried.
    fn skipped(&self, seen: &WorkloadSeen) -> Option<Finding> {
        let episode = episode::skipped(seen, &self.rules)?;
        Some(Finding {
            event: Event::new(seen.time, EventKind::Episode(episode)),
            scope: seen.scope,
            row: None,
            joined: None,
        })
    }

    /// The finding of an episode that a log alone reports.
    pub fn logged(&mut self, mut episode: crate::finding::Episode, time: Stamp) -> Finding {
        if episode.supervisor.is_none() {
            self.inferred.infer(&mut episode, &self.rules);
        }
        Finding {
            scope: episode.scope,
            event: Event::new(time, EventKind::Episode(episode)),
            row: None,
            joined: None,
        }
    }

    fn breach(&mut self, seen: &BreachSeen) -> Finding {
        let refusal = refusal::finding(seen, &self.rules);
        self.failed_execs.note(&refusal);
        Finding {
            event: Event::new(seen.time, EventKind::RuleRefusal(Box::new(refusal))),
            scope: seen.scope,
            row: None,
            joined: None,
        }
    }

    fn denial(&self, seen: &DenialSeen) -> Finding {
        let tally = Tally {
            count: seen.count,
            first: seen.time,
            last: seen.time,
        };
        let detail = Detail {
            pid: seen.event.tgid,
            exe: seen.event.exe.clone().unwrap_or_default(),
            target: seen.event.target,
            namespace: None,
            profile: seen.profile.clone(),
            container: seen.container.clone(),
            chain: chain::chain(
                &seen.event.ancestors,
                &seen.row().owner,
                seen.event.tgid,
                seen.row().comm.to_string(),
            ),
        };
        let denial = denial(seen.row(), tally, seen.scope, Some(&detail), &self.rules);
        Finding {
            event: Event::new(seen.time, EventKind::Denial(denial)),
            scope: seen.scope,
            row: Some((*seen.row(), detail)),
            joined: None,
        }
    }

    /// The finding of a supervisor that came or went.
    pub fn process(&self, seen: &ProcessSeen) -> Finding {
        let event = &seen.event;
        let supervisor = SupervisorEvent {
            supervisor: name(&self.rules, event.owner.rule).unwrap_or_default(),
            change: event.change.as_str().to_owned(),
            pid: event.owner.tgid,
            ppid: event.ppid,
            exe: event.exe.clone(),
            version: seen.version.clone(),
            container: seen.container.clone(),
            scope: seen.scope,
        };
        Finding {
            event: Event::new(seen.time, EventKind::Supervisor(supervisor)),
            scope: seen.scope,
            row: None,
            joined: None,
        }
    }
}

/// The finding of a record.
fn audit(joined: Joined) -> Finding {
    let (time, event, row) = record::finding(joined);
    Finding {
        scope: event.scope,
        event: Event::new(time, EventKind::Audit(event)),
        row: None,
        joined: row,
    }
}
