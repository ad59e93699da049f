//! Where a record begins in a line: its type and stamp.

use memchr::{memchr, memmem, memrchr};

use super::{
    AUDIT, Kind, body_without_head, is_lone_message, is_ours, parse_body, parse_named,
    parse_without_head,
};
use crate::{
    origin,
    outcome::{Foreign, Parsed},
    scan,
    stamp::{self, Stamp},
};

/// The heads of auditd's log and of the kernel's, found without a search: nearly
/// every line begins with one of them.
pub(super) fn common_head(line: &[u8]) -> Option<(Kind, &[u8])> {
    let bare = line.strip_prefix(b"audit: ").unwrap_or(line);
    let rest = bare.strip_prefix(b"type=")?;
    let space = scan::find(b' ', rest)?;
    let after = &rest[space + 1..];
    let after = after.strip_prefix(b"msg=").unwrap_or(after);
    Some((Kind::of(&rest[..space]), after.strip_prefix(b"audit(")?))
}

/// Where a record begins.
#[derive(Clone, Copy)]
pub(super) enum Head {
    /// `audit(` is here.
    Stamp(usize),
    /// journald's `audit[172]: AVC …` is here, and its text there.
    Tag(usize, usize),
}

pub(super) fn find_head(line: &[u8]) -> Option<Head> {
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

pub(super) fn parse_head(line: &[u8], head: Head) -> Parsed<'_> {
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

pub(super) fn parse_after_head(mut given: Kind, after: &[u8]) -> Parsed<'_> {
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
