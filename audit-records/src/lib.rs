//! Audit records: what `AppArmor`, `SELinux` and seccomp say of what they refused.
//!
//! Bytes in, [`Record`]s out. [`parse_line`] takes a line of any log that holds
//! audit records, [`parse_message`] a datagram of the kernel's, and [`Reader`] a
//! whole log whatever its framing. What comes in ends in one of three outcomes
//! ([`Parsed`]): no line is lost silently.
//!
//! Parsing borrows: nothing is allocated unless a value was hexadecimal or the
//! line was a journal entry.
//!
//! # Examples
//!
//! One line:
//!
//! ```
//! use audit_records::{Lsm, Parsed, Verdict, parse_line};
//!
//! let line = br#"audit: type=1400 audit(1795458347.188:2): apparmor="DENIED" operation="capable" profile="web" pid=7 comm="nginx" capability=12  capname="net_admin""#;
//! let Parsed::Record(record) = parse_line(line) else {
//!     panic!("a record");
//! };
//! assert_eq!(record.lsm, Some(Lsm::AppArmor));
//! assert_eq!(record.verdict, Some(Verdict::Denied));
//! assert_eq!(record.capability_label().as_deref(), Some("net_admin"));
//! assert_eq!(record.profile.as_deref(), Some(&b"web"[..]));
//! ```
//!
//! A whole log, compressed or not:
//!
//! ```
//! use audit_records::{Parsed, Reader, decompressed};
//!
//! let log = &b"Nov 24 10:22:07 web sshd[12]: session opened\n\
//!     type=AVC msg=audit(1795458347.188:2): avc:  denied  { setpcap } for  pid=189 comm=\"x\" \
//!     capability=8  scontext=u:r:t:s0 tcontext=u:r:t:s0 tclass=capability permissive=0\n"[..];
//! let (_, plain) = decompressed(log)?;
//! let mut reader = Reader::new(plain);
//! let mut denials = 0;
//! while let Some(item) = reader.next_item()? {
//!     if let Parsed::Record(record) = item.parsed {
//!         denials += u32::from(record.is_capability_denial());
//!     }
//! }
//! assert_eq!(denials, 1);
//! # Ok::<(), std::io::Error>(())
//! ```

mod apparmor;
mod call;
pub mod caps;
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
mod mend;
mod number;
mod origin;
mod outcome;
mod reader;
mod record;
mod scan;
mod seccomp;
mod selinux;
mod stamp;
mod wrapped;

pub use call::{Aside, Call, Deed, Title};
pub use decompress::{Compression, decompressed};
pub use epoch::Epoch;
pub use form::Form;
pub use kmsg::Kmsg;
pub use line::{parse_line, parse_message};
pub use lines::{Line, Lines};
pub use loss::{Loss, LossCount, LossReason};
pub use outcome::{Foreign, Malformed, Parsed};
pub use reader::{Item, Reader};
pub use record::{Bytes, Lsm, Record, Syscall, Verdict};

/// The longest line that is looked at; a kernel's record is at most 8,970 bytes
/// (`MAX_AUDIT_MESSAGE_LENGTH`, audit-userspace), an enriched or journalled one
/// a small multiple of that.
pub const MAX_LINE: usize = 64 * 1024;
