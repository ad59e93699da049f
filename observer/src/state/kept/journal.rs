//! What came since the last snapshot, a line each, written before it is counted.

use std::{fs::File, io::Write as _, os::fd::OwnedFd};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use crate::{
    finding::{AuditEvent, Event, RuleRefusal, Scope},
    ledger::FoldedRow,
    open,
    state::Latency,
    time::Stamp,
};

/// Something that the next snapshot has in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// An episode, or a change of processes, as the kernel reported it; base64.
    State(String),
    /// An episode that was counted, by the names that were known then.
    Episode(Box<Event>, Scope),
    /// What a rule refused and was counted: the name of the kernel's key, and how much
    /// of its count is in it.
    Refusal(Box<RuleRefusal>, Scope, (u64, u64)),
    /// A record that was counted.
    Audit(Box<AuditEvent>, Stamp, Scope),
    /// Something that was lost in user space.
    Lost(String, String, u64),
    /// How long findings took, as it was shown.
    Latency(Box<Latency>),
    /// Rows that the kernel is about to forget.
    Folded(Vec<FoldedRow>),
}

impl Entry {
    /// Of what the kernel reported.
    pub fn state(bytes: &[u8]) -> Self {
        Self::State(STANDARD.encode(bytes))
    }

    /// What the kernel reported.
    pub fn state_bytes(&self) -> Option<Vec<u8>> {
        match self {
            Self::State(text) => STANDARD.decode(text).ok(),
            _ => None,
        }
    }
}

/// The file.
#[derive(Debug)]
pub struct Journal {
    file: Option<File>,
    number: u64,
    length: u64,
    failed: bool,
}

impl Journal {
    /// None yet: what is reported before the first snapshot is in it.
    pub const fn none(number: u64) -> Self {
        Self {
            file: None,
            number,
            length: 0,
            failed: false,
        }
    }

    /// One that an agent before began.
    pub fn resume(folder: &OwnedFd, name: &str, number: u64) -> Self {
        let opened = open::append_in(folder, name).map_err(|error| error.to_string());
        let resumed = opened.and_then(|file| {
            let bytes = open::read_in(folder, name, super::MAX_JOURNAL)
                .map_err(|error| error.to_string())?;
            // A line that was cut short would hide those after it.
            let whole = memchr::memrchr(b'\n', &bytes).map_or(0, |end| end as u64 + 1);
            file.set_len(whole).map_err(|error| error.to_string())?;
            Ok((file, whole))
        });
        match resumed {
            Ok((file, length)) => Self {
                file: Some(file),
                number,
                length,
                failed: false,
            },
            Err(why) => {
                tracing::warn!("cannot continue the journal: {why}");
                Self::none(number)
            }
        }
    }

    /// An empty one.
    pub const fn new(file: File, number: u64) -> Self {
        Self {
            file: Some(file),
            number,
            length: 0,
            failed: false,
        }
    }

    /// Adds a line. Where the disk is full the next snapshot has it, unless the
    /// agent is killed before.
    pub fn append(&mut self, entry: &Entry) {
        let Ok(mut line) = serde_json::to_vec(entry) else {
            return;
        };
        line.push(b'\n');
        self.length += line.len() as u64;
        let Some(file) = &mut self.file else {
            return;
        };
        if let Err(error) = file.write_all(&line)
            && !std::mem::replace(&mut self.failed, true)
        {
            tracing::warn!("cannot write the journal: {error}");
        }
    }

    /// Bytes.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// The number of its snapshot.
    pub const fn number(&self) -> u64 {
        self.number
    }
}

/// The entries; the last line may be cut short, and one that is none ends it.
pub fn read(bytes: &[u8]) -> Vec<Entry> {
    let mut entries = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(line) = line.strip_suffix(b"\n") else {
            break;
        };
        match serde_json::from_slice(line) {
            Ok(entry) => entries.push(entry),
            Err(error) => {
                tracing::warn!("the journal is unreadable from this point: {error}");
                break;
            }
        }
    }
    entries
}
