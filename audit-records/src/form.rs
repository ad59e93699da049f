//! By which way a record came into a log.

use memchr::memmem;

/// The way of a record. One log may hold the same record by several: journald
/// takes it from the audit socket and from the kernel's log, a syslog daemon from
/// the kernel's log and from auditd.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Form {
    /// As auditd or a raw message has it, or not known.
    #[default]
    Audit,
    /// The kernel's log: `audit: type=1400 …`.
    KernelLog,
    /// journald's own reading of the audit socket.
    Journal,
}

impl Form {
    /// How many there are.
    pub const COUNT: usize = 3;

    /// Of a line that is no journal entry.
    pub(super) fn of_line(line: &[u8]) -> Self {
        if memmem::find(line, b"audit: type=").is_some() {
            Self::KernelLog
        } else if memmem::find(line, b"audit[").is_some() || is_named(line) {
            Self::Journal
        } else {
            Self::Audit
        }
    }
}

/// Whether a line begins with a type's name, as `journalctl -o cat` has it.
fn is_named(line: &[u8]) -> bool {
    const NAMES: [&[u8]; 3] = [b"AVC ", b"USER_AVC ", b"SECCOMP "];
    NAMES.iter().any(|name| line.starts_with(name))
}
