//! Which findings make a recording fail.

use clap::ValueEnum;

use super::{Denial, Episode, Report, RoleFilter, RuleRefusal, Scope, Verdict, misses_rules};

/// Findings of a sort that are named, each in its own line.
const MAX_NAMED: usize = 100;

/// What to fail on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// A fatal episode
    Fatal,
    /// A degraded episode
    Degraded,
    /// A pending episode
    Pending,
    /// A denial that is neither expected nor unaudited
    Denied,
    /// A call that the kernel refused by a rule, without a capability check
    Rule,
    /// Anything missed that could hide a finding: skipped runs, full tables, missing hooks
    Blind,
}

impl FailOn {
    /// The word for it on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fatal => "fatal",
            Self::Degraded => "degraded",
            Self::Pending => "pending",
            Self::Denied => "denied",
            Self::Rule => "rule",
            Self::Blind => "blind",
        }
    }
}

/// What `--fail-on` and `--role` ask for.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    /// What to fail on.
    pub fail_on: Vec<FailOn>,
    /// Whose findings count; everyone's where none is named.
    pub role: Option<RoleFilter>,
}

impl Gate {
    /// The gate of a report that nobody asked to fail: every drop that failed.
    pub fn failed_drops() -> Self {
        Self {
            fail_on: vec![FailOn::Fatal, FailOn::Degraded, FailOn::Pending],
            role: None,
        }
    }

    /// Whether an episode matches.
    pub fn stops_episode(&self, episode: &Episode) -> bool {
        let fail_on = match episode.verdict {
            Verdict::Fatal => FailOn::Fatal,
            Verdict::Degraded => FailOn::Degraded,
            Verdict::Pending => FailOn::Pending,
            Verdict::Ok | Verdict::Harmless => return false,
        };
        self.fail_on.contains(&fail_on) && self.counts(episode.role.as_deref())
    }

    /// Whether a row of denials matches.
    pub fn stops_denial(&self, denial: &Denial) -> bool {
        self.fail_on.contains(&FailOn::Denied)
            && self.counts(denial.role.as_deref())
            && denial.is_notable()
    }

    /// Whether a row of calls that a rule refused matches.
    pub fn stops_refusal(&self, refusal: &RuleRefusal) -> bool {
        self.fail_on.contains(&FailOn::Rule)
            && self.counts(refusal.role.as_deref())
            && refusal.errno != 0
    }

