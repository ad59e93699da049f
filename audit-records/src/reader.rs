//! A whole log, whatever its framing: plain lines, journal entries in JSON, or
//! in the export format, even mixed.

mod continued;
mod spread;

use continued::{continues, glue, is_incomplete, may_go_on};
use spread::is_verbose_head;

use std::collections::VecDeque;
use std::io::{self, Read};

use super::call::{Aside, is_aside};
use super::form::Form;
use super::journal;
use super::line::{into_owned, json_records, parse_line};
use super::lines::{Line, Lines};
use super::outcome::{Foreign, Malformed, Parsed};
use super::{MAX_LINE, mend, wrapped};

/// One line, or one entry of the journal's export format.
#[derive(Clone, Debug, PartialEq)]
pub struct Item<'a> {
    /// The line it begins on, from 1.
    pub line: u64,
    /// By which way it came into the log, where it is a record.
    pub form: Form,
    /// What it says.
    pub parsed: Parsed<'a>,
    /// What it shows of a system call that changes capabilities.
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

/// What a line that was parsed so shows of a call.
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
    /// Lines that were read ahead, and turned out to be their own lines.
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
        // What is read ahead needs the buffer that a record borrows, so lines
        // which may go on are reported before they are parsed.
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

    /// Hands out the first of several, and keeps the others that matter.
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
        let mut kept = found
            .into_iter()
            .filter(|one| if ours { is_ours(one) } else { !nothing(one) })
            .map(|parsed| Item::new(line, form, parsed));
        let first = kept.next();
        self.more.extend(kept);
        first.unwrap_or(Item::new(line, form, Parsed::Foreign(Foreign::NotAudit)))
    }

    /// The line that is `place` lines behind those handed out.
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

/// Parses a line; returns by which way its record came into the log.
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
        let expected = [(Deed::Drop(21), Some(7), Some(9))];
        for transport in ["audit", "kernel"] {
            for log in forms(&fields(transport)) {
                assert_eq!(calls(&log), expected, "{log}");
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
