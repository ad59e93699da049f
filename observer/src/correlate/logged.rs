//! An episode that a log alone tells of: calls and what came of them, but no sets,
//! and of the process's end only that it executed a program, if at all.

use super::explain;
use crate::finding::{Episode, Fate, Namespace, Scope, Verdict};

/// What a log tells of one process's drops.
#[derive(Clone, Debug, Default)]
pub struct LoggedDrops {
    /// Its name in the report.
    pub id: String,
    /// The rule that names the program.
    pub supervisor: Option<String>,
    /// Process id.
    pub pid: u32,
    /// Of its parent.
    pub ppid: u32,
    /// Name of the thread.
    pub comm: String,
    /// Basename of the executable.
    pub exe: Option<String>,
    /// Who refused.
    pub layer: Option<String>,
    /// The module's profile or domain.
    pub profile: Option<String>,
    /// Calls.
    pub drops: u32,
    /// Calls that were refused.
    pub refused: u32,
    /// Calls for a number that the kernel does not know.
    pub unknown: u32,
    /// The first capability refused.
    pub first_refused: Option<String>,
    /// What was refused, and not dropped later.
    pub left: Vec<String>,
    /// Whether it executed a program afterwards.
    pub executed: bool,
    /// From the first call to the last.
    pub seconds: f64,
}

/// The episode. What a log does not tell is empty: sets, and what became of the
/// process.
pub fn episode(told: LoggedDrops) -> Episode {
    let LoggedDrops {
        id,
        supervisor,
        pid,
        ppid,
        comm,
        exe,
        layer,
        profile,
        drops,
        refused,
        unknown,
        first_refused,
        left,
        executed,
        seconds,
    } = told;
    let verdict = match (left.is_empty(), executed) {
        (true, _) => Verdict::Ok,
        (false, true) => Verdict::Degraded,
        (false, false) => Verdict::Pending,
    };
    let mut episode = Episode {
        id,
        scope: Scope::Host,
        verdict,
        retried: verdict == Verdict::Ok && refused > 0,
        skipped: false,
        refilled: false,
        role: supervisor.is_some().then(|| "supervisor".to_owned()),
        supervisor,
        inferred: false,
        version: None,
        container: None,
        pid,
        ppid,
        chain: Vec::new(),
        comm,
        exe,
        layer,
        profile,
        drops,
        refused_raised: refused,
        refused_lowered: 0,
        unknown_capability: unknown,
        bounding_before: String::new(),
        bounding_after: String::new(),
        bounding_namespace: None,
        residual: left,
        workload: None,
        dropping_thread: None,
        effective: String::new(),
        user_namespace: Namespace::default(),
        fate: if executed { Fate::Exec } else { Fate::Running },
        exit: None,
        first_refused,
        not_the_cause: Vec::new(),
        duration_seconds: seconds,
        explanation: String::new(),
    };
    episode.explanation = explain::logged_episode(&episode);
    episode
}
