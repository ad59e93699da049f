//! From a line of a log, or a message of the kernel's, to its record.

mod body;
mod head;

use body::TrimSuffixNul;
pub(super) use body::{Filled, parse_body};
use head::{common_head, find_head, parse_after_head, parse_head};

use std::sync::LazyLock;

use memchr::{memchr, memmem};

use super::kmsg::Kmsg;
use super::outcome::{Foreign, Malformed, Parsed};
use super::stamp::{self, Stamp};
use super::{MAX_LINE, journal, kind, loss, mend, origin, wrapped};

static AUDIT: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new("audit"));

/// Parses one line of a log: raw kmsg, dmesg, syslog, auditd's log, `ausearch`'s
/// output, journald's text, or a journal entry as JSON. An end of line may
/// follow.
pub fn parse_line(line: &[u8]) -> Parsed<'_> {
    let line = line.trim_ascii_end();
    if line.is_empty() {
        return Parsed::Foreign(Foreign::Empty);
    }
    if line.len() > MAX_LINE {
        return Parsed::Malformed(Malformed::TooLong);
    }
    if let Some(json) = journal::json_text(line) {
        return match json_records(json) {
            Some(found) => wrapped::first(found),
            None => journal::parse_json(json).1,
        };
    }
    if line[0].is_ascii_digit()
        && let Some(kmsg) = Kmsg::split(line)
    {
        return into_owned(kmsg.parse());
    }
    let parsed = parse_text(line);
    if needs_mending(line, &parsed) {
        return parse_mended(line).unwrap_or(parsed);
    }
    parsed
}

/// The records of a line of JSON that is no journal entry.
pub(super) fn json_records(json: &[u8]) -> Option<Vec<Parsed<'static>>> {
    let is_entry = || {
        matches!(
            journal::parse_json(json).1,
            Parsed::Record(_) | Parsed::Foreign(Foreign::OtherProgram)
        )
    };
    if !wrapped::may_hold(json) || is_entry() {
        return None;
    }
    wrapped::parse(json)
}

/// Whether a line may be a record that was copied by way of something that
/// changed it.
pub(super) fn needs_mending(line: &[u8], parsed: &Parsed<'_>) -> bool {
    match parsed {
        Parsed::Record(record) => {
            let names = [&record.comm, &record.profile, &record.operation];
            let mut names = names.into_iter().flatten();
            names.any(|name| name.first().copied().is_some_and(is_odd)) && is_quoted_otherwise(line)
        }
        Parsed::Malformed(_) => true,
        Parsed::Foreign(Foreign::OtherAvc) => memmem::find(line, b"capability").is_some(),
        Parsed::Foreign(Foreign::NotAudit | Foreign::OtherProgram | Foreign::UnknownType) => {
            wrapped::may_hold(line)
        }
        Parsed::Foreign(Foreign::Type(_)) => memmem::find(line, b" type=").is_some(),
        Parsed::Foreign(Foreign::Empty | Foreign::Loss(_)) => false,
    }
}

/// Whether this may be the first byte of what a copy put there.
const fn is_odd(byte: u8) -> bool {
    matches!(byte, 0x1b | b'\\' | b'&' | b'#' | b'^' | 0xe2 | 0xc2 | 0xef)
}

/// Whether a name is neither between plain quotes nor hexadecimal, as the kernel
/// writes every one. What such a value holds is the process's own, and no mark of
/// a copy, whatever it looks like.
fn is_quoted_otherwise(line: &[u8]) -> bool {
    const NAMES: [&[u8]; 3] = [b" comm=", b" profile=", b" operation="];
    NAMES.iter().any(|name| {
        memmem::find(line, name)
            .is_some_and(|at| line.get(at + name.len()).copied().is_some_and(is_odd))
    })
}

/// The line again, without what was put around and into it; nothing where that
/// shows no more.
#[cold]
pub(super) fn parse_mended(line: &[u8]) -> Option<Parsed<'static>> {
    if let Some(parts) = mend::parts(line) {
        let found = parts.into_iter().map(|part| into_owned(parse_text(part)));
        return Some(wrapped::first(found.collect()));
    }
    let mended = mend::mended(line)?;
    match parse_text(&mended) {
        Parsed::Foreign(_) => None,
        parsed => Some(into_owned(parsed)),
    }
}

