//! How many findings there were, whatever of them is kept.

use serde::{Deserialize, Serialize};

use super::{Denial, Episode, RoleFilter, Verdict};

/// Exact counts of findings in their last state; what a report lists of them is
/// bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Episodes.
    pub episodes: EpisodeCounts,
    /// Denials.
    pub denials: DenialCounts,
    /// Calls that a rule of the kernel refused.
    #[serde(default)]
    pub rules: RuleCounts,
}

impl Counts {
    /// The counts of findings that are all listed.
    pub fn of(episodes: &[Episode], denials: &[Denial]) -> Self {
        let mut counts = Self::default();
        for episode in episodes {
            counts
                .episodes
                .add(episode.role.as_deref(), episode.verdict);
        }
        for denial in denials {
            counts.denials.add(denial);
        }
        counts.shows(episodes.len(), denials.len());
        counts
    }

    /// Adds those of another count, but not how many of its findings are listed.
    pub fn join(&mut self, other: &Self) {
        self.episodes.join(&other.episodes);
        self.denials.join(&other.denials);
        self.rules.join(other.rules);
    }

    /// Says how many episodes and rows of denials are listed.
    pub const fn shows(&mut self, episodes: usize, rows: usize) {
        self.episodes.shown = episodes as u64;
        self.denials.rows_shown = rows as u64;
    }
}

/// Episodes by role and verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpisodeCounts {
    /// All of them.
    pub all: u64,
    /// How many of them are listed.
    pub shown: u64,
    /// Of supervisors.
    pub supervisor: ByVerdict,
    /// Of their workloads.
    pub workload: ByVerdict,
    /// Of processes without a role.
    pub none: ByVerdict,
}

/// Episodes by verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByVerdict {
    /// [`Verdict::Ok`]
    pub ok: u64,
    /// [`Verdict::Harmless`]
    pub harmless: u64,
    /// [`Verdict::Pending`]
    pub pending: u64,
    /// [`Verdict::Degraded`]
    pub degraded: u64,
    /// [`Verdict::Fatal`]
    pub fatal: u64,
}

impl ByVerdict {
    /// How many have this verdict.
    pub const fn get(&self, verdict: Verdict) -> u64 {
        match verdict {
            Verdict::Ok => self.ok,
            Verdict::Harmless => self.harmless,
            Verdict::Pending => self.pending,
            Verdict::Degraded => self.degraded,
            Verdict::Fatal => self.fatal,
        }
    }

    const fn of(&mut self, verdict: Verdict) -> &mut u64 {
        match verdict {
            Verdict::Ok => &mut self.ok,
            Verdict::Harmless => &mut self.harmless,
            Verdict::Pending => &mut self.pending,
            Verdict::Degraded => &mut self.degraded,
            Verdict::Fatal => &mut self.fatal,
        }
    }
}

impl EpisodeCounts {
    /// Counts one in.
    pub fn add(&mut self, role: Option<&str>, verdict: Verdict) {
        self.all += 1;
        *self.role(role).of(verdict) += 1;
    }

    /// Takes one out again, since it is reported in another state.
    pub fn take(&mut self, role: Option<&str>, verdict: Verdict) {
        self.all = self.all.saturating_sub(1);
        let count = self.role(role).of(verdict);
        *count = count.saturating_sub(1);
    }

    /// Adds those of another count, but not how many of them are listed.
    pub fn join(&mut self, other: &Self) {
        self.all += other.all;
        for (own, other) in [
            (&mut self.supervisor, &other.supervisor),
            (&mut self.workload, &other.workload),
            (&mut self.none, &other.none),
        ] {
            for verdict in Verdict::ALL {
                *own.of(verdict) += other.get(verdict);
            }
        }
    }

    /// How many have this verdict, of whatever role.
    pub fn verdict(&self, verdict: Verdict) -> u64 {
        let roles = [&self.supervisor, &self.workload, &self.none];
        roles.iter().map(|role| role.get(verdict)).sum()
    }

    /// How many have this verdict, of the role that is asked for.
    pub fn of_role(&self, role: Option<RoleFilter>, verdict: Verdict) -> u64 {
        match role {
            None => self.verdict(verdict),
            Some(RoleFilter::Supervisor) => self.supervisor.get(verdict),
            Some(RoleFilter::Workload) => self.workload.get(verdict),
        }
    }

