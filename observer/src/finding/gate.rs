//! Which findings make a recording fail.

use clap::ValueEnum;

use super::{Denial, Episode, Report, Verdict};

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
            Self::Blind => "blind",
        }
    }
}

/// Whose findings count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RoleFilter {
    /// A supervisor's own
    Supervisor,
    /// A workload's
    Workload,
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
            && denial.is_telling()
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
        let episodes = |verdict: Verdict| {
            let all = report.counts.episodes.of_role(self.role, verdict);
            let listed = report.episodes.iter();
            let listed = listed.filter(|episode| {
                episode.verdict == verdict && self.counts(episode.role.as_deref())
            });
            all.saturating_sub(listed.count() as u64)
        };
        let unlisted = self.fail_on.iter().map(|fail_on| {
            let count = match fail_on {
                FailOn::Fatal => episodes(Verdict::Fatal),
                FailOn::Degraded => episodes(Verdict::Degraded),
                FailOn::Pending => episodes(Verdict::Pending),
                // What was missed has no number.
                FailOn::Blind => 0,
                FailOn::Denied => {
                    let listed = report.denials.iter().filter(|row| self.stops_denial(row));
                    let listed = listed.map(|row| row.count).sum();
                    report
                        .counts
                        .denials
                        .denied(self.role)
                        .saturating_sub(listed)
                }
            };
            (*fail_on, count)
        });
        unlisted.filter(|(_, count)| *count > 0).collect()
    }

    /// Why the report fails: a line for each finding that matches, and one for
    /// those that are known by number alone. It decides on counts: what is listed
    /// is a choice.
    pub fn matches(&self, report: &Report) -> Vec<String> {
        let episodes = report.episodes.iter();
        let episodes = episodes.filter(|episode| self.stops_episode(episode));
        let mut why: Vec<_> = episodes
            .map(|episode| format!("{}: episode {}", episode.verdict, episode.id))
            .collect();
        let denials = report.denials.iter();
        let denials = denials.filter(|denial| self.stops_denial(denial));
        why.extend(denials.map(|denial| {
            format!(
                "denied: {} by {} to {}",
                denial.capability, denial.layer, denial.comm
            )
        }));
        why.extend(self.unlisted(report).iter().map(|(what, count)| {
            let word = what.as_str();
            match what {
                FailOn::Denied => format!("{word}: {count} more denials, not listed"),
                _ => format!("{word}: {count} more episodes, not listed"),
            }
        }));
        if self.fail_on.contains(&FailOn::Blind) {
            why.extend(report.sight.hiding().map(|lapse| format!("blind: {lapse}")));
        }
        why
    }
}
