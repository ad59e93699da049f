//! What sources report.

use serde::Serialize;

use crate::audit::{Aside, LossReason, Malformed, Record};

/// The sources, by the name that metrics and reports call them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceName {
    /// The kernel's audit multicast group.
    Netlink,
    /// `/dev/kmsg`.
    Kmsg,
    /// auditd's log file.
    Auditd,
    /// A file or pipe of any form.
    Stream,
}

impl SourceName {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Netlink, Self::Kmsg, Self::Auditd, Self::Stream];

    /// The name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Netlink => "netlink",
            Self::Kmsg => "kmsg",
            Self::Auditd => "auditd",
            Self::Stream => "stream",
        }
    }
}

/// Why records were lost on the way here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LostReason {
    /// The channel was full: capwatch itself was too slow.
    ChannelFull,
    /// Serial numbers are missing that nothing else explains: the kernel's rate
    /// limit drops a record after it has taken its number.
    SequenceGap,
    /// The socket's buffer was full (`ENOBUFS`).
    SocketOverflow,
    /// The kernel's own count of records that nobody got (`AUDIT_GET`).
    KernelLost,
    /// The kernel's log was overwritten before it was read.
    KmsgOverwritten,
    /// The log said so.
    Log(LossReason),
}

impl LostReason {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::ChannelFull,
        Self::SequenceGap,
        Self::SocketOverflow,
        Self::KernelLost,
        Self::KmsgOverwritten,
        Self::Log(LossReason::PrintkRatelimit),
        Self::Log(LossReason::AuditLost),
        Self::Log(LossReason::Backlog),
        Self::Log(LossReason::RateLimit),
        Self::Log(LossReason::QueueOverflow),
        Self::Log(LossReason::JournalMissed),
    ];

    /// The name, for a metric's label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ChannelFull => "channel_full",
            Self::SequenceGap => "sequence_gap",
            Self::SocketOverflow => "socket_overflow",
            Self::KernelLost => "kernel_lost",
            Self::KmsgOverwritten => "kmsg_overwritten",
            Self::Log(reason) => reason.name(),
        }
    }

    /// Its place in [`LostReason::ALL`].
    pub(super) const fn index(self) -> usize {
        match self {
            Self::ChannelFull => 0,
            Self::SequenceGap => 1,
            Self::SocketOverflow => 2,
            Self::KernelLost => 3,
            Self::KmsgOverwritten => 4,
            Self::Log(LossReason::PrintkRatelimit) => 5,
            Self::Log(LossReason::AuditLost) => 6,
            Self::Log(LossReason::Backlog) => 7,
            Self::Log(LossReason::RateLimit) => 8,
            Self::Log(LossReason::QueueOverflow) => 9,
            Self::Log(LossReason::JournalMissed) => 10,
        }
    }
}

/// One report of a source.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceEvent {
    /// A record, of one capability at most.
    Record {
        /// From where it came first.
        source: SourceName,
        /// What it says.
        record: Box<Record<'static>>,
        /// When it was received: nanoseconds since 1970.
        received: u64,
    },
    /// A record of a call that changes capabilities, or of its program.
    Aside {
        /// What it says.
        aside: Box<Aside>,
    },
    /// Records were lost.
    Lost {
        /// On the way from where.
        source: SourceName,
        /// Why.
        reason: LostReason,
        /// How many; 0 where the log does not say.
        count: u64,
    },
    /// A record could not be read.
    Malformed {
        /// From where it came.
        source: SourceName,
        /// Why not.
        why: Malformed,
    },
    /// The source works.
    Up {
        /// Which.
        source: SourceName,
    },
    /// The source has ended or does not work.
    Down {
        /// Which.
        source: SourceName,
        /// Why, for a person.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_stands_at_its_index() {
        for (place, reason) in LostReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), place, "{}", reason.name());
        }
    }
}
