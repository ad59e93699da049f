//! What user space alone knows, kept in a folder over restarts of one boot.
//!
//! Two files: a snapshot, replaced as a whole, and a journal of what came since,
//! which is written before it is counted. A snapshot names its journal, so one
//! rename exchanges both. The kernel's own counts are in neither: a snapshot says how
//! much of them is in its counters, and the rest is read from the kernel again.
//! Nothing is synced to the disk: after a boot none of it counts any more, and a
//! process that is killed leaves what it wrote to the kernel.

mod journal;
mod snapshot;

use std::{
    fs,
    io::{self, Write as _},
    os::{fd::OwnedFd, unix::fs::DirBuilderExt as _},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use rustix::{fs::FlockOperation, io::Errno};

pub use journal::Entry;
use journal::Journal;
pub use snapshot::{Counts, Programs, Snapshot};

use crate::{
    open::{self, Refused},
    time::Stamp,
};

/// The snapshot.
const SNAPSHOT: &str = "state.json";
/// The next one, while it is written.
const NEXT: &str = "state.next";
/// What a journal's name begins with.
const JOURNAL: &str = "journal.";
/// Bytes of a snapshot: several times what the greatest ledger takes.
const MAX_SNAPSHOT: u64 = 32 << 20;
/// Bytes of a journal that are read.
const MAX_JOURNAL: u64 = 64 << 20;
/// Bytes of a journal from which on a snapshot is due whatever waits.
const LONG_JOURNAL: u64 = 8 << 20;
/// Names in the folder that are looked at.
const MOST: usize = 1_024;
/// Files that were set aside and are kept.
const MAX_ASIDE: usize = 8;

/// Why a folder can't be used for state.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It can't be made or opened.
    #[error(
        "cannot keep state in {path}: {source}; create the folder, or name another one with --state"
    )]
    Refused {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: Refused,
    },
    /// Others may write there.
    #[error(
        "cannot keep state in {path}: others may write to it (mode {mode:o}); chmod 750 {path}"
    )]
    Mode {
        /// The folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Another agent runs with it.
    #[error(
        "another agent keeps its state in {0}; stop it first, or name another folder with --state"
    )]
    Held(PathBuf),
}

/// The folder, which this process alone has until it ends.
#[derive(Debug)]
pub struct State {
    folder: OwnedFd,
    path: PathBuf,
    journal: Mutex<Journal>,
}

/// What an agent before left there.
#[derive(Debug, Default)]
pub struct Left {
    /// Its last snapshot.
    pub snapshot: Option<Snapshot>,
    /// What came after it.
    pub entries: Vec<Entry>,
}

impl State {
    /// Takes the folder, and what an agent of this boot left there. What can't be
    /// gone on from is set aside, and said.
    ///
    /// # Errors
    /// When the folder can't be used, or somebody else has it.
    pub fn open(path: &Path, boot: &str) -> Result<(Self, Left), StateError> {
        let refused = |source| StateError::Refused {
            path: path.to_owned(),
            source,
        };
        if !path.exists() {
            let made = fs::DirBuilder::new().mode(0o750).create(path);
            made.map_err(|error| refused(error.into()))?;
        }
        let folder = take(path, false)?;
        let left = read(&folder, path, boot);
        let journal = left.snapshot.as_ref().map_or_else(
            || Journal::none(0),
            // What comes before the next snapshot belongs to this one.
            |snapshot| Journal::resume(&folder, &name(snapshot.number), snapshot.number),
        );
        let state = Self {
            folder,
            path: path.to_owned(),
            journal: Mutex::new(journal),
        };
        Ok((state, left))
    }

    /// Writes something down before it is counted.
    pub fn note(&self, entry: &Entry) {
        self.journal().append(entry);
    }

    /// Whether anything was written down since the last snapshot.
    pub fn has_news(&self) -> bool {
        self.journal().length() > 0
    }

    /// Whether a snapshot can wait no longer.
    pub fn is_long(&self) -> bool {
        self.journal().length() > LONG_JOURNAL
    }

