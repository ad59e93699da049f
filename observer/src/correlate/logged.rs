//! An episode that only a log reports: calls and what came of them, but no sets,
//! and of the process's end only that it executed a program, if at all.

use std::sync::Arc;

use super::explain;
use crate::finding::{Container, Episode, Fate, Launched, Namespace, Scope, Verdict};

/// What a log shows of one process's drops.
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
    /// The container it runs in, where it was looked up.
    pub container: Option<Arc<Container>>,
    /// How far from the recorded command it is.
    pub scope: Scope,
    /// The effective set that its program was executed with.
    pub effective: Option<String>,
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
    /// Whether nothing is left because its set did not have it.
    pub was_absent: bool,
    /// What became of it; running where nobody looked.
    pub fate: Fate,
    /// Whether the log would have shown that it executed a program.
    pub shows_execs: bool,
    /// That program.
    pub workload: Option<Launched>,
    /// From the first call to the last.
    pub seconds: f64,
}

/// The episode. What a log does not show is empty: sets, and what became of the
/// process.
pub fn episode(logged: LoggedDrops) -> Episode {
    let LoggedDrops {
        id,
        supervisor,
        pid,
        ppid,
        comm,
        exe,
        container,
        scope,
        effective,
        layer,
        profile,
        drops,
        refused,
        unknown,
        first_refused,
        left,
        was_absent,
        fate,
        shows_execs,
        workload,
        seconds,
    } = logged;
    let verdict = match fate {
        _ if was_absent => Verdict::Harmless,
        _ if left.is_empty() => Verdict::Ok,
        Fate::Running => Verdict::Pending,
        // It ended without an exec, which the log would have shown.
        Fate::Exit if shows_execs => Verdict::Fatal,
        Fate::Exec | Fate::CarriedOn | Fate::Exit => Verdict::Degraded,
    };
    let mut episode = Episode {
        id,
        scope,
        verdict,
        retried: verdict == Verdict::Ok && refused > 0,
        skipped: false,
        refilled: false,
        role: supervisor.is_some().then(|| "supervisor".to_owned()),
        supervisor,
        inferred: false,
        while_away: false,
        version: None,
        exe_uid: None,
        container,
        pid,
        ppid,
        chain: Vec::new(),
        comm,
        exe,
        layer,
        profile,
        drops,
        refused_raised: if was_absent { 0 } else { refused },
        refused_lowered: if was_absent { refused } else { 0 },
        unknown_capability: unknown,
        bounding_before: String::new(),
        bounding_after: String::new(),
        bounding_namespace: None,
        residual: left,
        workload,
        dropping_thread: None,
        effective: effective.unwrap_or_default(),
        user_namespace: Namespace::default(),
        fate,
        exit: None,
        first_refused,
        not_the_cause: Vec::new(),
        duration_seconds: seconds,
        explanation: String::new(),
    };
    episode.explanation = explain::logged_episode(&episode);
    episode
}
