//! What the kernel refused by a rule.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Container, Scope, episode::is_false};
use crate::time::{Stamp, optional};

/// Calls that are alike and that a rule of the kernel refused without asking for a
/// capability.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleRefusal {
    /// How far from the recorded command it happened.
    #[serde(default)]
    pub scope: Scope,
    /// `exec`, `capset`, `ambient`, `securebits`, `uid_map`, `gid_map`, `setgroups` or
    /// `userns`.
    pub call: String,
    /// The rule, by a word of `docs/events.md`.
    pub rule: String,
    /// The capabilities that the rule asks for and the process did not have.
    pub missing: Vec<String>,
    /// The error that the call gave.
    pub errno: u16,
    /// How many; of an event, since the last one of its kind.
    pub count: u64,
    /// Whether some of them came while no agent ran: the kernel counted them.
    #[serde(default, skip_serializing_if = "is_false")]
    pub while_away: bool,
    /// Name of the supervisor's rule.
    pub supervisor: Option<String>,
    /// `supervisor` or `workload`.
    pub role: Option<String>,
    /// Version of the supervisor.
    pub version: Option<String>,
    /// The container it happened in.
    pub container: Option<Arc<Container>>,
    /// Process id of the one that was reported last.
    pub pid: Option<u32>,
    /// User id of that one, of the initial namespace.
    #[serde(default)]
    pub uid: Option<u32>,
    /// Name of the thread.
    pub comm: String,
    /// Basename of the executable; of an exec, of the file that was to be executed.
    pub exe: Option<String>,
    /// Path of that file, as the caller named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The first.
    #[serde(with = "optional")]
    pub first: Stamp,
    /// The last.
    #[serde(with = "optional")]
    pub last: Stamp,
    /// The sentence for a person.
    pub explanation: String,
}
