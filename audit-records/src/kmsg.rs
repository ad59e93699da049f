//! Records of the kernel's log as `/dev/kmsg` gives them:
//! `5,1021,12345678,-;audit: type=1400 …` (`info_print_ext_header` and
//! `msg_print_ext_body`, `kernel/printk/printk.c`, 6.12).

use std::borrow::Cow;

use super::number::{hexadecimal, leading};
use super::outcome::{Foreign, Parsed};

/// One record of the kernel's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kmsg<'a> {
    /// Whether the kernel itself wrote it: what programs write to `/dev/kmsg`
    /// never has the kernel's facility (`devkmsg_write`, 6.12).
    pub from_kernel: bool,
    /// Its number since boot; a gap means that others were overwritten.
    pub sequence: u64,
    /// Its text, with `\x5c` and the like decoded.
    pub text: Cow<'a, [u8]>,
}

impl<'a> Kmsg<'a> {
    /// Splits what one read of `/dev/kmsg` gives; the dictionary that follows
    /// the first line is left out.
    pub fn split(record: &'a [u8]) -> Option<Self> {
        let (priority, rest) = leading(record)?;
        let (sequence, rest) = leading(rest.strip_prefix(b",")?)?;
        let (_, rest) = leading(rest.strip_prefix(b",")?)?;
        let rest = rest.strip_prefix(b",")?;
        let text = &rest[memchr::memchr(b';', rest)? + 1..];
        let end = memchr::memchr(b'\n', text).unwrap_or(text.len());
        Some(Self {
            from_kernel: priority >> 3 == 0,
            sequence,
            text: unescape(&text[..end]),
        })
    }

    /// What it says.
    pub fn parse(&self) -> Parsed<'_> {
        let parsed = super::line::parse_text(self.text.trim_ascii_end());
        match parsed {
            Parsed::Foreign(_) => parsed,
            _ if self.from_kernel => parsed,
            Parsed::Record(_) | Parsed::Malformed(_) => Parsed::Foreign(Foreign::OtherProgram),
        }
    }
}

/// `\xNN`, which is the code of every byte but printable ASCII and for `\` itself.
fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let escaped = match rest {
            [b'\\', b'x', high, low, ..] => {
                hexadecimal(&[*high, *low]).and_then(|byte| u8::try_from(byte).ok())
            }
            _ => None,
        };
        if let Some(byte) = escaped {
            plain.push(byte);
            rest = &rest[4..];
        } else {
            plain.push(first);
            rest = after;
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_text_and_dictionary() {
        let split = Kmsg::split(b"5,1021,12345678,-;audit: a\\x5cb\\xff\n SUBSYSTEM=x\n");
        let wanted = Kmsg {
            from_kernel: true,
            sequence: 1021,
            text: Cow::Borrowed(b"audit: a\\b\xff"),
        };
        assert_eq!(split, Some(wanted));
        assert_eq!(
            Kmsg::split(b"6,1,2,-,caller=T1;x").map(|kmsg| kmsg.text),
            Some(Cow::Borrowed(&b"x"[..]))
        );
        assert_eq!(Kmsg::split(b"type=AVC"), None);
    }

    #[test]
    fn what_a_program_wrote_is_not_believed() {
        let text = "audit: type=1400 audit(1.1:1): apparmor=\"DENIED\" operation=\"capable\" capability=8  capname=\"setpcap\"";
        let of = |priority: u32| format!("{priority},1,2,-;{text}\n");
        let kernel = of(5);
        assert!(matches!(
            Kmsg::split(kernel.as_bytes()).as_ref().map(Kmsg::parse),
            Some(Parsed::Record(_))
        ));
        let user = of(13);
        let split = Kmsg::split(user.as_bytes());
        assert_eq!(
            split.as_ref().map(Kmsg::parse),
            Some(Parsed::Foreign(Foreign::OtherProgram))
        );
    }
}
