//! A whole log, whatever its framing: plain lines, journal entries in JSON, or
//! in the export format, even mixed.

use std::io::{self, Read};

use super::form::Form;
use super::journal::{self, Entry};
use super::line::parse_line;
use super::lines::{Lines, Taken};
use super::outcome::{Malformed, Parsed};

/// One line, or one entry of the journal's export format.
#[derive(Clone, Debug, PartialEq)]
pub struct Item<'a> {
    /// The line it begins on, from 1.
    pub line: u64,
    /// By which way it came into the log, where it is a record.
    pub form: Form,
    /// What it says.
    pub parsed: Parsed<'a>,
}

/// Parses a log item by item.
#[derive(Debug)]
pub struct Reader<R> {
    lines: Lines<R>,
}

/// Parses a line; tells by which way its record came into the log.
fn parse_formed(line: &[u8]) -> (Form, Parsed<'_>) {
    if let Some(json) = journal::json_text(line.trim_ascii_end()) {
        return journal::parse_json(json);
    }
    let parsed = parse_line(line);
    let form = match &parsed {
        Parsed::Record(_) => Form::of_line(line),
        Parsed::Foreign(_) | Parsed::Malformed(_) => Form::default(),
    };
    (form, parsed)
}

/// What every entry of the export format begins with.
const ENTRY: &[u8] = b"__CURSOR=";

impl<R: Read> Reader<R> {
    /// Over a log that is not compressed.
    pub fn new(input: R) -> Self {
        Self {
            lines: Lines::new(input),
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
        let number = self.lines.number() + 1;
        if self.lines.peek_starts_with(ENTRY)? == Some(true) {
            let (form, parsed) = self.entry()?;
            return Ok(Some(Item {
                line: number,
                form,
                parsed,
            }));
        }
        Ok(self.lines.next_line()?.map(|line| {
            let (form, parsed) = if line.too_long {
                (Form::default(), Parsed::Malformed(Malformed::TooLong))
            } else {
                parse_formed(line.bytes)
            };
            Item {
                line: line.number,
                form,
                parsed,
            }
        }))
    }

    /// An entry: `NAME=value` lines, or `NAME`, a length of eight bytes (little
    /// endian), so many bytes and a line end; an empty line closes it.
    fn entry(&mut self) -> io::Result<(Form, Parsed<'static>)> {
        let broken = |why| (Form::default(), Parsed::Malformed(why));
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
        Ok((entry.form(), entry.parse()))
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
