//! Audit records: what `AppArmor`, `SELinux` and seccomp say of what they refused.
//!
//! This module stands alone: bytes in, [`Record`]s out. [`parse_line`] takes a
//! line of any log that holds audit records, [`parse_message`] a datagram of
//! the kernel's, [`Reader`] a whole log whatever its framing, and
//! [`replay_records`] prints one as `capwatch.record/1` objects. What comes in
//! ends in one of three outcomes ([`Parsed`]), so that no line is lost silently.
//!
//! Parsing borrows: nothing is allocated unless a value was hexadecimal or the
//! line was a journal entry.

mod apparmor;
mod decompress;
mod epoch;
mod fields;
mod form;
mod journal;
pub mod kind;
mod kmsg;
mod line;
mod lines;
mod loss;
mod number;
mod object;
mod origin;
mod outcome;
mod reader;
mod record;
mod replay;
mod scan;
mod seccomp;
mod selinux;
mod stamp;

pub use decompress::{Compression, decompressed};
pub use epoch::Epoch;
pub use form::Form;
pub use kmsg::Kmsg;
pub use line::{parse_line, parse_message};
pub use lines::{Line, Lines};
pub use loss::{Loss, LossCount, LossReason};
pub use object::RecordObject;
pub use outcome::{Foreign, Malformed, Parsed};
pub use reader::{Item, Reader};
pub use record::{Bytes, Lsm, Record, Syscall, Verdict};
pub use replay::{ReplayError, Tally, replay_plain, replay_records};

/// The longest line that is looked at; a kernel's record is at most 8,970 bytes
/// (`MAX_AUDIT_MESSAGE_LENGTH`, audit-userspace), an enriched or journalled one
/// a small multiple of that.
pub const MAX_LINE: usize = 64 * 1024;
