//! A file or pipe of any form: plain text, `journalctl`'s export or JSON,
//! compressed or not; read to its end.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::thread::{Builder, JoinHandle};

use thiserror::Error;

use super::sink::{Sink, realtime};
use crate::audit::{Reader, decompressed};
use crate::sandbox::{self, Room};

/// Why a log cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// It is a directory.
    #[error("{} is a directory; name the log file in it", .0.display())]
    Directory(PathBuf),
    /// Opening failed.
    #[error("cannot open {}: {source}", path.display())]
    Open {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Opens a log file; a directory is refused here, where the path is known.
///
/// # Errors
/// [`OpenError`] names the path.
pub fn open(path: &Path) -> Result<File, OpenError> {
    let failed = |source| OpenError::Open {
        path: path.to_owned(),
        source,
    };
    let file = crate::open::named(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_dir() {
        return Err(OpenError::Directory(path.to_owned()));
    }
    Ok(file)
}

/// Whether `path` can be opened, as far as that can be known without opening it:
/// a pipe's reader waits until somebody writes.
///
/// # Errors
/// [`OpenError`] names the path.
pub fn check(path: &Path) -> Result<(), OpenError> {
    let failed = |source: io::Error| OpenError::Open {
        path: path.to_owned(),
        source,
    };
    if std::fs::metadata(path).map_err(failed)?.is_dir() {
        return Err(OpenError::Directory(path.to_owned()));
    }
    rustix::fs::access(path, rustix::fs::Access::READ_OK).map_err(|error| failed(error.into()))
}

/// Opens `path` and reads it, on its own thread.
///
/// # Errors
/// When no thread can be started.
pub fn spawn_path(path: &Path, sink: Sink) -> io::Result<JoinHandle<()>> {
    let path = path.to_owned();
    Builder::new()
        .name("audit-stream".to_owned())
        .spawn(move || match open(&path) {
            Ok(file) => {
                sandbox::enter(Room::Plain);
                read(file, sink.patient());
            }
            Err(error) => sink.down(error.to_string()),
        })
}

/// Reads `input` on its own thread until it ends or nobody listens to
/// `sink`. A pipe that says nothing keeps the thread, and only it.
///
/// # Errors
/// When no thread can be started.
pub fn spawn(input: impl Read + Send + 'static, sink: Sink) -> io::Result<JoinHandle<()>> {
    Builder::new()
        .name("audit-stream".to_owned())
        .spawn(move || {
            sandbox::enter(Room::Plain);
            read(input, sink.patient());
        })
}

fn read(input: impl Read + Send, mut sink: Sink) {
    sink.up();
    let (compression, plain) = match decompressed(input) {
        Ok(opened) => opened,
        Err(error) => return sink.down(format!("cannot read the log: {error}")),
    };
    let mut reader = Reader::new(plain);
    while !sink.is_closed() {
        match reader.next_item() {
            Ok(Some(item)) => {
                sink.offer_formed(item.form, item.parsed, realtime());
                sink.offer_aside(item.aside);
            }
            Ok(None) => return sink.down("the log has ended"),
            Err(error) => {
                let lines = reader.lines();
                return sink.down(format!(
                    "cannot read further after line {}, byte {} of the {} log: {error}",
                    lines.number(),
                    lines.offset(),
                    compression.name()
                ));
            }
        }
    }
}
