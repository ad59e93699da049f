//! Writes lines to something that may fail, and goes on at the beginning of a
//! line once it works again: no output may end the agent.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc::Receiver,
    },
    time::{Duration, Instant},
};

/// Bytes that are written at once.
const BATCH: usize = 64 << 10;
/// How long what failed is left alone.
const REST: Duration = Duration::from_secs(1);

/// How a write begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// Where the last one ended.
    Same,
    /// In another file, or for another reader: the header comes first.
    New,
    /// The same, after half a line of somebody else.
    NewAmidALine,
}

/// Where lines go.
pub trait Lines: Send {
    /// Makes it ready to be written to.
    ///
    /// # Errors
    /// When it can't be, for now.
    fn begin(&mut self) -> io::Result<Begin>;

    /// Writes some of the bytes.
    ///
    /// # Errors
    /// The system's; `Interrupted` is tried again at once.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Takes back the last bytes that were written; whether that was possible.
    fn take_back(&mut self, bytes: u64) -> bool;

    /// Looks whether another file has the name by now.
    fn reopen(&mut self);

    /// What to call it.
    fn name(&self) -> String;
}

/// What the agent and the writing thread know together.
#[derive(Debug, Default)]
pub struct State {
    /// Lines that were lost.
    pub lost: AtomicU64,
    /// How often it was begun, or went on after a failure: what was reported before
    /// must be reported again.
    pub begun: AtomicU64,
    /// Whether to look for another file.
    pub reopen: AtomicBool,
    /// Whether it fails now.
    pub fails: AtomicBool,
    /// Bytes that wait to be written.
    pub queued: AtomicUsize,
}

/// The writing side.
pub struct Keeper {
    out: Box<dyn Lines>,
    header: Vec<u8>,
    state: Arc<State>,
    needs_header: bool,
    /// Whether half a line is at the end.
    amid_a_line: bool,
    failed: Option<Instant>,
}

/// What was written before it failed.
struct Failed {
    lines: u64,
    error: io::Error,
}

impl Keeper {
    /// Writes to `out`, each beginning with the header.
    pub fn new(out: Box<dyn Lines>, header: Vec<u8>, state: Arc<State>) -> Self {
        Self {
            out,
            header,
            state,
            needs_header: false,
            amid_a_line: false,
            failed: None,
        }
    }

    /// Writes what comes, until nothing more can come. An empty line only wakes.
    pub fn run(mut self, lines: &Receiver<Vec<u8>>) -> io::Result<()> {
        let mut batch = Vec::new();
        let mut last = Ok(());
        while let Ok(line) = lines.recv() {
            if self.state.reopen.swap(false, Ordering::AcqRel) {
                self.out.reopen();
                self.failed = None;
            }
            batch.clear();
            let woken = line.is_empty();
            let (mut count, mut taken) = (0, 0);
            let mut next = Some(line);
            while let Some(line) = next.take() {
                taken += line.len();
                count += u64::from(!line.is_empty());
                batch.extend_from_slice(&line);
                if batch.len() < BATCH {
                    next = lines.try_recv().ok();
                }
            }
            if count > 0 || woken {
                last = self.put(&batch, count);
            }
            // Written, or counted as lost: what is killed now loses none of it.
            self.state.queued.fetch_sub(taken, Ordering::AcqRel);
        }
        last
    }

    fn put(&mut self, batch: &[u8], count: u64) -> io::Result<()> {
        if self.failed.is_some_and(|failed| failed.elapsed() < REST) {
            self.state.lost.fetch_add(count, Ordering::AcqRel);
            return Err(io::Error::other("the last lines could not be written"));
        }
        match self.write(batch) {
            Ok(()) => {
                if self.failed.take().is_some() {
                    tracing::warn!("events are written to {} again", self.out.name());
                    self.state.fails.store(false, Ordering::Release);
                    self.state.begun.fetch_add(1, Ordering::AcqRel);
                }
                Ok(())
            }
            Err(Failed { lines, error }) => {
                let lost = count.saturating_sub(lines);
                self.state.lost.fetch_add(lost, Ordering::AcqRel);
                self.state.fails.store(true, Ordering::Release);
                if self.failed.is_none() {
                    tracing::warn!(
                        "cannot write events to {}: {error}; lines are lost until this works again",
                        self.out.name()
                    );
                }
                self.failed = Some(Instant::now());
                Err(error)
            }
        }
    }

