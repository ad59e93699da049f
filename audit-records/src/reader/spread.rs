//! Entries of the journal that take several lines: objects, the verbose form, exports.

use std::io::{self, Read};

use super::{Item, Reader, aside_of, parse_formed};
use crate::{
    MAX_LINE,
    form::Form,
    journal::{self, Entry},
    line::{into_owned, json_records},
    lines::Taken,
    outcome::{Foreign, Malformed, Parsed},
};

impl<R: Read> Reader<R> {
    /// An object that is on several lines (`journalctl -o json-pretty`,
    /// `dmesg -J`, `jq`). One that only holds a list of others is passed over.
    pub(super) fn object(&mut self, number: u64) -> Item<'static> {
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
    pub(super) fn verbose(&mut self, number: u64) -> Item<'static> {
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
    pub(super) fn entry(&mut self, number: u64) -> io::Result<Item<'static>> {
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

/// `Wed 2024-12-04 20:54:21.212842 UTC [s=9f;i=a1;b=77;…]`
pub(super) fn is_verbose_head(line: &[u8]) -> bool {
    line.ends_with(b"]")
        && memchr::memmem::find(line, b"[s=")
            .is_some_and(|at| memchr::memmem::find(&line[at..], b";i=").is_some())
}

/// How deep JSON is after a line.
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
