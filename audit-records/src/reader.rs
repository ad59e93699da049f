//! A whole log, whatever its framing: plain lines, journal entries in JSON, or
//! in the export format, even mixed.

use std::collections::VecDeque;
use std::io::{self, Read};

use super::call::{Aside, is_aside};
use super::form::Form;
use super::journal::{self, Entry};
use super::line::{into_owned, json_records, parse_line};
use super::lines::{Line, Lines, Taken};
use super::outcome::{Foreign, Malformed, Parsed};
use super::record::Lsm;
use super::{MAX_LINE, mend, origin, wrapped};

/// One line, or one entry of the journal's export format.
#[derive(Clone, Debug, PartialEq)]
pub struct Item<'a> {
    /// The line it begins on, from 1.
    pub line: u64,
    /// By which way it came into the log, where it is a record.
    pub form: Form,
    /// What it says.
    pub parsed: Parsed<'a>,
    /// What it tells of a system call that changes capabilities.
    pub aside: Option<Aside>,
}

impl<'a> Item<'a> {
    const fn new(line: u64, form: Form, parsed: Parsed<'a>) -> Self {
        Self {
            line,
            form,
            parsed,
            aside: None,
        }
    }
}

/// What a line that was parsed so tells of a call.
fn aside_of(line: &[u8], parsed: &Parsed<'_>) -> Option<Aside> {
    match parsed {
        Parsed::Foreign(Foreign::Type(number)) if is_aside(*number) => aside(line),
        // A line that a log shipper keeps in a field.
        Parsed::Foreign(Foreign::NotAudit) if line.first() == Some(&b'{') => wrapped::aside(line),
        _ => None,
    }
}

/// The same, in whatever form.
fn aside(line: &[u8]) -> Option<Aside> {
    match journal::json_text(line.trim_ascii_end()) {
        Some(json) => journal::aside_of_json(json).or_else(|| wrapped::aside(json)),
        None => Aside::parse_line(line),
    }
}

/// Parses a log item by item.
#[derive(Debug)]
pub struct Reader<R> {
    lines: Lines<R>,
    /// Lines that were read ahead, and turned out to be lines of their own.
    ahead: VecDeque<Ahead>,
    /// Further items of the last line.
    more: VecDeque<Item<'static>>,
    /// Why no more can be read.
    failed: Option<io::Error>,
}

/// A line that was read ahead.
#[derive(Debug)]
struct Ahead {
    number: u64,
    bytes: Vec<u8>,
    too_long: bool,
}

/// What every entry of the export format begins with.
const ENTRY: &[u8] = b"__CURSOR=";
/// A record is never wrapped into more lines.
const MAX_WRAPPED: usize = 8;

impl<R: Read> Reader<R> {
    /// Over a log that is not compressed.
    pub fn new(input: R) -> Self {
        Self {
            lines: Lines::new(input),
            ahead: VecDeque::new(),
            more: VecDeque::new(),
            failed: None,
        }
    }

    /// The lines below, for their position.
    pub const fn lines(&self) -> &Lines<R> {
        &self.lines
    }

