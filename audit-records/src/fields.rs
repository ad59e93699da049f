//! The `key=value` pairs of a record's text.

use std::borrow::Cow;

use super::number::{self, nibble};
use super::outcome::Malformed;
use super::record::Bytes;
use super::scan;

/// What auditd puts between the kernel's text and its own enrichment
/// (`AUDIT_INTERP_SEPARATOR`, audit-userspace 3.0.9).
pub(super) const ENRICHMENT: u8 = 0x1d;

/// Walks the pairs of a body, in whatever order they come; words without `=`
/// are passed over.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
    interpreted: bool,
    /// Where the next key begins and ends in `rest`, once that is known.
    next_key: Option<Key>,
}

/// The value of a pair, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// Between quotes; the kernel never escapes inside them, and what it could
    /// not put there it writes in hexadecimal (`audit_log_n_untrustedstring`,
    /// `kernel/audit.c`, 6.12).
    Quoted(&'a [u8]),
    /// Up to the next space.
    Bare(&'a [u8]),
    /// As an interpreter prints it: no quotes, hexadecimal decoded.
    Interpreted(&'a [u8]),
}

impl<'a> Fields<'a> {
    /// Over `body`, which `ausearch -i` wrote if `interpreted`.
    pub(super) const fn new(body: &'a [u8], interpreted: bool) -> Self {
        Self {
            rest: body,
            interpreted,
            next_key: None,
        }
    }

    /// The next pair.
    #[expect(
        clippy::inline_always,
        reason = "the pair stays in registers: twice the speed, measured"
    )]
    #[inline(always)]
    pub(super) fn next(&mut self) -> Result<Option<(&'a [u8], Value<'a>)>, Malformed> {
        if let Some((start, end)) = self.next_key.take() {
            let rest = self.rest;
            let value = self.value(&rest[end + 1..])?;
            return Ok(Some((&rest[start..end], value)));
        }
        loop {
            let start = self.rest.iter().position(|&byte| byte != b' ');
            let Some(start) = start else { return Ok(None) };
            let word = &self.rest[start..];
            if word[0] == ENRICHMENT {
                return Ok(None);
            }
            let Some(end) = scan::find_either(b'=', b' ', word) else {
                self.rest = &[];
                return Ok(None);
            };
            if word[end] == b' ' {
                self.rest = &word[end..];
                continue;
            }
            let value = self.value(&word[end + 1..])?;
            return Ok(Some((&word[..end], value)));
        }
    }

    #[expect(
        clippy::inline_always,
        reason = "the pair stays in registers: twice the speed, measured"
    )]
    #[inline(always)]
    fn value(&mut self, after: &'a [u8]) -> Result<Value<'a>, Malformed> {
        if let [b'"', inside @ ..] = after {
            let end = match likely_quote(inside) {
                Some((end, next_key)) => {
                    self.next_key = next_key;
                    end
                }
                None => closing_quote(inside).ok_or(Malformed::UnterminatedQuote)?,
            };
            self.rest = &inside[end + 1..];
            return Ok(Value::Quoted(&inside[..end]));
        }
        let end = if self.interpreted {
            interpreted_end(after)
        } else {
            scan::find_either(b' ', ENRICHMENT, after).unwrap_or(after.len())
        };
        self.rest = &after[end..];
        let value = &after[..end];
        Ok(if self.interpreted {
            Value::Interpreted(value)
        } else {
            Value::Bare(value)
        })
    }
}

/// Where a key begins and ends.
type Key = (usize, usize);

/// The first `"`, where the record ends or the next field follows at once: its key
/// then need not be looked for again. Nearly every quote ends so.
#[inline]
fn likely_quote(inside: &[u8]) -> Option<(usize, Option<Key>)> {
    let end = scan::find(b'"', inside)?;
    let after = &inside[end + 1..];
    let start = match after {
        [] => return Some((end, None)),
        [b' ', b' ', ..] => 2,
        [b' ', ..] => 1,
        _ => return None,
    };
    let length = scan::find_either(b'=', b' ', &after[start..])?;
    (after[start + length] == b'=').then_some((end, Some((start, start + length))))
}

/// Where the quote ends that `inside` follows: at a `"` before the next field or
/// the end. A kernel never writes one anywhere else; other writers do.
fn closing_quote(inside: &[u8]) -> Option<usize> {
    let mut from = 0;
    // Before a space, but no field: `profile="say "hi" now"`.
    let mut likely = None;
    while let Some(found) = scan::find(b'"', &inside[from..]) {
        let end = from + found;
        match &inside[end + 1..] {
            [] | [b'\'' | ENRICHMENT, ..] | [b' '] => return Some(end),
            [b' ', next @ ..] if begins_field(next) => return Some(end),
            [b' ' | b'\t' | b'\n', ..] => likely = likely.or(Some(end)),
            _ => {}
        }
        from = end + 1;
    }
    likely
}

fn begins_field(text: &[u8]) -> bool {
    let word = text.strip_prefix(b" ").unwrap_or(text);
    scan::find_either(b'=', b' ', word).is_some_and(|end| word[end] == b'=')
}

/// An interpreter leaves values with spaces unquoted: they end where the next
/// known field begins.
fn interpreted_end(after: &[u8]) -> usize {
    memchr::memchr_iter(b' ', after)
        .find(|&space| {
            let next = &after[space + 1..];
            match next
                .iter()
                .position(|byte| !byte.is_ascii_lowercase() && !matches!(byte, b'_' | b'0'..=b'2'))
            {
                Some(end) if next[end] == b'=' => KNOWN.contains(&&next[..end]),
                Some(_) => false,
                None => next.is_empty(),
            }
        })
        .unwrap_or(after.len())
}

