//! A live workload that runs with what should have been dropped.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Container;
use crate::time::Stamp;

/// A live workload whose bounding set is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// Process id.
    pub pid: u32,
    /// Name of its main thread; of an episode, at the first drop.
    pub comm: String,
    /// Name of its supervisor's rule.
    pub supervisor: Option<String>,
    /// Version of its supervisor.
    pub version: Option<String>,
    /// The container it runs in.
    pub container: Option<Arc<Container>>,
    /// Capabilities that are raised and should not be.
    pub residual: Vec<String>,
    /// `episode` (a drop was refused) or `start` (it ran before the agent did,
    /// and what it should have follows from its supervisor or its container).
    pub found: String,
    /// When it was found.
    pub since: Stamp,
}