    /// The next item; nothing at the end.
    ///
    /// # Errors
    /// The input's own, after all that was read before.
    pub fn next_item(&mut self) -> io::Result<Option<Item<'_>>> {
        if let Some(item) = self.more.pop_front() {
            return Ok(Some(item));
        }
        if let Some(line) = self.ahead.pop_front() {
            return Ok(Some(self.owned_line(&line)));
        }
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let number = self.lines.number() + 1;
        if self.lines.peek_starts_with(ENTRY)? == Some(true) {
            return Ok(Some(self.entry(number)?));
        }
        // What is read ahead needs the buffer that a record borrows, so that lines
        // which may go on are told before they are parsed.
        let held = match self.lines.next_line()? {
            None => return Ok(None),
            Some(line) if line.too_long || !may_go_on(line.bytes) => None,
            Some(line) => Some(Ahead::of(line)),
        };
        if let Some(line) = held {
            return Ok(Some(self.owned_line(&line)));
        }
        let line = self.lines.last_line();
        let (form, parsed) = if line.too_long {
            (Form::default(), Parsed::Malformed(Malformed::TooLong))
        } else {
            parse_formed(line.bytes)
        };
        let aside = aside_of(line.bytes, &parsed);
        Ok(Some(Item {
            aside,
            ..Item::new(line.number, form, parsed)
        }))
    }

    /// A line that others may belong to.
    fn owned_line(&mut self, line: &Ahead) -> Item<'static> {
        let item = |form, parsed| Item::new(line.number, form, parsed);
        if line.too_long {
            return item(Form::default(), Parsed::Malformed(Malformed::TooLong));
        }
        let bytes = line.bytes.trim_ascii();
        if matches!(bytes, b"{" | b"[{") {
            return self.object(line.number);
        }
        if is_verbose_head(bytes) {
            return self.verbose(line.number);
        }
        let found = if matches!(bytes, [b'{', ..] | [b'[', b'{', ..]) {
            json_records(bytes)
        } else {
            let parts = mend::parts(bytes);
            parts.map(|parts| {
                parts
                    .into_iter()
                    .map(|part| into_owned(parse_line(part)))
                    .collect()
            })
        };
        if let Some(found) = found {
            let first = self.several(line.number, Form::of_line(&line.bytes), found);
            return Item {
                aside: aside(bytes),
                ..first
            };
        }
        let (form, parsed) = parse_formed(&line.bytes);
        let parsed = into_owned(parsed);
        let aside = aside_of(&line.bytes, &parsed);
        let parsed = if is_incomplete(&parsed) {
            self.joined(&line.bytes).unwrap_or(parsed)
        } else {
            parsed
        };
        Item {
            aside,
            ..item(form, parsed)
        }
    }

    /// Hands out the first of several, and keeps the others that tell something.
    fn several(&mut self, line: u64, form: Form, found: Vec<Parsed<'static>>) -> Item<'static> {
        let nothing = |parsed: &Parsed<'_>| {
            matches!(parsed, Parsed::Foreign(Foreign::NotAudit | Foreign::Empty))
        };
        let is_ours = |parsed: &Parsed<'_>| {
            matches!(
                parsed,
                Parsed::Record(_) | Parsed::Malformed(_) | Parsed::Foreign(Foreign::OtherProgram)
            )
        };
        let ours = found.iter().any(is_ours);
        let mut told = found
            .into_iter()
            .filter(|one| if ours { is_ours(one) } else { !nothing(one) })
            .map(|parsed| Item::new(line, form, parsed));
        let first = told.next();
        self.more.extend(told);
        first.unwrap_or(Item::new(line, form, Parsed::Foreign(Foreign::NotAudit)))
    }

    /// The line that stands `place` lines behind those handed out.
    ///
    /// An error of the input is kept until what was read before it is handed out.
    fn peek(&mut self, place: usize) -> Option<&Ahead> {
        while self.ahead.len() <= place && self.failed.is_none() {
            let line = match self.lines.peek_starts_with(ENTRY) {
                Ok(Some(false)) => self.lines.next_line(),
                Ok(_) => return None,
                Err(error) => Err(error),
            };
            match line {
                Ok(Some(line)) => self.ahead.push_back(Ahead::of(line)),
                Ok(None) => return None,
                Err(error) => self.failed = Some(error),
            }
        }
        self.ahead.get(place)
    }

    /// The record that `first` and the lines behind it are, where a terminal or a
    /// mail wrapped it.
    fn joined(&mut self, first: &[u8]) -> Option<Parsed<'static>> {
        let mut text = first.to_vec();
        for place in 0..MAX_WRAPPED {
            let Some(next) = self.peek(place) else {
                break;
            };
            if next.too_long || !continues(&next.bytes) {
                break;
            }
            glue(&mut text, &next.bytes);
            if text.len() > MAX_LINE {
                break;
            }
            let parsed = parse_line(&text);
            if matches!(parsed, Parsed::Record(_)) && !is_incomplete(&parsed) {
                let parsed = into_owned(parsed);
                self.ahead.drain(..=place);
                return Some(parsed);
            }
        }
        None
    }

    /// An object that stands on several lines (`journalctl -o json-pretty`,
    /// `dmesg -J`, `jq`). One that only holds a list of others is passed over.
    fn object(&mut self, number: u64) -> Item<'static> {
        let mut text = b"{\n".to_vec();
        let (mut depth, mut quoted) = (1_usize, false);
        let mut taken = 0;
        while let Some(next) = self.peek(taken) {
            let line = next.bytes.trim_ascii();
            if taken == 0 && matches!(line, [b'"', .., b'[' | b'{']) {
                break;
            }
            let is_json = matches!(
                line,
                [] | [
                    b'"' | b'{' | b'}' | b'[' | b']' | b',' | b'-' | b'0'
                        ..=b'9' | b't' | b'f' | b'n' | b':',
                    ..
                ]
            );
            if next.too_long || !is_json || text.len() + line.len() > MAX_LINE {
                break;
            }
            text.extend_from_slice(line);
            text.push(b'\n');
            depth = depth_after(line, depth, &mut quoted);
            taken += 1;
            if depth == 0 {
                self.ahead.drain(..taken);
                let text = text.trim_ascii();
                let text = text.strip_suffix(b",").unwrap_or(text);
                if let Some(found) = json_records(text) {
                    return self.several(number, Form::of_line(text), found);
                }
                let (form, parsed) = journal::parse_json(text);
                return Item {
                    aside: aside_of(text, &parsed),
                    ..Item::new(number, form, parsed)
                };
            }
        }
        // Broken off: each line for itself, once.
        let lines: Vec<_> = self.ahead.drain(..taken).collect();
        for line in lines {
            let (form, parsed) = parse_formed(&line.bytes);
            if !matches!(parsed, Parsed::Foreign(Foreign::NotAudit | Foreign::Empty)) {
                let parsed = into_owned(parsed);
                self.more.push_back(Item::new(line.number, form, parsed));
            }
        }
        Item::new(number, Form::default(), Parsed::Foreign(Foreign::NotAudit))
    }

    /// An entry as `journalctl -o verbose` prints it: a time and a cursor, then
    /// its fields, indented.
    fn verbose(&mut self, number: u64) -> Item<'static> {
        let mut entry = Entry::default();
        while let Some(next) = self.peek(0) {
            let indented = next.bytes.first().is_some_and(u8::is_ascii_whitespace);
            let line = next.bytes.trim_ascii();
            if !indented || line.is_empty() {
                break;
            }
            if let Some(equals) = memchr::memchr(b'=', line) {
                let (name, value) = (&line[..equals], &line[equals + 1..]);
                if Entry::wants(name) {
                    entry.set(name, value.to_vec());
                }
            }
            self.ahead.pop_front();
        }
        Item {
            aside: entry.aside_vouched(),
            ..Item::new(number, entry.form(), entry.parse_vouched())
        }
    }

    /// An entry: `NAME=value` lines, or `NAME`, a length of eight bytes (little
    /// endian), so many bytes and a line end; an empty line closes it.
    fn entry(&mut self, number: u64) -> io::Result<Item<'static>> {
        let broken = |why| Item::new(number, Form::default(), Parsed::Malformed(why));
        let mut entry = Entry::default();
        while let Some(line) = self.lines.next_line()? {
            if line.bytes.is_empty() {
                break;
            }
            if line.too_long {
                // A long field of no interest is no reason to lose the entry.
                if line.bytes.starts_with(b"MESSAGE=") {
                    self.skip_entry()?;
                    return Ok(broken(Malformed::TooLong));
                }
                continue;
            }
            if let Some(equals) = memchr::memchr(b'=', line.bytes) {
                let (name, value) = (&line.bytes[..equals], &line.bytes[equals + 1..]);
                if Entry::wants(name) {
                    entry.set(name, value.to_vec());
                }
                continue;
            }
            let is_name = line
                .bytes
                .iter()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_');
            if !is_name {
                self.skip_entry()?;
                return Ok(broken(Malformed::BadExport));
            }
            let name = line.bytes.to_vec();
            match self.binary() {
                Taken::Bytes(value) => entry.set(&name, value),
                Taken::TooMany if name == b"MESSAGE" => {
                    self.skip_entry()?;
                    return Ok(broken(Malformed::TooLong));
                }
                Taken::TooMany => {}
                Taken::Ended => return Ok(broken(Malformed::BadExport)),
            }
        }
        Ok(Item {
            aside: entry.aside(),
            ..Item::new(number, entry.form(), entry.parse())
        })
    }

    fn binary(&mut self) -> Taken {
        let Taken::Bytes(length) = self.lines.take_bytes(8) else {
            return Taken::Ended;
        };
        let Ok(length) = <[u8; 8]>::try_from(length) else {
            return Taken::Ended;
        };
        let value = self.lines.take_bytes(u64::from_le_bytes(length));
        match self.lines.take_bytes(1) {
            Taken::Bytes(_) => value,
            Taken::TooMany | Taken::Ended => Taken::Ended,
        }
    }

    fn skip_entry(&mut self) -> io::Result<()> {
        while let Some(line) = self.lines.next_line()? {
            if line.bytes.is_empty() {
                break;
            }
        }
        Ok(())
    }
}

