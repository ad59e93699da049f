//! From a line of a log, or a message of the kernel's, to its record.

use std::sync::LazyLock;

use memchr::{memchr, memmem, memrchr};

use super::fields::ENRICHMENT;
use super::kmsg::Kmsg;
use super::outcome::{Foreign, Malformed, Parsed};
use super::record::Record;
use super::stamp::{self, Stamp};
use super::{
    MAX_LINE, apparmor, journal, kind, loss, mend, origin, scan, seccomp, selinux, wrapped,
};

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
/// tells no more.
#[cold]
pub(super) fn parse_mended(line: &[u8]) -> Option<Parsed<'static>> {
    if let Some(parts) = mend::parts(line) {
        let found = parts.into_iter().map(|part| into_owned(parse_text(part)));
        return Some(wrapped::first(found.collect()));
    }
    let mended = mend::mended(line)?;
    match parse_text(&mended) {
        Parsed::Foreign(_) => None,
        told => Some(into_owned(told)),
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

/// The heads of auditd's log and of the kernel's, told without a search: nearly
/// every line begins with one of them.
fn common_head(line: &[u8]) -> Option<(Kind, &[u8])> {
    let bare = line.strip_prefix(b"audit: ").unwrap_or(line);
    let rest = bare.strip_prefix(b"type=")?;
    let space = scan::find(b' ', rest)?;
    let after = &rest[space + 1..];
    let after = after.strip_prefix(b"msg=").unwrap_or(after);
    Some((Kind::of(&rest[..space]), after.strip_prefix(b"audit(")?))
}

/// Where a record begins.
#[derive(Clone, Copy)]
enum Head {
    /// `audit(` stands here.
    Stamp(usize),
    /// journald's `audit[172]: AVC …` stands here, and its text there.
    Tag(usize, usize),
}

fn find_head(line: &[u8]) -> Option<Head> {
    for at in AUDIT.find_iter(line) {
        match line.get(at + 5) {
            Some(b'(') => return Some(Head::Stamp(at)),
            Some(b'[') if at == 0 || line[at - 1] == b' ' => {
                let digits = at + 6;
                let close = memchr(
                    b']',
                    line.get(digits..digits + 12).unwrap_or(&line[digits..]),
                )? + digits;
                if line[close..].starts_with(b"]: ") {
                    return Some(Head::Tag(at, close + 3));
                }
            }
            _ => {}
        }
    }
    None
}

fn parse_head(line: &[u8], head: Head) -> Parsed<'_> {
    if is_lone_message(line) {
        return Parsed::Foreign(Foreign::OtherProgram);
    }
    let (Head::Stamp(at) | Head::Tag(at, _)) = head;
    // A name may hold the text of a head (`comm="audit(1.1:1):"` fits): then the
    // record's own fields come first, and there is no head.
    if let Some(start) = body_without_head(&line[..at]) {
        return parse_without_head(line, start);
    }
    match head {
        Head::Tag(_, text) => {
            if origin::is_log_prefix(&line[..at]) {
                parse_named(&line[text..], Stamp::default())
            } else {
                Parsed::Foreign(Foreign::OtherProgram)
            }
        }
        Head::Stamp(_) => parse_stamped(&line[..at], &line[at + b"audit(".len()..]),
    }
}

fn parse_stamped<'a>(before: &'a [u8], after: &'a [u8]) -> Parsed<'a> {
    let (prefix, given) = split_type(before);
    let of_android = || after.starts_with(b"0.0:") && origin::is_logcat(prefix);
    if !origin::is_log_prefix(prefix) && !of_android() {
        return Parsed::Foreign(Foreign::OtherProgram);
    }
    parse_after_head(given, after)
}

fn parse_after_head(mut given: Kind, after: &[u8]) -> Parsed<'_> {
    match given {
        Kind::Unknown => return Parsed::Foreign(Foreign::UnknownType),
        Kind::Number(other) if !is_ours(other) => return Parsed::Foreign(Foreign::Type(other)),
        Kind::Number(_) | Kind::Absent => {}
    }
    let (stamp, mut body) = match stamp::parse(after) {
        Ok(parsed) => parsed,
        Err(why) => return Parsed::Malformed(why),
    };
    // Kernels before 2.6.39: `audit(…): type=1503 operation=…`.
    if given == Kind::Absent
        && let Some(rest) = body.strip_prefix(b"type=")
    {
        let end = memchr(b' ', rest).unwrap_or(rest.len());
        given = Kind::of(&rest[..end]);
        body = rest[end..].trim_ascii_start();
    }
    parse_body(given, stamp, body)
}

