//! A stream that `capwatch record --stream` or `capwatch run --events` wrote,
//! line by line.

use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};

use serde::Deserialize;
use thiserror::Error;

use crate::{
    clean::clean,
    finding::{Denial, EVENT_SCHEMA, Event, EventKind, StateLine},
    observation::stream::{self, STREAM_SCHEMA},
};

/// The field that every line has, and how its value begins, whatever its version.
const SCHEMA: (&[u8], [&[u8]; 2]) = (b"\"schema\"", [b"\"capwatch.event/", b"\"capwatch.stream/"]);
/// So much of a first line shows what it is.
const HEAD: usize = 64 << 10;
/// The longest line that is looked at: a command's words may be megabytes.
const MAX_LINE: u64 = 16 << 20;

/// What a stream's first bytes were taken for, and all of its bytes.
pub type Sniffed<R> = (bool, Chain<Cursor<Vec<u8>>, R>);

/// Whether `input` begins as a recorded stream does, written by capwatch or by a
/// program that orders and spaces JSON differently; reads no further than
/// needed.
///
/// # Errors
/// The input's own.
pub fn sniff<R: Read>(mut input: R) -> io::Result<Sniffed<R>> {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while may_be_stream(&head) {
        match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => head.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let is_stream = is_head(&head);
    Ok((is_stream, Cursor::new(head).chain(input)))
}

/// Whether more bytes may show more: an object that has not ended its first line,
/// beyond the brace that a pretty printer leaves alone on it.
fn may_be_stream(head: &[u8]) -> bool {
    match head.trim_ascii_start() {
        [] => head.len() < HEAD,
        text @ [b'{', ..] => {
            let line = text.strip_prefix(b"{").unwrap_or(text).trim_ascii_start();
            head.len() < HEAD && !line.contains(&b'\n') && !is_head(head)
        }
        _ => false,
    }
}

fn is_head(head: &[u8]) -> bool {
    let (name, values) = SCHEMA;
    head.trim_ascii_start().starts_with(b"{")
        && memchr::memmem::find_iter(head, name).any(|at| {
            let rest = head[at + name.len()..].trim_ascii_start();
            rest.strip_prefix(b":")
                .map(<[u8]>::trim_ascii_start)
                .is_some_and(|rest| values.iter().any(|value| rest.starts_with(value)))
        })
}

/// One line of a stream.
#[derive(Clone, Debug)]
pub enum Line {
    /// A finding, and the row that a denial counts in.
    Event(Box<Event>, Option<String>),
    /// What a report needs besides.
    State(Box<StateLine>),
    /// A line of a recording: what sources saw.
    Seen(Box<stream::Line>),
}

/// Why a line can't be used.
#[derive(Debug, Error)]
pub enum BadLine {
    /// It is of another version.
    #[error("its schema is {0:?}, and this capwatch reads {STREAM_SCHEMA:?} and {EVENT_SCHEMA:?}")]
    Schema(String),
    /// Of a kind that this version does not have.
    #[error("no line of {EVENT_SCHEMA:?} has the kind {0:?}")]
    Kind(String),
    /// Cut short, no JSON, or a field that is missing or of another type.
    #[error("{}", on_one_line(.0))]
    Json(#[from] serde_json::Error),
    /// Longer than any line can be.
    #[error("it is longer than {MAX_LINE} bytes")]
    TooLong,
}

/// What is wrong, without the line's number: each line is parsed alone.
fn on_one_line(error: &serde_json::Error) -> String {
    // It may quote the line.
    let text = clean(&error.to_string()).into_owned();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&place) {
        Some(cause) if error.column() > 0 => format!("{cause} at byte {}", error.column()),
        _ => text,
    }
}

/// Reads a stream.
pub struct Recorded<R> {
    input: BufReader<R>,
    line: Vec<u8>,
    number: u64,
}

impl<R: Read> Recorded<R> {
    /// Over a stream that is not compressed.
    pub fn new(input: R) -> Self {
        Self {
            input: BufReader::new(input),
            line: Vec::new(),
            number: 0,
        }
    }

    /// Number of the last line read, from 1.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The next line, which may be a bad one; nothing at the end. Empty lines are
    /// left out.
    ///
    /// # Errors
    /// The input's own.
    pub fn next_line(&mut self) -> io::Result<Option<Result<Line, BadLine>>> {
        loop {
            self.line.clear();
            let mut limited = (&mut self.input).take(MAX_LINE);
            if limited.read_until(b'\n', &mut self.line)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if self.line.len() as u64 == MAX_LINE && !self.line.ends_with(b"\n") {
                self.input.skip_until(b'\n')?;
                return Ok(Some(Err(BadLine::TooLong)));
            }
            let line = self.line.trim_ascii_end();
            if !line.is_empty() {
                return Ok(Some(parse(line)));
            }
        }
    }
}

/// What every line has.
#[derive(Deserialize)]
struct Head {
    schema: String,
    kind: String,
}

/// What a denial's line has besides the event.
#[derive(Deserialize)]
struct InRow {
    #[serde(default)]
    row: Option<String>,
}

fn parse(line: &[u8]) -> Result<Line, BadLine> {
    let Head { schema, kind } = serde_json::from_slice(line)?;
    if schema == STREAM_SCHEMA {
        return Ok(Line::Seen(Box::new(serde_json::from_slice(line)?)));
    }
    if schema != EVENT_SCHEMA {
        return Err(BadLine::Schema(schema));
    }
    match kind.as_str() {
        "header" | "row" | "sources" | "end" => {
            Ok(Line::State(Box::new(serde_json::from_slice(line)?)))
        }
        "denial" => {
            let InRow { row } = serde_json::from_slice(line)?;
            Ok(Line::Event(Box::new(serde_json::from_slice(line)?), row))
        }
        "episode" | "audit" | "supervisor" | "rule_refusal" | "loss" => {
            Ok(Line::Event(Box::new(serde_json::from_slice(line)?), None))
        }
        _ => Err(BadLine::Kind(kind)),
    }
}

impl Line {
    /// The denial of a line, and the row it counts in.
    pub fn denial(&self) -> Option<(&str, &Denial)> {
        match self {
            Self::Event(event, Some(row)) => match &event.kind {
                EventKind::Denial(denial) => Some((row, denial)),
                _ => None,
            },
            _ => None,
        }
    }
}
