//! The file that an agent's stream is appended to: a regular file, a FIFO, a
//! device, or standard output. It may fail and be whole again later.

use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::{
        fd::AsFd as _,
        unix::fs::{FileTypeExt as _, MetadataExt as _},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use super::keeper::{Begin, Lines};

/// How long a terminal or a pipe that takes nothing is waited for at a time.
const WAIT: Duration = Duration::from_secs(1);

/// Which file it is, whatever its name.
type Identity = (u64, u64);

/// A file that is opened again where that helps.
#[derive(Debug)]
pub struct EventsOutput {
    /// None for standard output.
    path: Option<PathBuf>,
    open: Option<File>,
    /// The file that the stream was begun in.
    begun: Option<Identity>,
}

impl EventsOutput {
    /// Opens a file to append to; `-` is standard output. A FIFO that nobody
    /// reads yet, or a full disk, is no error: it is tried again later.
    ///
    /// # Errors
    /// What the operator has to fix: no such folder, no permission, a directory.
    pub fn open(path: &Path) -> io::Result<Self> {
        let is_stdout = path == Path::new("-");
        let mut file = Self {
            path: (!is_stdout).then(|| path.to_owned()),
            open: None,
            begun: None,
        };
        match file.connect() {
            Ok(()) => Ok(file),
            Err(error) if may_pass(&error) => Ok(file),
            Err(error) => Err(error),
        }
    }

    fn connect(&mut self) -> io::Result<()> {
        if self.open.is_some() {
            return Ok(());
        }
        let Some(path) = &self.path else {
            let stdout = io::stdout().as_fd().try_clone_to_owned()?;
            self.open = Some(stdout.into());
            return Ok(());
        };
        self.open = Some(crate::open::append_at_once(path)?);
        Ok(())
    }

    /// Whether the last thing in the file is a line cut short, by a crash say.
    fn ends_amid_a_line(&self) -> bool {
        let Some(path) = self.path.as_ref().filter(|path| path.is_file()) else {
            return false;
        };
        let last = crate::open::named(path).and_then(|mut file| {
            file.seek(SeekFrom::End(-1))?;
            let mut last = [0];
            file.read_exact(&mut last)?;
            Ok(last[0])
        });
        // An empty one has no last byte.
        last.is_ok_and(|last| last != b'\n')
    }
}

impl Lines for EventsOutput {
    fn begin(&mut self) -> io::Result<Begin> {
        self.connect()?;
        let Some(file) = &self.open else {
            return Err(Errno::BADF.into());
        };
        let data = file.metadata()?;
        let identity = Some((data.dev(), data.ino()));
        // Each reader of a FIFO needs the beginning; one that went is noticed by EPIPE.
        if self.begun == identity {
            return Ok(Begin::Same);
        }
        let begin = if self.ends_amid_a_line() {
            Begin::NewAmidALine
        } else {
            Begin::New
        };
        self.begun = identity;
        Ok(begin)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(file) = &mut self.open else {
            return Err(Errno::PIPE.into());
        };
        match file.write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // Standard output may be somebody's that does not block.
                let mut ready = [PollFd::new(&*file, PollFlags::OUT)];
                let wait = Timespec::try_from(WAIT).ok();
                match poll(&mut ready, wait.as_ref()) {
                    Ok(0) => Err(io::ErrorKind::TimedOut.into()),
                    _ => Err(io::ErrorKind::Interrupted.into()),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe && self.path.is_some() => {
                // The next reader is another one.
                self.open = None;
                self.begun = None;
                Err(error)
            }
            result => result,
        }
    }

    fn take_back(&mut self, bytes: u64) -> bool {
        let Some(file) = &self.open else {
            return true;
        };
        let Ok(data) = file.metadata() else {
            return false;
        };
        let length = data.len().checked_sub(bytes);
        data.is_file() && length.is_some_and(|length| file.set_len(length).is_ok())
    }

    fn reopen(&mut self) {
        let (Some(path), Some(file)) = (&self.path, &self.open) else {
            return;
        };
        let identity = |data: fs::Metadata| (data.dev(), data.ino());
        let present = fs::metadata(path).map(identity).ok();
        let own = file.metadata().map(identity).ok();
        // The program that rotates logs renamed it; the same one goes on.
        if present != own {
            self.open = None;
            self.begun = None;
        }
    }

    fn name(&self) -> String {
        let path = self.path.as_ref();
        path.map_or_else(
            || "standard output".to_owned(),
            |path| path.display().to_string(),
        )
    }
}

/// Whether an error goes by itself: a FIFO without a reader, a disk without room.
fn may_pass(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(
        errno,
        Some(Errno::NXIO | Errno::NOSPC | Errno::DQUOT | Errno::IO)
    )
}

/// Whether the path is a FIFO that nobody reads, to say so at the start.
pub fn waits_for_a_reader(file: &EventsOutput) -> bool {
    let path = file.path.as_ref();
    let data = path.and_then(|path| fs::metadata(path).ok());
    file.open.is_none() && data.is_some_and(|data| data.file_type().is_fifo())
}

#[cfg(test)]
mod tests {
    use std::{fs::OpenOptions, os::unix::fs::OpenOptionsExt as _, time::Instant};

    use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};

    use super::*;

    fn fifo(folder: &Path) -> PathBuf {
        let path = folder.join("fifo");
        let mode = Mode::RUSR | Mode::WUSR;
        mknodat(CWD, &path, FileType::Fifo, mode, 0).unwrap();
        path
    }

    #[test]
    fn a_fifo_that_nobody_reads_blocks_nothing_and_goes_on_with_its_reader() {
        let folder = tempfile::tempdir().unwrap();
        let path = fifo(folder.path());
        let began = Instant::now();
        let mut file = EventsOutput::open(&path).unwrap();
        assert!(began.elapsed() < Duration::from_secs(1));
        assert!(waits_for_a_reader(&file));
        assert!(file.begin().is_err());

        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap();
        let reader = || {
            let mut options = OpenOptions::new();
            options.read(true).custom_flags(flags).open(&path).unwrap()
        };
        let first = reader();
        assert_eq!(file.begin().unwrap(), Begin::New);
        assert_eq!(file.write(b"1\n").unwrap(), 2);
        drop(first);
        assert!(file.write(b"2\n").is_err(), "the reader went");
        let _second = reader();
        assert_eq!(file.begin().unwrap(), Begin::New, "another reader");
        assert_eq!(file.begin().unwrap(), Begin::Same);
    }

    #[test]
    fn a_mistake_of_the_operator_is_reported_at_once() {
        let folder = tempfile::tempdir().unwrap();
        assert!(EventsOutput::open(folder.path()).is_err());
        assert!(EventsOutput::open(&folder.path().join("no/file")).is_err());
        assert!(EventsOutput::open(Path::new("/dev/full")).is_ok());
    }

    #[test]
    fn a_rotated_file_is_left_and_the_same_one_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        let mut file = EventsOutput::open(&path).unwrap();
        assert_eq!(file.begin().unwrap(), Begin::New);
        file.reopen();
        assert_eq!(file.begin().unwrap(), Begin::Same);
        fs::rename(&path, folder.path().join("events.1")).unwrap();
        file.reopen();
        assert_eq!(file.begin().unwrap(), Begin::New);
        file.write(b"half").unwrap();
        let mut again = EventsOutput::open(&path).unwrap();
        assert_eq!(again.begin().unwrap(), Begin::NewAmidALine);
        assert!(again.take_back(4));
        assert_eq!(fs::read(&path).unwrap(), b"");
    }
}
