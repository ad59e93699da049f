//! Records that a log's writer broke into several lines.

use super::{is_verbose_head, parse_formed};
use crate::{
    origin,
    outcome::{Malformed, Parsed},
    record::Lsm,
};

/// Whether other lines may belong to this one, or several records be on it. Known
/// by its first byte and its last word, since nearly every line is whole.
pub(super) fn may_go_on(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    match line.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => return false,
        Some(b'{') => return true,
        Some(b'[') if line.trim_ascii_start().starts_with(b"[{") => return true,
        Some(_) => {}
    }
    let is_event = || {
        line.starts_with(b"type=")
            && !line.starts_with(b"type=AVC ")
            && memchr::memmem::find(line, b" type=").is_some()
    };
    let word = memchr::memrchr(b' ', line).map_or(0, |space| space + 1);
    let whole = match &line[word..] {
        // Auditd's own reading closes an enriched record.
        [b'A'..=b'Z', ..] => true,
        word => WHOLE.iter().any(|field| word.starts_with(field)),
    };
    if whole {
        return is_event();
    }
    is_event()
        || is_verbose_head(line)
        || line.starts_with(b"{")
        || is_incomplete(&parse_formed(line).1)
}

/// The fields that records end with.
const WHOLE: [&[u8]; 4] = [b"capname=", b"permissive=", b"tclass=", b"code="];

/// Whether a record may go on in the next line.
pub(super) fn is_incomplete(parsed: &Parsed<'_>) -> bool {
    match parsed {
        Parsed::Record(record) => record.lsm == Some(Lsm::SeLinux) && record.class.is_none(),
        Parsed::Malformed(why) => !matches!(
            why,
            Malformed::TooLong | Malformed::BadJson | Malformed::BadExport
        ),
        Parsed::Foreign(_) => false,
    }
}

/// Whether a line can be the rest of the one before: it begins as no line of a
/// log does.
pub(super) fn continues(line: &[u8]) -> bool {
    let text = unquoted(line).trim_ascii();
    let begins = matches!(
        text,
        [] | [b'[' | b'<' | b'{', ..]
            | [b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b'-', ..]
    ) || text.starts_with(b"type=")
        || text.starts_with(b"audit")
        || text.starts_with(b"node=")
        || origin::is_syslog_date(text);
    !begins && memchr::memmem::find(text, b"audit(").is_none()
}

/// Without a mail's marks of quotation.
fn unquoted(line: &[u8]) -> &[u8] {
    let mut text = line;
    while let Some(rest) = text.strip_prefix(b">") {
        text = rest.strip_prefix(b" ").unwrap_or(rest);
    }
    text
}

/// Puts the next line behind `text`. A terminal cuts anywhere; a mail cuts at a
/// space, which is then missing.
pub(super) fn glue(text: &mut Vec<u8>, next: &[u8]) {
    let next = unquoted(next);
    while text
        .last()
        .is_some_and(|byte| matches!(byte, b'\r' | b'\n'))
    {
        text.pop();
    }
    let odd = memchr::memchr_iter(b'"', text).count() % 2 == 1;
    let key = next
        .iter()
        .position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_')
        .filter(|end| next[*end] == b'=')
        .is_some_and(|end| crate::fields::is_known(&next[..end]));
    let spaced = text.ends_with(b" ") || next.starts_with(b" ");
    if !odd && !spaced && (key || text.ends_with(b"\"")) {
        text.push(b' ');
    }
    text.extend_from_slice(next);
}
