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

    /// Why the report fails: a line for each finding that matches.
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
        if self.fail_on.contains(&FailOn::Blind) {
            why.extend(report.sight.hiding().map(|lapse| format!("blind: {lapse}")));
        }
        why
    }
}