/// Takes `audit: `, `type=AVC ` and `msg=` off the end of what precedes a stamp.
fn split_type(before: &[u8]) -> (&[u8], Kind) {
    let mut prefix = before.trim_ascii_end();
    prefix = prefix
        .strip_suffix(b"msg=")
        .unwrap_or(prefix)
        .trim_ascii_end();
    let mut given = Kind::Absent;
    let word = memrchr(b' ', prefix).map_or(0, |space| space + 1);
    if let Some(found) = memmem::rfind(&prefix[word..], b"type=") {
        given = Kind::of(&prefix[word + found + b"type=".len()..]);
        prefix = prefix[..word + found].trim_ascii_end();
    }
    if prefix.ends_with(b"audit:") && is_word_start(prefix, prefix.len() - b"audit:".len()) {
        prefix = prefix[..prefix.len() - b"audit:".len()].trim_ascii_end();
    }
    (prefix, given)
}

fn is_word_start(text: &[u8], at: usize) -> bool {
    at == 0 || matches!(text[at - 1], b' ' | b';' | b'>' | b']')
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

/// Where `apparmor="` or `avc:  denied` stands as a word of its own.
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

/// A field of a journal entry that stands without its entry, as `strings` and
/// `grep` leave it: by whom it was said stands elsewhere.
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

/// Parses what follows the head.
pub(super) fn parse_body(given: Kind, stamp: Stamp, body: &[u8]) -> Parsed<'_> {
    let number = match given {
        Kind::Number(number) if is_ours(number) => Some(number),
        Kind::Number(other) => return Parsed::Foreign(Foreign::Type(other)),
        Kind::Unknown => return Parsed::Foreign(Foreign::UnknownType),
        Kind::Absent => None,
    };
    // Filled where it is returned: a record is large, and moving it costs as much
    // as reading.
    let mut parsed = Parsed::Record(Record {
        epoch: stamp.epoch,
        zone_unknown: stamp.interpreted,
        serial: stamp.serial,
        message_type: number.or(Some(kind::AVC)),
        ..Record::default()
    });
    if let Parsed::Record(record) = &mut parsed {
        match fill(number, stamp.interpreted, body, record) {
            Ok(Ok(())) => {}
            Ok(Err(kind)) => parsed = Parsed::Foreign(kind),
            Err(why) => parsed = Parsed::Malformed(why),
        }
    }
    parsed
}

/// The record's own, something else's, or broken.
pub(super) type Filled = Result<Result<(), Foreign>, Malformed>;

fn fill<'a>(
    number: Option<u16>,
    interpreted: bool,
    body: &'a [u8],
    record: &mut Record<'a>,
) -> Filled {
    if body.is_empty() {
        return Err(Malformed::Empty);
    }
    // The common case; the fields' reader itself ends at the enrichment.
    if body.starts_with(b"apparmor=") && number.is_none_or(|number| number == kind::AVC) {
        return apparmor::parse(body, interpreted, record);
    }
    let body = match memchr(ENRICHMENT, body) {
        Some(end) => body[..end].trim_ascii_end(),
        None => body,
    };
    if number == Some(kind::USER_AVC) {
        let inner = quoted_message(body);
        // Buses speak for AppArmor and SELinux; policy notices are neither's.
        return if inner.starts_with(b"apparmor=") {
            apparmor::parse_from_bus(inner, interpreted, record)
        } else {
            selinux::parse(inner, interpreted, record)
        };
    }
    if number == Some(kind::SECCOMP) {
        return seccomp::parse(body, interpreted, record);
    }
    if body.starts_with(b"avc:") {
        return selinux::parse(body, interpreted, record);
    }
    let is_apparmor = number.is_some_and(kind::is_apparmor)
        || body.starts_with(b"apparmor=")
        || body.starts_with(b"operation=")
        // Order is free.
        || memmem::find(body, b" apparmor=").is_some()
        || memmem::find(body, b" operation=").is_some();
    if is_apparmor {
        return apparmor::parse(body, interpreted, record);
    }
    // Smack writes type 1400 too (`lsm=SMACK fn=…`), in another vocabulary.
    if memchr(b'=', body).is_some() {
        return Ok(Err(if number.is_some() {
            Foreign::OtherAvc
        } else {
            Foreign::UnknownType
        }));
    }
    Err(Malformed::Empty)
}

/// What a user-space program said: between `msg='` and the last quote.
fn quoted_message(body: &[u8]) -> &[u8] {
    let Some(start) = memmem::find(body, b"msg='") else {
        return body;
    };
    let inner = &body[start + b"msg='".len()..];
    match memrchr(b'\'', inner) {
        Some(end) => &inner[..end],
        None => inner,
    }
}

trait TrimSuffixNul {
    fn trim_suffix_nul(&self) -> &Self;
}

impl TrimSuffixNul for [u8] {
    fn trim_suffix_nul(&self) -> &Self {
        let end = self
            .iter()
            .rposition(|&byte| byte != 0)
            .map_or(0, |last| last + 1);
        &self[..end]
    }
}
