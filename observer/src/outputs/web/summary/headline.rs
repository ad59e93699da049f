//! The sentences at the top of the page.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Group, Summary, ago, plural};
use crate::{
    correlate::listed,
    finding::{Verdict, Workload, misses_rules},
    outputs::web::view::Status,
    time::Stamp,
};

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

impl Summary {
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
    pub(super) fn below(&self) -> String {
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

/// That workloads run on with capabilities that should be gone, whatever their owner.
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
        } else if misses_rules(&status.hooks) {
            ("ok", "The agent sees everything except refusals by rules")
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

const fn what_became(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Fatal => "exited after a refused drop",
        Verdict::Degraded => "runs its workload with capabilities left",
        Verdict::Pending => "is running with capabilities left",
        Verdict::Harmless | Verdict::Ok => "is well",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::{HookReport, Host, SourceReport},
        sandbox,
        sight::Sight,
    };

    fn hook(name: &str, attached: bool) -> HookReport {
        HookReport {
            hook: name.to_owned(),
            mechanism: None,
            attached,
            needed: attached,
            reason: None,
        }
    }

    fn status(hooks: Vec<HookReport>) -> Status {
        Status {
            pins: None,
            sandbox: sandbox::Report::default(),
            schema: String::new(),
            version: String::new(),
            ready: true,
            reason: None,
            now: Stamp(1),
            started: Stamp(0),
            node: String::new(),
            host: Host::default(),
            hooks,
            sources: vec![SourceReport {
                name: "netlink".to_owned(),
                up: true,
                records: 0,
                lost: 0,
                malformed: 0,
                reason: None,
            }],
            lost: std::collections::BTreeMap::new(),
            sight: Sight::default(),
        }
    }

    #[test]
    fn an_agent_without_a_hook_for_rules_does_not_see_everything() {
        let checks = || hook("cap_capable", true);
        let seen = Headline::agent(&status(vec![checks(), hook("cap_capset", true)]));
        assert_eq!(seen.title, "The agent sees everything");
        let unseen = Headline::agent(&status(vec![checks(), hook("cap_capset", false)]));
        assert_eq!(
            unseen.title,
            "The agent sees everything except refusals by rules"
        );
        let none = Headline::agent(&status(vec![hook("cap_capable", false)]));
        assert_eq!(none.level, "partial", "{none:?}");
    }
}
