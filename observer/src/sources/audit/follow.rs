//! auditd's log file, followed through rotation and truncation.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread::{Builder, JoinHandle, sleep};
use std::time::Duration;

use memchr::memchr;

use super::sink::{Sink, realtime};
use super::stream::{OpenError, open};
use crate::audit::{Aside, MAX_LINE, Malformed, Parsed, parse_line};
use crate::sandbox::{self, Room};

/// How often an idle file is looked at.
const IDLE: Duration = Duration::from_millis(200);

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// With what is there already.
    Start,
    /// With what comes.
    End,
}

/// A log file that grows.
#[derive(Debug)]
pub struct Follow {
    path: PathBuf,
    file: File,
    position: u64,
    pending: Pending,
}

impl Follow {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// [`OpenError`] names the path.
    pub fn open(path: &Path, from: From) -> Result<Self, OpenError> {
        let mut file = open(path)?;
        let position = match from {
            From::Start => Ok(0),
            From::End => file.seek(SeekFrom::End(0)),
        };
        let position = position.map_err(|source| OpenError::Open {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
            position,
            pending: Pending::default(),
        })
    }

    /// Follows the file on its own thread until nobody listens to `sink`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn spawn(mut self, sink: Sink) -> io::Result<JoinHandle<()>> {
        Builder::new()
            .name("audit-follow".to_owned())
            .spawn(move || {
                sandbox::enter(Room::AuditLog);
                let mut sink = sink.patient();
                sink.up();
                let mut is_up = true;
                while !sink.is_closed() {
                    match self.step(&mut sink) {
                        Ok(Step::Read) => continue,
                        Ok(Step::Idle) if !is_up => {
                            sink.up();
                            is_up = true;
                        }
                        Ok(Step::Idle) => {}
                        Err(error) => {
                            if is_up {
                                sink.down(format!(
                                    "cannot follow {}: {error}",
                                    self.path.display()
                                ));
                                is_up = false;
                            }
                        }
                    }
                    sleep(IDLE);
                }
            })
    }

    /// Reads what there is; at the end, looks for a new file at the path.
    fn step(&mut self, sink: &mut Sink) -> io::Result<Step> {
        let mut buffer = [0; 16 * 1024];
        let count = match self.file.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Step::Read),
            Err(error) => return Err(error),
        };
        if count > 0 {
            self.position += count as u64;
            self.pending
                .feed(&buffer[..count], |line| offer(sink, line));
            return Ok(Step::Read);
        }
        self.look(sink)
    }

    fn look(&mut self, sink: &mut Sink) -> io::Result<Step> {
        let open_now = self.file.metadata()?;
        if open_now.len() < self.position {
            // Truncated in place (logrotate's copytruncate): begin again.
            self.pending.finish(|line| offer(sink, line));
            self.position = self.file.seek(SeekFrom::Start(0))?;
            return Ok(Step::Read);
        }
        // Gone is not the end: the program that rotates makes a new one presently.
        let at_path = std::fs::metadata(&self.path)?;
        if (at_path.dev(), at_path.ino()) == (open_now.dev(), open_now.ino()) {
            return Ok(Step::Idle);
        }
        let next = crate::open::named(&self.path)?;
        // A writer may have added to the old file since it was read: what came
        // before the new one existed is there now.
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.file.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => self
                    .pending
                    .feed(&buffer[..count], |line| offer(sink, line)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.pending.finish(|line| offer(sink, line));
        self.file = next;
        self.position = 0;
        Ok(Step::Read)
    }
}

/// Reports a line; nothing of one that is too long.
fn offer(sink: &mut Sink, line: Option<&[u8]>) {
    let Some(line) = line else {
        sink.offer(Parsed::Malformed(Malformed::TooLong), realtime());
        return;
    };
    sink.offer(parse_line(line), realtime());
    if sink.wants_calls() {
        sink.offer_aside(Aside::parse_line(line));
    }
}

enum Step {
    /// There may be more.
    Read,
    /// Nothing new.
    Idle,
}

/// The beginning of a line whose end is not written yet; never more than
/// [`MAX_LINE`] of it.
#[derive(Debug, Default)]
struct Pending {
    line: Vec<u8>,
    too_long: bool,
}

impl Pending {
    fn feed(&mut self, bytes: &[u8], mut emit: impl FnMut(Option<&[u8]>)) {
        let mut rest = bytes;
        while let Some(end) = memchr(b'\n', rest) {
            let line = &rest[..end];
            rest = &rest[end + 1..];
            if self.line.is_empty() && !self.too_long && line.len() <= MAX_LINE {
                emit(Some(line));
            } else {
                self.hold(line);
                self.finish(&mut emit);
            }
        }
        self.hold(rest);
    }

    /// A line that will get no end.
    fn finish(&mut self, mut emit: impl FnMut(Option<&[u8]>)) {
        if self.too_long {
            emit(None);
        } else if !self.line.is_empty() {
            emit(Some(&self.line));
        }
        self.line.clear();
        self.too_long = false;
    }

    fn hold(&mut self, bytes: &[u8]) {
        if self.line.len() + bytes.len() > MAX_LINE {
            self.too_long = true;
            self.line.clear();
        }
        if !self.too_long {
            self.line.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(parts: &[&[u8]]) -> Vec<&'static str> {
        let mut pending = Pending::default();
        let mut found = Vec::new();
        let mut emit = |line: Option<&[u8]>| {
            found.push(match line.map(parse_line) {
                Some(Parsed::Record(_)) => "record",
                Some(Parsed::Foreign(kind)) => kind.name(),
                Some(Parsed::Malformed(_)) => "malformed",
                None => "too long",
            });
        };
        for part in parts {
            pending.feed(part, &mut emit);
        }
        pending.finish(&mut emit);
        found
    }

    #[test]
    fn lines_written_in_pieces() {
        let record: &[u8] = b"type=AVC msg=audit(1.1:1): apparmor=\"DENIED\" pid=1\n";
        let (head, tail) = record.split_at(20);
        assert_eq!(outcomes(&[head, tail, record, head, tail]), ["record"; 3]);
        assert_eq!(outcomes(&[head, tail, head]), ["record", "malformed"]);
        assert_eq!(outcomes(&[&[record, b"\n"].concat()]), ["record", "empty"]);
    }

    #[test]
    fn a_line_without_end_takes_no_memory() {
        let piece = vec![b'x'; MAX_LINE / 2];
        let mut pending = Pending::default();
        let mut malformed = 0;
        for _ in 0..100 {
            pending.feed(&piece, |_| {});
            assert!(pending.line.len() <= MAX_LINE);
        }
        pending.feed(b"\n", |line| malformed += u32::from(line.is_none()));
        assert_eq!(malformed, 1);
    }
}
