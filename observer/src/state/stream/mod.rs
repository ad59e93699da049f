//! The recorded stream: JSON lines from which `capwatch replay` makes the same
//! report. Written by a separate thread: a slow disk or reader does
//! not hold up the agent. An agent's may fail and go on; a recording is whole or
//! an error.

mod file;
mod keeper;
mod recording;

pub use file::{EventsOutput, waits_for_a_reader};
pub use keeper::{Begin, Lines};
pub use recording::Recording;

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, BufWriter, Write},
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{Builder, JoinHandle, sleep},
    time::{Duration, Instant},
};

use keeper::{Keeper, State as Kept};
use serde::Serialize;

use crate::{
    correlate::Finding,
    finding::{
        Denial, End, Event, EventKind, Header, Row, Scope, SourceReport, Sources, State, StateLine,
    },
    ledger::row_name,
    memory,
    sandbox::{self, Room},
    sight::Sight,
    time::Stamp,
};

/// Lines that wait for the disk.
const QUEUE: usize = 4_096;
/// Bytes that they may have together.
const QUEUE_BYTES: usize = 4 << 20;
/// How long a reader that stalls is waited for at the end. A test's is late only
/// where the machine is busy.
const PATIENCE: Duration = Duration::from_millis(if cfg!(test) { 10_000 } else { 400 });

/// What to do where the disk or the reader is slower than the findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// Leave lines out, and count them: an agent must go on.
    Drop,
    /// Wait: a recording is to be whole.
    #[cfg(test)]
    Wait,
}

/// Writes a stream.
#[derive(Debug)]
pub struct Recorder {
    queue: SyncSender<Vec<u8>>,
    writer: JoinHandle<io::Result<()>>,
    when_full: WhenFull,
    scope: Scope,
    /// What was written of each row last, by a hash.
    rows: HashMap<String, u64>,
    sources: Vec<SourceReport>,
    sight: Sight,
    dropped: u64,
    /// What the writer of an agent's stream reports.
    kept: Arc<Kept>,
    /// How often the stream had begun when rows were reported last.
    begun: u64,
    /// Lines of the writer's that were counted as lost already.
    unwritten: u64,
}

/// What was left out of a stream since it was asked last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Lines that found no room in the queue.
    pub lagged: u64,
    /// Lines that could not be written.
    pub unwritten: u64,
}

impl Recorder {
    /// Begins a recording as 0.1 wrote it, of findings: it is to be whole, and a failure to
    /// write is reported by [`Recorder::finish`].
    ///
    /// # Errors
    /// When no thread can be started.
    #[cfg(test)]
    pub fn record(out: Box<dyn Write + Send>, header: Header) -> io::Result<Self> {
        let (queue, lines) = sync_channel(QUEUE);
        let writer = Builder::new()
            .name("events".to_owned())
            .spawn(move || write(out, &lines))?;
        let mut recorder = Self::new(queue, writer, WhenFull::Wait, &header, Arc::default());
        recorder.state(Stamp::now(), State::Header(header));
        Ok(recorder)
    }

