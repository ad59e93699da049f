//! The processes from a supervisor down to the one that a finding is about.

use serde::{Deserialize, Serialize};

/// A process of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Link {
    /// Process id.
    pub pid: u32,
    /// Name of its main thread; of the last one, of the thread.
    pub comm: String,
}
