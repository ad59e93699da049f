//! What `capwatch record --fail-on` matches.

use clap::ValueEnum;

use crate::{
    caps,
    finding::{Denial, Report, Verdict},
};

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
}

/// Whose findings count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RoleFilter {
    /// A supervisor's own
    Supervisor,
    /// A workload's
    Workload,
}

/// Why the report fails: a line for each finding that matches.
pub fn matches(report: &Report, fail_on: &[FailOn], role: Option<RoleFilter>) -> Vec<String> {
    let counts = |found: &Option<String>| match role {
        None => true,
        Some(RoleFilter::Supervisor) => found.as_deref() == Some("supervisor"),
        Some(RoleFilter::Workload) => found.as_deref() == Some("workload"),
    };
    let verdict = |verdict: Verdict| match verdict {
        Verdict::Fatal => fail_on.contains(&FailOn::Fatal),
        Verdict::Degraded => fail_on.contains(&FailOn::Degraded),
        Verdict::Pending => fail_on.contains(&FailOn::Pending),
        Verdict::Ok | Verdict::Harmless => false,
    };
    let episodes = report.episodes.iter();
    let episodes = episodes.filter(|episode| counts(&episode.role) && verdict(episode.verdict));
    let mut why: Vec<_> = episodes
        .map(|episode| format!("{}: episode {}", episode.verdict, episode.id))
        .collect();
    if fail_on.contains(&FailOn::Denied) {
        let denials = report.denials.iter();
        let denials = denials.filter(|denial| counts(&denial.role) && is_telling(denial));
        why.extend(denials.map(|denial| {
            format!(
                "denied: {} by {} to {}",
                denial.capability, denial.layer, denial.comm
            )
        }));
    }
    why
}

/// Leaves out what a rule expects, what nobody wanted a record of, and the
/// tracepoint's memory accounting.
fn is_telling(denial: &Denial) -> bool {
    let accounting = denial.audited == "unknown" && denial.number == caps::SYS_ADMIN;
    !denial.expected && denial.audited != "no" && !accounting
}