/// The same outcome, owning what it says.
pub(super) fn into_owned(parsed: Parsed<'_>) -> Parsed<'static> {
    match parsed {
        Parsed::Record(record) => Parsed::Record(record.into_owned()),
        Parsed::Foreign(kind) => Parsed::Foreign(kind),
        Parsed::Malformed(why) => Parsed::Malformed(why),
    }
}

/// Parses a line that is no journal entry.
pub(super) fn parse_text(line: &[u8]) -> Parsed<'_> {
    if let Some((given, after)) = common_head(line) {
        return parse_after_head(given, after);
    }
    match find_head(line) {
        Some(head) => parse_head(line, head),
        None => no_head(line),
    }
}

/// Parses one message of the kernel's audit multicast group: its type, and a
/// payload like `audit(1795460062.091:9): apparmor=…`.
pub fn parse_message(message_type: u16, payload: &[u8]) -> Parsed<'_> {
    let text = payload.trim_ascii_end().trim_suffix_nul();
    if text.len() > MAX_LINE {
        return Parsed::Malformed(Malformed::TooLong);
    }
    let Some(after) = text.strip_prefix(b"audit(") else {
        return match message_type {
            kind::AVC | kind::SECCOMP | kind::USER_AVC => Parsed::Malformed(Malformed::BadStamp),
            other => Parsed::Foreign(Foreign::Type(other)),
        };
    };
    if !is_ours(message_type) {
        return Parsed::Foreign(Foreign::Type(message_type));
    }
    match stamp::parse(after) {
        Ok((stamp, body)) => parse_body(Kind::Number(message_type), stamp, body),
        Err(why) => Parsed::Malformed(why),
    }
}

/// What a record says of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Absent,
    Unknown,
    Number(u16),
}

impl Kind {
    pub(super) fn of(name: &[u8]) -> Self {
        kind::number(name).map_or(Self::Unknown, Self::Number)
    }
}

const fn is_ours(number: u16) -> bool {
    matches!(number, kind::AVC | kind::SECCOMP | kind::USER_AVC) || kind::is_apparmor(number)
}

/// A line without `audit(`: journald's bare text, a message bus's own log, or
/// nothing of ours.
fn no_head(line: &[u8]) -> Parsed<'_> {
    if let Some(start) = body_without_head(line) {
        return parse_without_head(line, start);
    }
    if line.starts_with(b"SECCOMP ") {
        return parse_named(line, Stamp::default());
    }
    Parsed::Foreign(loss::find(line).map_or(Foreign::NotAudit, Foreign::Loss))
}

/// Where `apparmor="` or `avc:  denied` is a separate word.
fn body_without_head(text: &[u8]) -> Option<usize> {
    let start = memmem::find(text, b"apparmor=").or_else(|| {
        // Two spaces in the kernel's text, one in what a terminal made of it.
        memmem::find(text, b"avc: ").filter(|at| {
            let word = text[at + b"avc: ".len()..].trim_ascii_start();
            word.starts_with(b"denied") || word.starts_with(b"granted")
        })
    })?;
    (start == 0 || matches!(text[start - 1], b' ' | b'\'')).then_some(start)
}

/// A field of a journal entry that is without its entry, as `strings` and
/// `grep` leave it: who said it is elsewhere.
fn is_lone_message(line: &[u8]) -> bool {
    line.trim_ascii_start().starts_with(b"MESSAGE=")
}

fn parse_without_head(line: &[u8], start: usize) -> Parsed<'_> {
    let before = line[..start].trim_ascii_end();
    // journalctl -o cat: the type's name is the first word.
    let first = memchr(b' ', line).unwrap_or(line.len());
    if before.len() >= first && matches!(Kind::of(&line[..first]), Kind::Number(_)) {
        return parse_named(line, Stamp::default());
    }
    // A journal entry's message without the entry: anyone may have said it.
    if !origin::is_log_prefix(before) || is_lone_message(line) {
        return Parsed::Foreign(Foreign::OtherProgram);
    }
    parse_body(Kind::Absent, Stamp::default(), &line[start..])
}

/// `AVC apparmor=…`, as journald words it.
pub(super) fn parse_named(text: &[u8], stamp: Stamp) -> Parsed<'_> {
    let end = memchr(b' ', text).unwrap_or(text.len());
    let name = &text[..end];
    let bare = name
        .strip_prefix(b"<audit-")
        .and_then(|rest| rest.strip_suffix(b">"))
        .unwrap_or(name);
    match Kind::of(bare) {
        Kind::Number(number) => {
            parse_body(Kind::Number(number), stamp, text[end..].trim_ascii_start())
        }
        Kind::Absent | Kind::Unknown => Parsed::Foreign(Foreign::UnknownType),
    }
}
