//! An episode with its verdict.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Container, Link, Namespace, Scope};

/// What an episode came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing was refused, or all that was is lowered in the end.
    Ok,
    /// Refused on lowered bits only.
    Harmless,
    /// A refused bit is still raised, and the process is still running.
    Pending,
    /// A refused bit is still raised, and the process went on to exec.
    Degraded,
    /// A refused bit is still raised, and the process ended without exec.
    Fatal,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 5] = [
        Self::Ok,
        Self::Harmless,
        Self::Pending,
        Self::Degraded,
        Self::Fatal,
    ];

    /// The word for it in JSON and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Harmless => "harmless",
            Self::Pending => "pending",
            Self::Degraded => "degraded",
            Self::Fatal => "fatal",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// What became of the process, and of what was forked from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It, or a child of it, executed another program.
    Exec,
    /// All of it ended without exec.
    Exit,
    /// It tolerated the refusal and went on in its own program.
    CarriedOn,
    /// It still runs.
    #[default]
    Running,
}

impl Fate {
    /// The word for it in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::Exit => "exit",
            Self::CarriedOn => "carried_on",
            Self::Running => "running",
        }
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Exit {
    /// Its exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

/// A program that was executed with capabilities that should have been dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Launched {
    /// Process id.
    pub pid: u32,
    /// Basename of the program; of the first one, where there were more.
    pub exe: Option<String>,
    /// How many such programs there were.
    pub count: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
pub(super) const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// All drops of one process, and what became of it and of what was forked from
/// it with a capability that it tried to drop.
#[expect(clippy::struct_excessive_bools, reason = "each is a field of the JSON")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Episode {
    /// Stays the same when a pending episode is reported again.
    pub id: String,
    /// How far from the recorded command it happened.
    #[serde(default)]
    pub scope: Scope,
    /// What it came to.
    pub verdict: Verdict,
    /// Whether bits were refused first and lowered in the end.
    pub retried: bool,
    /// Whether a drop that its rule or its container's configuration asks for
    /// was never tried.
    #[serde(default)]
    pub skipped: bool,
    /// Whether a new user namespace filled the set again after drops.
    #[serde(default)]
    pub refilled: bool,
    /// Whether it closed while no agent ran: the kernel kept it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub while_away: bool,
    /// Name of the supervisor's rule; of one by deed, its executable's.
    pub supervisor: Option<String>,
    /// Whether no rule names the supervisor: it is one by what it does.
    #[serde(default)]
    pub inferred: bool,
    /// `supervisor` or `workload`.
    pub role: Option<String>,
    /// Image tag or digest, else a digest of the supervisor's executable.
    pub version: Option<String>,
    /// User id, of the initial namespace, of the owner of the supervisor's executable;
    /// none where it is not known.
    #[serde(default)]
    pub exe_uid: Option<u32>,
    /// The container it happened in.
    pub container: Option<Arc<Container>>,
    /// Process id.
    pub pid: u32,
    /// Process id of its parent.
    pub ppid: u32,
    /// The processes from the supervisor down to this one.
    #[serde(default)]
    pub chain: Vec<Link>,
    /// Name of the thread at the first drop.
    pub comm: String,
    /// Basename of the executable at the first drop.
    pub exe: Option<String>,
    /// Who refused; none where nothing was refused.
    pub layer: Option<String>,
    /// The LSM's profile.
    pub profile: Option<String>,
    /// Calls.
    pub drops: u32,
    /// Calls refused while the bit was raised.
    pub refused_raised: u32,
    /// Calls refused while the bit was lowered already.
    pub refused_lowered: u32,
    /// Calls for a number that the kernel knows no capability of.
    pub unknown_capability: u32,
    /// Bounding set before the first drop, hexadecimal.
    pub bounding_before: String,
    /// Bounding set at the end, hexadecimal.
    pub bounding_after: String,
    /// Inode number of the user namespace that `bounding_after` is of; none
    /// where it is not known.
    #[serde(default)]
    pub bounding_namespace: Option<u32>,
    /// Capabilities that are still in the set and should not be.
    pub residual: Vec<String>,
    /// The program that was executed with them.
    #[serde(default)]
    pub workload: Option<Launched>,
    /// The thread that dropped last, where the program was executed by another one.
    #[serde(default)]
    pub dropping_thread: Option<u32>,
    /// Effective set at the last drop, hexadecimal.
    pub effective: String,
    /// Its user namespace.
    pub user_namespace: Namespace,
    /// What became of the process.
    pub fate: Fate,
    /// How it ended, where it did.
    pub exit: Option<Exit>,
    /// First capability refused while raised.
    pub first_refused: Option<String>,
    /// Denials of other processes at the same time, which the log shows and
    /// which are not the cause, a sentence each.
    #[serde(default)]
    pub not_the_cause: Vec<String>,
    /// From the first drop to the end, or to now.
    pub duration_seconds: f64,
    /// The sentence for a person.
    pub explanation: String,
}

impl Episode {
    /// Whether a rule names the supervisor.
    pub const fn is_of_a_rule(&self) -> bool {
        self.supervisor.is_some() && !self.inferred
    }

    /// Calls that were refused for a capability that the kernel knows.
    pub const fn refused(&self) -> u32 {
        self.refused_raised.saturating_add(self.refused_lowered)
    }

    /// The process that runs on with what should have been dropped, and its name.
    pub fn runs_on(&self) -> Option<(u32, &str)> {
        match (self.verdict, self.fate, &self.workload) {
            (Verdict::Degraded, Fate::Exec, Some(workload)) => {
                Some((workload.pid, workload.exe.as_deref().unwrap_or(&self.comm)))
            }
            // Recorded by an earlier version, or never tried.
            (Verdict::Degraded, Fate::Exec, None) => Some((self.pid, &self.comm)),
            (Verdict::Degraded, Fate::CarriedOn, _) if self.exit.is_none() => {
                Some((self.pid, &self.comm))
            }
            _ => None,
        }
    }

    /// The code that it ended with, where that is the one that launchers give for a
    /// program that they could not execute (126) or did not find (127).
    pub fn exec_failed(&self) -> Option<i32> {
        let code = self.exit.and_then(|exit| exit.code);
        code.filter(|code| self.fate == Fate::Exit && matches!(code, 126 | 127))
    }

    /// Whether a person should read its sentence unasked.
    pub fn is_explained(&self) -> bool {
        self.verdict >= Verdict::Pending || self.exec_failed().is_some()
    }

    /// What became of the process, in a word or two.
    pub fn ending(&self) -> String {
        // An episode from a log alone has none; it has no sets either.
        if self.fate == Fate::Running && self.bounding_before.is_empty() {
            return "unknown".to_owned();
        }
        let fate = self.fate.as_str();
        match self.exit.map(|exit| (exit.signal, exit.code)) {
            Some((Some(signal), _)) => format!("{fate}, signal {signal}"),
            Some((None, Some(code))) => format!("{fate}, code {code}"),
            Some((None, None)) | None => fate.to_owned(),
        }
    }
}