    /// Why there being no match proves nothing: what is asked for has no hook here.
    pub fn unseen(&self, report: &Report) -> Option<&'static str> {
        let unseen = self.fail_on.contains(&FailOn::Rule) && misses_rules(&report.hooks);
        unseen.then_some("no hook here shows what rules refuse")
    }

    fn counts(&self, role: Option<&str>) -> bool {
        match self.role {
            None => true,
            Some(RoleFilter::Supervisor) => role == Some("supervisor"),
            Some(RoleFilter::Workload) => role == Some("workload"),
        }
    }

    /// How many findings match that the report does not list, by what they match;
    /// they are known by number alone.
    pub fn unlisted(&self, report: &Report) -> Vec<(FailOn, u64)> {
        let episodes: Vec<_> = self.stopped_episodes(report).collect();
        let denials: Vec<_> = self.stopped_denials(report).collect();
        let refusals: Vec<_> = self.stopped_refusals(report).collect();
        self.beyond(report, &episodes, &denials, &refusals)
    }

    fn stopped_refusals<'a>(&'a self, report: &'a Report) -> impl Iterator<Item = &'a RuleRefusal> {
        let refusals = report.rule_refusals.iter();
        refusals.filter(|refusal| self.stops_refusal(refusal))
    }

    fn stopped_episodes<'a>(&'a self, report: &'a Report) -> impl Iterator<Item = &'a Episode> {
        let of = |scope: Scope| {
            let episodes = report.episodes.iter();
            episodes.filter(move |episode| episode.scope == scope)
        };
        // The command's own are named first.
        let episodes = Scope::ALL.into_iter().flat_map(of);
        episodes.filter(|episode| self.stops_episode(episode))
    }

    fn stopped_denials<'a>(&'a self, report: &'a Report) -> impl Iterator<Item = &'a Denial> {
        let of = |scope: Scope| {
            let denials = report.denials.iter();
            denials.filter(move |denial| denial.scope == scope)
        };
        let denials = Scope::ALL.into_iter().flat_map(of);
        denials.filter(|denial| self.stops_denial(denial))
    }

    /// How many findings match beside these.
    fn beyond(
        &self,
        report: &Report,
        episodes: &[&Episode],
        denials: &[&Denial],
        refusals: &[&RuleRefusal],
    ) -> Vec<(FailOn, u64)> {
        let counts = &report.counts;
        let of_verdict = |verdict: Verdict| {
            let all = counts.episodes.of_role(self.role, verdict);
            let these = episodes.iter().filter(|one| one.verdict == verdict);
            all.saturating_sub(these.count() as u64)
        };
        let all = self.fail_on.iter().map(|fail_on| {
            let count = match fail_on {
                FailOn::Fatal => of_verdict(Verdict::Fatal),
                FailOn::Degraded => of_verdict(Verdict::Degraded),
                FailOn::Pending => of_verdict(Verdict::Pending),
                FailOn::Denied => {
                    let these = denials.iter().map(|row| row.count).sum();
                    counts.denials.denied(self.role).saturating_sub(these)
                }
                FailOn::Rule => {
                    let these = refusals.iter().map(|row| row.count).sum();
                    counts.rules.of_role(self.role).saturating_sub(these)
                }
                // What was missed has no number.
                FailOn::Blind => 0,
            };
            (*fail_on, count)
        });
        all.filter(|(_, count)| *count > 0).collect()
    }

    /// Why the report fails: a line for each finding that matches, up to a bound,
    /// and one for all others of a sort. It decides on counts: what is listed is a
    /// choice.
    pub fn matches(&self, report: &Report) -> Vec<String> {
        let episodes: Vec<_> = self.stopped_episodes(report).take(MAX_NAMED).collect();
        let denials: Vec<_> = self.stopped_denials(report).take(MAX_NAMED).collect();
        let refusals: Vec<_> = self.stopped_refusals(report).take(MAX_NAMED).collect();
        let mut why: Vec<_> = episodes
            .iter()
            .map(|episode| {
                let apart = apart(episode.scope);
                format!("{}: episode {}{apart}", episode.verdict, episode.id)
            })
            .collect();
        why.extend(denials.iter().map(|denial| {
            format!(
                "denied: {} by {} to {}{}",
                denial.capability,
                denial.layer,
                denial.comm,
                apart(denial.scope)
            )
        }));
        why.extend(refusals.iter().map(|refusal| {
            format!(
                "rule: {} of {}: {}{}",
                refusal.call,
                refusal.exe.as_deref().unwrap_or(&refusal.comm),
                refusal.rule,
                apart(refusal.scope)
            )
        }));
        let beyond = self.beyond(report, &episodes, &denials, &refusals);
        why.extend(beyond.iter().map(|(what, count)| {
            let findings = match what {
                FailOn::Denied => "denials",
                FailOn::Rule => "calls",
                _ => "episodes",
            };
            format!("{}: {count} more {findings}", what.as_str())
        }));
        why.extend(self.unseen(report).map(|why| format!("rule: {why}")));
        if self.fail_on.contains(&FailOn::Blind) {
            why.extend(report.sight.hiding().map(|lapse| format!("blind: {lapse}")));
        }
        why
    }
}

/// What is put behind what is beside the recorded command; the scope of everything
/// else follows from how it was recorded.
fn apart(scope: Scope) -> &'static str {
    match scope {
        Scope::Beside => ", beside the command",
        Scope::Tree | Scope::Host => "",
    }
}
