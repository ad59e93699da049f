//! The body of `capwatch replay --records`.

use std::io::{self, Read, Write};

use audit_records::{Compression, Parsed, Reader, decompressed};
use thiserror::Error;

use super::object::RecordObject;

/// How many lines ended how; the three add up to `read`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Lines and journal entries read.
    pub read: u64,
    /// Those that hold a record.
    pub records: u64,
    /// Those that hold something else.
    pub foreign: u64,
    /// Those that are broken.
    pub malformed: u64,
}

impl Tally {
    /// Counts one outcome.
    pub const fn count(&mut self, parsed: &Parsed<'_>) {
        self.read += 1;
        match parsed {
            Parsed::Record(_) => self.records += 1,
            Parsed::Foreign(_) => self.foreign += 1,
            Parsed::Malformed(_) => self.malformed += 1,
        }
    }
}

/// Why a log could not be read to its end; what came before was printed.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// Reading failed.
    #[error("cannot read further after line {line}, byte {offset} of the {} log: {source}", compression.name())]
    Read {
        /// The last line read.
        line: u64,
        /// The byte after it, decompressed.
        offset: u64,
        /// How the log is compressed.
        compression: Compression,
        /// What was read until then.
        tally: Tally,
        /// Why.
        source: io::Error,
    },
    /// Writing failed.
    #[error("cannot write the records: {0}")]
    Write(#[source] io::Error),
}

/// Prints a `capwatch.record/1` object for each record and each broken line of
/// `input`, and for foreign ones too if `all`. The input may be compressed.
///
/// # Errors
/// Those of `input`, with the position, and those of `out`.
pub fn replay_records(
    input: impl Read + Send,
    all: bool,
    out: impl Write,
) -> Result<Tally, ReplayError> {
    match decompressed(input) {
        Ok((compression, plain)) => replay_plain(plain, compression, all, out),
        Err(source) => Err(ReplayError::Read {
            line: 0,
            offset: 0,
            compression: Compression::None,
            tally: Tally::default(),
            source,
        }),
    }
}

/// The same of what has been decompressed already; `compression` is for the errors.
///
/// # Errors
/// Those of `input`, with the position, and those of `out`.
pub fn replay_plain(
    input: impl Read,
    compression: Compression,
    all: bool,
    mut out: impl Write,
) -> Result<Tally, ReplayError> {
    let mut tally = Tally::default();
    let mut reader = Reader::new(input);
    loop {
        let item = match reader.next_item() {
            Ok(Some(item)) => item,
            Ok(None) => break,
            Err(source) => {
                out.flush().map_err(ReplayError::Write)?;
                return Err(ReplayError::Read {
                    line: reader.lines().number(),
                    offset: reader.lines().offset(),
                    compression,
                    tally,
                    source,
                });
            }
        };
        tally.count(&item.parsed);
        print(item.line, item.parsed, all, &mut out).map_err(ReplayError::Write)?;
    }
    out.flush().map_err(ReplayError::Write)?;
    Ok(tally)
}

fn print(line: u64, parsed: Parsed<'_>, all: bool, out: &mut impl Write) -> io::Result<()> {
    match parsed {
        Parsed::Record(record) => {
            for one in record.each() {
                write_object(&RecordObject::of_record(line, &one), out)?;
            }
            Ok(())
        }
        Parsed::Malformed(why) => write_object(&RecordObject::of_malformed(line, why), out),
        Parsed::Foreign(_) if all => write_object(&RecordObject::of_foreign(line), out),
        Parsed::Foreign(_) => Ok(()),
    }
}

fn write_object(object: &RecordObject<'_>, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, object)?;
    out.write_all(b"\n")
}