    /// Begins an agent's stream, which goes on after failures; each file that it
    /// goes to begins with the header.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn keep(out: Box<dyn Lines>, header: &Header) -> io::Result<Self> {
        let (queue, lines) = sync_channel(QUEUE);
        let kept = Arc::new(Kept::default());
        let line = StateLine::new(Stamp::now(), State::Header(header.clone()));
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        let keeper = Keeper::new(out, text, Arc::clone(&kept));
        let writer = Builder::new().name("events".to_owned()).spawn(move || {
            sandbox::enter(Room::Events);
            keeper.run(&lines)
        })?;
        // Wakes the writer for the header.
        let _ = queue.try_send(Vec::new());
        Ok(Self::new(queue, writer, WhenFull::Drop, header, kept))
    }

    fn new(
        queue: SyncSender<Vec<u8>>,
        writer: JoinHandle<io::Result<()>>,
        when_full: WhenFull,
        header: &Header,
        kept: Arc<Kept>,
    ) -> Self {
        Self {
            queue,
            writer,
            when_full,
            scope: header.scope.unwrap_or_default(),
            rows: HashMap::new(),
            sources: header.sources.clone(),
            sight: Sight::default(),
            dropped: 0,
            kept,
            begun: 0,
            unwritten: 0,
        }
    }

    /// Looks whether another file has the name by now.
    pub fn reopen(&self) {
        self.kept.reopen.store(true, Ordering::Release);
        // Wakes the writer; where the queue is full it is awake.
        let _ = self.queue.try_send(Vec::new());
    }

    /// Whether the file can't be written to now.
    pub fn fails(&self) -> bool {
        self.kept.fails.load(Ordering::Acquire)
    }

    /// To be called before rows and sources are reported: all of them are reported again
    /// to a file, or a reader, that has not had them.
    pub fn checkpoint(&mut self) {
        let begun = self.kept.begun.load(Ordering::Acquire);
        if begun != self.begun {
            self.begun = begun;
            self.rows.clear();
            self.sources.clear();
        }
        memory::trim(&mut self.rows);
    }

    /// Whether nothing waits to be written.
    pub fn is_written(&self) -> bool {
        self.kept.queued.load(Ordering::Acquire) == 0
    }

    /// Whose findings are reported.
    pub const fn scope(&self) -> Scope {
        self.scope
    }

    /// Writes a finding; of a command's recording, where it is of the scope that
    /// was asked for. A loss may concern it.
    pub fn finding(&mut self, finding: &Finding) {
        #[derive(Serialize)]
        struct Line<'a> {
            #[serde(flatten)]
            event: &'a Event,
            #[serde(skip_serializing_if = "Option::is_none")]
            row: Option<String>,
        }
        let is_loss = matches!(finding.event.kind, EventKind::Loss(_));
        if !self.scope.takes(finding.scope) && !is_loss {
            return;
        }
        let line = Line {
            event: &finding.event,
            row: finding.row.as_ref().map(|(key, _)| row_name(key)),
        };
        if !self.push(&line) {
            self.dropped += 1;
        }
    }

    /// Writes the state of a row, unless it is the one written last.
    pub fn row(&mut self, row: String, denial: Denial, folded: bool) {
        let line = Row {
            row,
            folded,
            denial,
        };
        let Ok(text) = serde_json::to_string(&line) else {
            return;
        };
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let hash = hasher.finish();
        if self.rows.get(&line.row) == Some(&hash) {
            return;
        }
        let name = line.row.clone();
        // One that finds no room is reported with the next state; a folded one has none.
        if self.state(line.denial.last, State::Row(Box::new(line))) && !folded {
            self.rows.insert(name, hash);
        } else if folded {
            self.rows.remove(&name);
        }
    }

    /// Writes the state of the sources, and what was not seen, unless it is what
    /// was written last.
    pub fn sources(&mut self, sources: &[SourceReport], sight: &Sight) {
        if self.sources == sources && self.sight == *sight {
            return;
        }
        let line = State::Sources(Sources {
            sources: sources.to_vec(),
            sight: Some(sight.clone()),
        });
        if self.state(Stamp::now(), line) {
            self.sources = sources.to_vec();
            self.sight = sight.clone();
        }
    }

    /// How many lines were left out since the last time this was asked.
    pub fn take_left_out(&mut self) -> LeftOut {
        let lost = self.kept.lost.load(Ordering::Acquire);
        let before = std::mem::replace(&mut self.unwritten, lost);
        LeftOut {
            lagged: std::mem::replace(&mut self.dropped, 0),
            unwritten: lost - before,
        }
    }

    /// Writes the last line, and waits until everything is written.
    ///
    /// # Errors
    /// The writer's own, and where a reader stalls.
    pub fn finish(mut self, end: End) -> io::Result<()> {
        let until = Instant::now() + PATIENCE;
        let last = StateLine::new(Stamp::now(), State::End(end));
        while !self.push(&last) && !self.writer.is_finished() && Instant::now() < until {
            sleep(Duration::from_millis(5));
        }
        let Self {
            queue,
            writer,
            when_full,
            ..
        } = self;
        drop(queue);
        while when_full == WhenFull::Drop && !writer.is_finished() {
            if Instant::now() > until {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "their reader has stalled",
                ));
            }
            sleep(Duration::from_millis(5));
        }
        whole(writer)
    }

    fn state(&mut self, time: Stamp, state: State) -> bool {
        self.push(&StateLine::new(time, state))
    }

    /// Whether the line was taken.
    fn push(&mut self, line: &impl Serialize) -> bool {
        // Plain structs with text keys: serialising them can't fail.
        let Ok(mut text) = serde_json::to_vec(line) else {
            return false;
        };
        text.push(b'\n');
        match self.when_full {
            WhenFull::Drop => {
                let length = text.len();
                let queued = self.kept.queued.fetch_add(length, Ordering::AcqRel);
                let has_room = queued + length <= QUEUE_BYTES;
                let taken = has_room && self.queue.try_send(text).is_ok();
                if !taken {
                    self.kept.queued.fetch_sub(length, Ordering::AcqRel);
                }
                // A writer that is gone reports so at the end.
                taken || self.writer.is_finished()
            }
            // A writer that failed reports so at the end.
            #[cfg(test)]
            WhenFull::Wait => self.queue.send(text).is_ok() || self.writer.is_finished(),
        }
    }
}

/// Waits for a writer; whether it could write everything.
fn whole(writer: JoinHandle<io::Result<()>>) -> io::Result<()> {
    let written = writer.join();
    written.unwrap_or_else(|_| Err(io::Error::other("the writer panicked")))
}

fn write(out: Box<dyn Write + Send>, lines: &Receiver<Vec<u8>>) -> io::Result<()> {
    let mut out = BufWriter::new(out);
    while let Ok(line) = lines.recv() {
        out.write_all(&line)?;
        while let Ok(line) = lines.try_recv() {
            out.write_all(&line)?;
        }
        out.flush()?;
    }
    Ok(())
}