/// Whether `key` is a field of the records that are read here.
pub(super) fn is_known(key: &[u8]) -> bool {
    KNOWN.contains(&key)
}

/// The fields that `AppArmor`, `SELinux` and seccomp records hold.
const KNOWN: &[&[u8]] = &[
    b"a0",
    b"a1",
    b"addr",
    b"apparmor",
    b"arch",
    b"auid",
    b"bus",
    b"capability",
    b"capname",
    b"class",
    b"code",
    b"comm",
    b"compat",
    b"denied",
    b"denied_mask",
    b"dest",
    b"dev",
    b"error",
    b"exe",
    b"execpath",
    b"exit",
    b"family",
    b"flags",
    b"fstype",
    b"fsuid",
    b"gid",
    b"hostname",
    b"info",
    b"ino",
    b"interface",
    b"ip",
    b"label",
    b"mask",
    b"member",
    b"name",
    b"name2",
    b"namespace",
    b"offset",
    b"operation",
    b"ouid",
    b"parent",
    b"path",
    b"peer",
    b"peer_info",
    b"peer_label",
    b"peer_pid",
    b"peer_profile",
    b"permissive",
    b"pid",
    b"ppid",
    b"profile",
    b"protocol",
    b"requested",
    b"requested_mask",
    b"sauid",
    b"scontext",
    b"ses",
    b"sig",
    b"signal",
    b"sock_type",
    b"srcname",
    b"subj",
    b"success",
    b"syscall",
    b"target",
    b"tclass",
    b"tcontext",
    b"terminal",
    b"trawcon",
    b"srawcon",
    b"type",
    b"uid",
];

impl<'a> Value<'a> {
    /// The bytes meant: hexadecimal decoded, and nothing for `?` and `(null)`,
    /// which is how records say that they do not know.
    pub(super) fn text(self) -> Option<Bytes<'a>> {
        match self {
            Value::Bare(b"" | b"?" | b"(null)") | Value::Interpreted(b"" | b"?" | b"(null)") => {
                None
            }
            Value::Bare(text) => Some(decode(text).map_or(Cow::Borrowed(text), Cow::Owned)),
            Value::Quoted(text) | Value::Interpreted(text) => Some(Cow::Borrowed(text)),
        }
    }

    /// The bytes as written.
    pub(super) const fn raw(self) -> &'a [u8] {
        match self {
            Value::Quoted(text) | Value::Bare(text) | Value::Interpreted(text) => text,
        }
    }

    /// A process id; `field` is named when it is none.
    pub(super) fn process(self, field: &'static str) -> Result<Option<u32>, Malformed> {
        match self.raw() {
            b"" | b"?" => Ok(None),
            digits => number::decimal(digits)
                .and_then(|value| u32::try_from(value).ok())
                .map(Some)
                .ok_or(Malformed::BadNumber(field)),
        }
    }
}

/// Upper-case hexadecimal, as `audit_log_n_hex` writes it (`kernel/audit.c`, 6.12).
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let is_upper = |byte: &u8| matches!(byte, b'0'..=b'9' | b'A'..=b'F');
    if !text.len().is_multiple_of(2) || !text.iter().all(is_upper) {
        return None;
    }
    text.chunks_exact(2)
        .map(|pair| Some(nibble(pair[0])? << 4 | nibble(pair[1])?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(body: &[u8], interpreted: bool) -> Vec<(String, String)> {
        let mut fields = Fields::new(body, interpreted);
        let mut found = Vec::new();
        while let Ok(Some((key, value))) = fields.next() {
            let text = value.text().unwrap_or(Cow::Borrowed(b"<none>"));
            found.push((
                String::from_utf8_lossy(key).into_owned(),
                String::from_utf8_lossy(&text).into_owned(),
            ));
        }
        found
    }

    fn expect(body: &[u8], interpreted: bool, wanted: &[(&str, &str)]) {
        let found = pairs(body, interpreted);
        let found: Vec<_> = found
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(found, wanted);
    }

    #[test]
    fn every_way_to_write_a_value() {
        expect(
            br#"a="x y"  b=6120622063 c= d=? e="" f=(null) word g=plain h="p"q" j="p "q" r" i="\""#,
            false,
            &[
                ("a", "x y"),
                ("b", "a b c"),
                ("c", "<none>"),
                ("d", "<none>"),
                ("e", ""),
                ("f", "<none>"),
                ("g", "plain"),
                ("h", "p\"q"),
                ("j", "p \"q\" r"),
                ("i", "\\"),
            ],
        );
    }

    #[test]
    fn an_interpreted_value_ends_at_a_known_field() {
        expect(
            b"profile=my app = x comm=th name CAFE capability=setpcap",
            true,
            &[
                ("profile", "my app = x"),
                ("comm", "th name CAFE"),
                ("capability", "setpcap"),
            ],
        );
    }

    #[test]
    fn an_open_quote_is_an_error() {
        let mut fields = Fields::new(b"profile=\"cut he", false);
        assert_eq!(fields.next(), Err(Malformed::UnterminatedQuote));
    }

    #[test]
    fn only_even_upper_case_hexadecimal_is_decoded() {
        assert_eq!(decode(b"C3A9"), Some(vec![0xc3, 0xa9]));
        assert_eq!(decode(b"C3A"), None);
        assert_eq!(decode(b"c3a9"), None);
    }
}