    fn role(&mut self, role: Option<&str>) -> &mut ByVerdict {
        match role {
            Some("supervisor") => &mut self.supervisor,
            Some("workload") => &mut self.workload,
            _ => &mut self.none,
        }
    }
}

/// Denials by role, and the rows that they stand in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DenialCounts {
    /// Refused checks, all of them.
    pub all: u64,
    /// Rows of checks that are alike.
    pub rows: u64,
    /// How many of the rows are listed.
    pub rows_shown: u64,
    /// Checks of supervisors.
    pub supervisor: ByWorth,
    /// Checks of their workloads.
    pub workload: ByWorth,
    /// Checks of processes without a role.
    pub none: ByWorth,
}

/// Calls that a rule of the kernel refused, by role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleCounts {
    /// Of supervisors.
    pub supervisor: u64,
    /// Of their workloads.
    pub workload: u64,
    /// Of processes without a role.
    pub none: u64,
}

impl RuleCounts {
    /// Adds those of another count.
    pub const fn join(&mut self, other: Self) {
        self.supervisor += other.supervisor;
        self.workload += other.workload;
        self.none += other.none;
    }

    /// Counts calls of a role in.
    pub fn add(&mut self, role: Option<&str>, count: u64) {
        *match role {
            Some("supervisor") => &mut self.supervisor,
            Some("workload") => &mut self.workload,
            _ => &mut self.none,
        } += count;
    }

    /// How many there are, of the role that is asked for.
    pub const fn of_role(&self, role: Option<RoleFilter>) -> u64 {
        match role {
            None => self.supervisor + self.workload + self.none,
            Some(RoleFilter::Supervisor) => self.supervisor,
            Some(RoleFilter::Workload) => self.workload,
        }
    }
}

/// Refused checks by whether they may matter to anybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByWorth {
    /// Those that `--fail-on denied` takes.
    pub denied: u64,
    /// Those that a rule expects.
    pub expected: u64,
    /// Those that asked for no record, and of `SYS_ADMIN` where the tracepoint can't know.
    pub quiet: u64,
}

impl DenialCounts {
    /// Counts a row in.
    pub fn add(&mut self, denial: &Denial) {
        self.rows += 1;
        self.grow(denial);
    }

    /// Counts denials of a row that was counted in before.
    pub fn grow(&mut self, denial: &Denial) {
        self.all += denial.count;
        let role = match denial.role.as_deref() {
            Some("supervisor") => &mut self.supervisor,
            Some("workload") => &mut self.workload,
            _ => &mut self.none,
        };
        let worth = if denial.is_notable() {
            &mut role.denied
        } else if denial.expected {
            &mut role.expected
        } else {
            &mut role.quiet
        };
        *worth += denial.count;
    }

    /// Adds those of another count, but not how many of its rows are listed.
    pub const fn join(&mut self, other: &Self) {
        self.all += other.all;
        self.rows += other.rows;
        self.supervisor.join(other.supervisor);
        self.workload.join(other.workload);
        self.none.join(other.none);
    }

    /// Checks that a rule expects.
    pub const fn expected(&self) -> u64 {
        self.supervisor.expected + self.workload.expected + self.none.expected
    }

    /// Checks that asked for no record, and of `SYS_ADMIN` where the tracepoint can't know.
    pub const fn quiet(&self) -> u64 {
        self.supervisor.quiet + self.workload.quiet + self.none.quiet
    }

    /// How many `--fail-on denied` takes, of the role that is asked for.
    pub const fn denied(&self, role: Option<RoleFilter>) -> u64 {
        match role {
            None => self.supervisor.denied + self.workload.denied + self.none.denied,
            Some(RoleFilter::Supervisor) => self.supervisor.denied,
            Some(RoleFilter::Workload) => self.workload.denied,
        }
    }
}

impl ByWorth {
    const fn join(&mut self, other: Self) {
        self.denied += other.denied;
        self.expected += other.expected;
        self.quiet += other.quiet;
    }
}
