//! Live sources of audit records, each feeding one bounded channel.
//!
//! | source | loses | needs |
//! |---|---|---|
//! | [`netlink`] | what its socket cannot hold, reported | `CAP_AUDIT_READ`, the initial network namespace |
//! | [`follow`] | nothing that auditd wrote | the right to read the file |
//! | [`stream`] | nothing that was piped to it | none |
//! | [`kmsg`] | all but ten lines in five seconds; all of them beside auditd | `CAP_SYSLOG` |
//!
//! The kernel's buffers overflow while a reader waits, so the sockets' readers
//! never wait for the channel: what it cannot take is dropped and counted. Files
//! and pipes are buffers themselves, so their readers do wait, and lose nothing.

mod choice;
mod count;
mod counters;
mod dedup;
mod event;
pub mod follow;
pub mod kmsg;
pub mod listeners;
mod live;
pub mod netlink;
mod ready;
mod sequence;
mod sink;
mod socket;
mod status;
pub mod stream;
mod wire;

pub use choice::{AuditSource, NoSource};
pub use counters::{Counters, Snapshot};
pub use dedup::Dedup;
pub use event::{LostReason, SourceEvent, SourceName};
pub use live::{Live, LiveError};
pub use sink::{Sink, realtime};
pub use status::{AuditStatus, audit_sockets, audit_status};