    fn write(&mut self, batch: &[u8]) -> Result<(), Failed> {
        let begin = self.out.begin();
        match begin.map_err(|error| Failed { lines: 0, error })? {
            Begin::Same => {}
            Begin::New => {
                self.needs_header = true;
                self.amid_a_line = false;
            }
            Begin::NewAmidALine => {
                self.needs_header = true;
                self.amid_a_line = true;
            }
        }
        let mut text = Vec::new();
        if self.amid_a_line {
            text.push(b'\n');
        }
        let before = text.len();
        if self.needs_header {
            text.extend_from_slice(&self.header);
        }
        let own = text.len();
        // A copy of the batch only where something comes before it.
        let (text, own) = if own == 0 {
            (batch, 0)
        } else {
            text.extend_from_slice(batch);
            (text.as_slice(), own)
        };
        let (written, error) = self.write_all(text);
        if written > 0 && before > 0 {
            self.amid_a_line = false;
        }
        if self.needs_header && written >= own {
            self.needs_header = false;
            self.state.begun.fetch_add(1, Ordering::AcqRel);
        }
        let Some(error) = error else {
            return Ok(());
        };
        let whole = memchr::memrchr(b'\n', &text[..written]).map_or(0, |end| end + 1);
        let half = written - whole;
        if half > 0 && !self.out.take_back(half as u64) {
            self.amid_a_line = true;
        }
        let batch_written = &text[own.min(whole)..whole];
        let lines = memchr::memchr_iter(b'\n', batch_written).count() as u64;
        Err(Failed { lines, error })
    }

    fn write_all(&mut self, text: &[u8]) -> (usize, Option<io::Error>) {
        let mut written = 0;
        while written < text.len() {
            match self.out.write(&text[written..]) {
                Ok(0) => return (written, Some(io::ErrorKind::WriteZero.into())),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (written, Some(error)),
            }
        }
        (written, None)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc::sync_channel};

    use super::*;

    /// A disk with so much room.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<(Vec<u8>, usize)>>, bool);

    impl Lines for Disk {
        fn begin(&mut self) -> io::Result<Begin> {
            let is_new = !std::mem::replace(&mut self.1, true);
            Ok(if is_new { Begin::New } else { Begin::Same })
        }
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut disk = self.0.lock().unwrap();
            let room = disk.1.saturating_sub(disk.0.len()).min(bytes.len());
            if room == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            disk.0.extend_from_slice(&bytes[..room]);
            Ok(room)
        }
        fn take_back(&mut self, bytes: u64) -> bool {
            let mut disk = self.0.lock().unwrap();
            let length = disk.0.len() - usize::try_from(bytes).unwrap();
            disk.0.truncate(length);
            true
        }
        fn reopen(&mut self) {}
        fn name(&self) -> String {
            "a disk".to_owned()
        }
    }

    #[test]
    fn a_full_disk_loses_lines_that_are_counted_and_no_line_is_cut() {
        let disk = Disk::default();
        disk.0.lock().unwrap().1 = 20;
        let state = Arc::new(State::default());
        let header = b"header\n".to_vec();
        let mut keeper = Keeper::new(Box::new(disk.clone()), header, Arc::clone(&state));
        // 7 and 8 bytes fit, the next line only half.
        assert!(keeper.put(b"line 01\nline 02\nline 03\n", 3).is_err());
        assert_eq!(disk.0.lock().unwrap().0, b"header\nline 01\n");
        assert_eq!(state.lost.load(Ordering::Relaxed), 2);
        assert!(state.fails.load(Ordering::Relaxed));
        // It rests, and is not tried again for each line.
        assert!(keeper.put(b"line 04\n", 1).is_err());
        assert_eq!(state.lost.load(Ordering::Relaxed), 3);

        disk.0.lock().unwrap().1 = 1_000;
        keeper.failed = Instant::now().checked_sub(REST);
        keeper.put(b"line 05\n", 1).unwrap();
        let text = String::from_utf8(disk.0.lock().unwrap().0.clone()).unwrap();
        assert_eq!(text, "header\nline 01\nline 05\n");
        assert!(!state.fails.load(Ordering::Relaxed));
        assert_eq!(
            state.begun.load(Ordering::Relaxed),
            2,
            "all is recorded again"
        );
    }

    #[test]
    fn a_header_that_found_no_room_comes_with_the_first_line_that_does() {
        let disk = Disk::default();
        let state = Arc::new(State::default());
        let header = b"header\n".to_vec();
        let mut keeper = Keeper::new(Box::new(disk.clone()), header, Arc::clone(&state));
        assert!(keeper.put(b"1\n", 1).is_err());
        disk.0.lock().unwrap().1 = 1_000;
        keeper.failed = None;
        keeper.put(b"2\n", 1).unwrap();
        assert_eq!(disk.0.lock().unwrap().0, b"header\n2\n");
        assert_eq!(state.lost.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn what_comes_together_is_written_together() {
        let disk = Disk::default();
        disk.0.lock().unwrap().1 = 1_000;
        let state = Arc::new(State::default());
        let (sender, lines) = sync_channel(8);
        for line in ["a\n", "", "b\n"] {
            state.queued.fetch_add(line.len(), Ordering::Relaxed);
            sender.send(line.as_bytes().to_vec()).unwrap();
        }
        drop(sender);
        let keeper = Keeper::new(Box::new(disk.clone()), b"h\n".to_vec(), state);
        keeper.run(&lines).unwrap();
        assert_eq!(disk.0.lock().unwrap().0, b"h\na\nb\n");
    }
}