    /// Replaces the snapshot, and begins a journal. `take` gives the new one; what is
    /// written down meanwhile comes after it.
    ///
    /// # Errors
    /// As the system reports them; the former ones stay.
    pub fn replace(&self, take: impl FnOnce() -> Snapshot) -> io::Result<()> {
        let mut journal = self.journal();
        let number = journal.number() + 1;
        let mut snapshot = take();
        snapshot.number = number;
        let text = serde_json::to_vec(&snapshot)?;
        if text.len() as u64 > MAX_SNAPSHOT {
            return Err(io::Error::other("it is larger than the limit"));
        }
        let mut next = open::create_in(&self.folder, NEXT)?;
        next.write_all(&text)?;
        let begun = open::create_in(&self.folder, &name(number))?;
        rustix::fs::renameat(&self.folder, NEXT, &self.folder, SNAPSHOT)?;
        let former = name(journal.number());
        *journal = Journal::new(begun, number);
        drop(journal);
        // One that stays is removed at the next start.
        let _ = rustix::fs::unlinkat(&self.folder, former, rustix::fs::AtFlags::empty());
        Ok(())
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a folder of this user's, or of anybody's where root asks.
fn take(path: &Path, anybody: bool) -> Result<OwnedFd, StateError> {
    let refused = |source| StateError::Refused {
        path: path.to_owned(),
        source,
    };
    let (folder, about) = open::own_folder(path, anybody).map_err(refused)?;
    if about.st_mode & 0o022 != 0 {
        return Err(StateError::Mode {
            path: path.to_owned(),
            mode: about.st_mode & 0o7777,
        });
    }
    match rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(folder),
        Err(Errno::WOULDBLOCK) => Err(StateError::Held(path.to_owned())),
        Err(error) => Err(refused(error.into())),
    }
}

fn name(number: u64) -> String {
    format!("{JOURNAL}{number}")
}

/// Reads what was left; what is no state of this boot goes.
fn read(folder: &OwnedFd, path: &Path, boot: &str) -> Left {
    let names = open::names_in(folder, ".", MOST);
    let mut left = Left::default();
    if names.iter().any(|name| name == SNAPSHOT) {
        let snapshot = open::read_in(folder, SNAPSHOT, MAX_SNAPSHOT)
            .map_err(|error| error.to_string())
            .and_then(|bytes| Snapshot::read(&bytes));
        match snapshot {
            Ok(snapshot) if snapshot.boot_id == boot => left.snapshot = Some(snapshot),
            Ok(_) => tracing::info!(
                "the state in {} is from another boot: counters start at 0",
                path.display()
            ),
            Err(why) => set_aside(folder, path, &names, &why),
        }
    }
    let own = left.snapshot.as_ref().map(|snapshot| name(snapshot.number));
    if let Some(own) = &own {
        match open::read_in(folder, own, MAX_JOURNAL) {
            Ok(bytes) => left.entries = journal::read(&bytes),
            Err(error) => {
                tracing::warn!("cannot read {}: {error}", path.join(own).display());
            }
        }
    }
    let others = names
        .iter()
        .filter(|name| (name.starts_with(JOURNAL) && own.as_ref() != Some(name)) || *name == NEXT);
    for other in others {
        let _ = rustix::fs::unlinkat(folder, other, rustix::fs::AtFlags::empty());
    }
    left
}

/// Keeps what can't be read, under another name, for a person to look at.
fn set_aside(folder: &OwnedFd, path: &Path, names: &[String], why: &str) {
    let aside = names.iter().filter(|name| name.contains(".refused-"));
    let mut aside: Vec<_> = aside.collect();
    aside.sort();
    for old in aside.iter().rev().skip(MAX_ASIDE - 1) {
        let _ = rustix::fs::unlinkat(folder, old.as_str(), rustix::fs::AtFlags::empty());
    }
    let other = format!("{SNAPSHOT}.refused-{}", Stamp::now().0 / 1_000_000);
    let place = path.join(SNAPSHOT);
    match rustix::fs::renameat(folder, SNAPSHOT, folder, &other) {
        Ok(()) => tracing::warn!(
            "cannot restore {}: {why}; it is kept as {other}, and counters start at 0",
            place.display()
        ),
        Err(error) => tracing::warn!(
            "cannot restore {}: {why}; counters start at 0, and it cannot be renamed: {error}",
            place.display()
        ),
    }
}

/// Removes what is kept in a folder; how many files there were.
///
/// # Errors
/// When an agent has it, or something can't be removed.
pub fn remove(path: &Path) -> Result<usize, StateError> {
    if !path.exists() {
        return Ok(0);
    }
    let folder = take(path, true)?;
    let mut count = 0;
    for name in open::names_in(&folder, ".", MOST) {
        if name.starts_with(SNAPSHOT) || name.starts_with(JOURNAL) || name == NEXT {
            let gone = rustix::fs::unlinkat(&folder, name, rustix::fs::AtFlags::empty());
            gone.map_err(|error| StateError::Refused {
                path: path.to_owned(),
                source: error.into(),
            })?;
            count += 1;
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests;
