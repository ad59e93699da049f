//! Lines by which the kernel says that it lost records.

use memchr::memmem;

use super::number::leading;
use super::origin::is_log_prefix;

/// Records that never reached any log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Loss {
    /// Why.
    pub reason: LossReason,
    /// How many, as far as the line shows.
    pub count: u64,
    /// Whether `count` is the total since boot rather than what is new.
    pub cumulative: bool,
}

/// Why records were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LossReason {
    /// `kauditd_printk_skb: N callbacks suppressed`: printk's rate limit, 10
    /// lines in 5 s; listeners on netlink had them all.
    PrintkRatelimit,
    /// `audit_lost=N`: the kernel's own count of records nobody got.
    AuditLost,
    /// `backlog limit exceeded`; the number follows in an `audit_lost=` line.
    Backlog,
    /// `rate limit exceeded`; likewise.
    RateLimit,
    /// `kauditd hold queue overflow` and its like; likewise.
    QueueOverflow,
    /// journald: `Missed N kernel messages`.
    JournalMissed,
}

impl LossReason {
    /// A short name, for a metric's label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PrintkRatelimit => "printk_ratelimit",
            Self::AuditLost => "audit_lost",
            Self::Backlog => "backlog",
            Self::RateLimit => "rate_limit",
            Self::QueueOverflow => "queue_overflow",
            Self::JournalMissed => "journal_missed",
        }
    }
}

/// Turns totals into differences.
#[derive(Clone, Copy, Debug, Default)]
pub struct LossCount {
    /// The last total that an `audit_lost=` line had.
    total: Option<u64>,
}

impl LossCount {
    /// Before the first line.
    pub const fn new() -> Self {
        Self { total: None }
    }

    /// How many are newly lost; 0 where the line does not say. The first total may
    /// be from days ago, but its line is written when records are lost: one at
    /// least was.
    pub fn newly(&mut self, loss: Loss) -> u64 {
        if !loss.cumulative {
            return loss.count;
        }
        match self.total.replace(loss.count) {
            None => loss.count.min(1),
            // Below the last one, the host was booted in between.
            Some(before) => loss.count.checked_sub(before).unwrap_or(loss.count),
        }
    }
}

/// Whether `line`, which holds no record, reports lost ones
/// (`audit_log_lost` and `kauditd_*`, `kernel/audit.c`; `___ratelimit`,
/// `lib/ratelimit.c`; 6.12).
pub(super) fn find(line: &[u8]) -> Option<Loss> {
    suppressed(line)
        .or_else(|| lost(line))
        .or_else(|| exceeded(line))
        .or_else(|| missed(line))
}

/// The number, where `line` is the logger's and has it right behind `marker`.
fn counted<'a>(line: &'a [u8], marker: &[u8]) -> Option<(u64, &'a [u8])> {
    let at = memmem::find(line, marker)?;
    let (count, rest) = leading(line[at + marker.len()..].trim_ascii_start())?;
    is_log_prefix(&line[..at]).then_some((count, rest))
}

fn suppressed(line: &[u8]) -> Option<Loss> {
    // Named audit_printk_skb before 4.10.
    let (count, rest) =
        counted(line, b"audit_printk_skb:").or_else(|| counted(line, b"kauditd_printk_skb:"))?;
    rest.trim_ascii_start()
        .starts_with(b"callbacks suppressed")
        .then_some(Loss {
            reason: LossReason::PrintkRatelimit,
            count,
            cumulative: false,
        })
}

fn lost(line: &[u8]) -> Option<Loss> {
    let (count, _) = counted(line, b"audit_lost=")?;
    Some(Loss {
        reason: LossReason::AuditLost,
        count,
        cumulative: true,
    })
}

fn exceeded(line: &[u8]) -> Option<Loss> {
    let at = memmem::find(line, b"audit: ")?;
    if !is_log_prefix(&line[..at]) {
        return None;
    }
    let text = &line[at + b"audit: ".len()..];
    let reason =
        if text.starts_with(b"backlog limit exceeded") || text.starts_with(b"audit_backlog=") {
            LossReason::Backlog
        } else if text.starts_with(b"rate limit exceeded") {
            LossReason::RateLimit
        } else if text.starts_with(b"kauditd hold queue overflow")
            || text.starts_with(b"kauditd retry queue overflow")
        {
            LossReason::QueueOverflow
        } else {
            return None;
        };
    // Reported without a number: the audit_lost= line beside it has the total.
    Some(Loss {
        reason,
        count: 0,
        cumulative: false,
    })
}

fn missed(line: &[u8]) -> Option<Loss> {
    let at = memmem::find(line, b"systemd-journald")?;
    let (count, rest) = {
        let text = &line[at..];
        let marker = memmem::find(text, b": Missed ")?;
        leading(&text[marker + b": Missed ".len()..])?
    };
    rest.starts_with(b" kernel messages").then_some(Loss {
        reason: LossReason::JournalMissed,
        count,
        cumulative: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss_of(line: &str) -> Option<(LossReason, u64, bool)> {
        let Loss {
            reason,
            count,
            cumulative,
        } = find(line.as_bytes())?;
        Some((reason, count, cumulative))
    }

    #[test]
    fn each_line_of_loss() {
        use LossReason::{
            AuditLost, Backlog, JournalMissed, PrintkRatelimit, QueueOverflow, RateLimit,
        };
        for (line, wanted) in [
            (
                "[    9.363715] kauditd_printk_skb: 113 callbacks suppressed",
                (PrintkRatelimit, 113, false),
            ),
            (
                "Nov 24 10:22:07 host kernel: audit_printk_skb: 9 callbacks suppressed",
                (PrintkRatelimit, 9, false),
            ),
            (
                "audit: audit_lost=42 audit_rate_limit=0 audit_backlog_limit=64",
                (AuditLost, 42, true),
            ),
            ("[ 1.0] audit: backlog limit exceeded", (Backlog, 0, false)),
            (
                "audit: audit_backlog=65 > audit_backlog_limit=64",
                (Backlog, 0, false),
            ),
            ("audit: rate limit exceeded", (RateLimit, 0, false)),
            (
                "audit: kauditd hold queue overflow",
                (QueueOverflow, 0, false),
            ),
            (
                "systemd-journald[301]: Missed 12 kernel messages",
                (JournalMissed, 12, false),
            ),
        ] {
            assert_eq!(loss_of(line), Some(wanted), "{line}");
        }
    }

    #[test]
    fn what_is_no_loss_of_ours() {
        for line in [
            "net_ratelimit: 12 callbacks suppressed",
            "Nov 24 10:22:07 host mallory: audit_lost=42",
            "kauditd_printk_skb: many callbacks suppressed",
            "audit: enabled",
        ] {
            assert_eq!(loss_of(line), None, "{line}");
        }
    }
}
