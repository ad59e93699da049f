//! What a report says of the host and of capwatch itself.

use serde::{Deserialize, Serialize};

/// The host that was watched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Kernel release.
    pub kernel: String,
    /// Active LSMs, in the order in which they are asked.
    pub lsm: Vec<String>,
    /// Id of the boot.
    pub boot_id: String,
}

/// What came of one source of audit records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceReport {
    /// `netlink`, `kmsg`, …
    pub name: String,
    /// Whether it is connected.
    pub up: bool,
    /// Records read.
    pub records: u64,
    /// Records known to be lost.
    pub lost: u64,
    /// Lines and messages that could not be parsed.
    pub malformed: u64,
    /// Why it is down.
    pub reason: Option<String>,
}