impl Ahead {
    fn of(line: Line<'_>) -> Self {
        Self {
            number: line.number,
            bytes: line.bytes.to_vec(),
            too_long: line.too_long,
        }
    }
}

/// Parses a line; tells by which way its record came into the log.
fn parse_formed(line: &[u8]) -> (Form, Parsed<'_>) {
    let trimmed = line.trim_ascii_end();
    if let Some(json) = journal::json_text(trimmed)
        && json_records(json).is_none()
    {
        return journal::parse_json(json);
    }
    let parsed = parse_line(line);
    let form = match &parsed {
        Parsed::Record(_) => Form::of_line(line),
        Parsed::Foreign(_) | Parsed::Malformed(_) => Form::default(),
    };
    (form, parsed)
}

/// Whether other lines may belong to this one, or several records be on it. Told
/// by its first byte and its last word, since nearly every line is whole.
fn may_go_on(line: &[u8]) -> bool {
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
fn is_incomplete(parsed: &Parsed<'_>) -> bool {
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
fn continues(line: &[u8]) -> bool {
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
fn glue(text: &mut Vec<u8>, next: &[u8]) {
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
        .is_some_and(|end| super::fields::is_known(&next[..end]));
    let spaced = text.ends_with(b" ") || next.starts_with(b" ");
    if !odd && !spaced && (key || text.ends_with(b"\"")) {
        text.push(b' ');
    }
    text.extend_from_slice(next);
}

/// `Wed 2024-12-04 20:54:21.212842 UTC [s=9f;i=a1;b=77;…]`
fn is_verbose_head(line: &[u8]) -> bool {
    line.ends_with(b"]")
        && memchr::memmem::find(line, b"[s=")
            .is_some_and(|at| memchr::memmem::find(&line[at..], b";i=").is_some())
}

/// How deep JSON stands after a line.
fn depth_after(line: &[u8], mut depth: usize, quoted: &mut bool) -> usize {
    let mut bytes = line.iter();
    while let Some(byte) = bytes.next() {
        match (byte, *quoted) {
            (b'\\', true) => {
                bytes.next();
            }
            (b'"', _) => *quoted = !*quoted,
            (b'{' | b'[', false) => depth += 1,
            (b'}' | b']', false) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    depth
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Deed;

    const BODY: &str = "arch=c000003e syscall=157 success=no exit=-1 a0=18 a1=15 a2=0 a3=0 items=0 \
        ppid=6 pid=7 uid=0 comm=box exe=/usr/bin/box";

    /// The deeds of the calls in a log, with process id and serial number.
    fn calls(log: &str) -> Vec<(Deed, Option<u32>, Option<u64>)> {
        let mut reader = Reader::new(log.as_bytes());
        let mut calls = Vec::new();
        while let Some(item) = reader.next_item().expect("the input is whole") {
            if let Some(Aside::Call(call)) = item.aside {
                calls.push((call.deed, call.pid, call.serial));
            }
        }
        calls
    }

    fn fields(transport: &str) -> Vec<(&'static str, String)> {
        let message = match transport {
            "audit" => format!("SYSCALL {BODY}"),
            _ => format!("audit: type=1300 audit(1795458347.188:9): {BODY}"),
        };
        let mut fields = vec![("_TRANSPORT", transport.to_owned()), ("MESSAGE", message)];
        if transport == "audit" {
            fields.push(("_AUDIT_TYPE", "1300".to_owned()));
            fields.push(("_AUDIT_ID", "9".to_owned()));
            fields.push(("_SOURCE_REALTIME_TIMESTAMP", "1795458347188000".to_owned()));
        }
        fields
    }

    /// The forms that journalctl writes an entry in.
    fn forms(fields: &[(&str, String)]) -> [String; 4] {
        let object: serde_json::Map<String, serde_json::Value> = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone().into()))
            .collect();
        let lines = |indent: &str| -> String {
            let line = |(name, value): &(&str, String)| format!("{indent}{name}={value}\n");
            fields.iter().map(line).collect()
        };
        [
            serde_json::to_string(&object).expect("an object") + "\n",
            serde_json::to_string_pretty(&object).expect("an object") + "\n",
            format!("__CURSOR=s=1\n{}\n", lines("")),
            format!(
                "Mon 2026-11-23 18:25:47.188000 UTC [s=1;i=2]\n{}",
                lines("    ")
            ),
        ]
    }

    #[test]
    fn a_call_is_read_in_each_form_of_the_journal_and_believed_of_the_kernel_alone() {
        let told = [(Deed::Drop(21), Some(7), Some(9))];
        for transport in ["audit", "kernel"] {
            for log in forms(&fields(transport)) {
                assert_eq!(calls(&log), told, "{log}");
            }
        }
        for transport in ["syslog", "stdout", "journal"] {
            let mut fields = fields(transport);
            fields.push(("SYSLOG_IDENTIFIER", "eve".to_owned()));
            for log in forms(&fields) {
                assert_eq!(calls(&log), [], "{log}");
            }
        }
    }

    #[test]
    fn a_verbose_journal_always_names_the_transport() {
        let bare = [("MESSAGE", fields("kernel").remove(1).1)];
        let [_, _, exported, verbose] = forms(&bare);
        assert_eq!(calls(&exported).len(), 1);
        assert_eq!(calls(&verbose), []);
    }

    #[test]
    fn a_call_is_read_in_a_field_of_a_log_shipper_but_no_container_s_output() {
        let line = format!("type=SYSCALL msg=audit(1795458347.188:9): {BODY}");
        let shipped = serde_json::json!({"log": {"original": line}, "host": "x"});
        assert_eq!(calls(&shipped.to_string()).len(), 1);
        let output = serde_json::json!({"log": line, "stream": "stdout"});
        assert_eq!(calls(&output.to_string()), []);
    }
}
