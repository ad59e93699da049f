//! The one place where files are opened.
//!
//! Opening a file can act: a terminal becomes the controlling one of a session
//! leader that has none, a watchdog starts to count, a tape rewinds, a pipe
//! waits for its writer. So nothing here opens without `O_NOCTTY`, and a path
//! that a user may have chosen is never opened before it is known to be a plain
//! file: it is looked at through an `O_PATH` descriptor, which acts on nothing,
//! beneath the folder it belongs to, with no link followed, and that very file
//! is then opened through `/proc/self/fd`.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::{Component, Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::{
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat},
    io::Errno,
};

/// Flags of every opening that reads.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NOCTTY).union(OFlags::CLOEXEC);
/// Flags of a descriptor that only stands for a place.
const PLACE: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Beneath the folder, whatever the path says.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS);

/// Whether `openat2` is there: kernels before 5.6 and some filters lack it.
static OPENAT2: AtomicBool = AtomicBool::new(true);

/// Why a file that somebody named is not read.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It can't be reached: it is not there, or a link or `..` is on the way.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is a pipe, a device, a directory, a link.
    #[error("it is no regular file")]
    Kind,
    /// It belongs to another user than the one who named it.
    #[error("it belongs to uid {found}, and uid {expected} named it")]
    Owner {
        /// Whose it is.
        found: u32,
        /// Who named it.
        expected: u32,
    },
    /// It is too large.
    #[error("it has more than {0} bytes")]
    Size(u64),
}

impl From<Errno> for Refused {
    fn from(error: Errno) -> Self {
        Self::Io(error.into())
    }
}

/// Opens what the operator named: a file, or a pipe, which may wait.
///
/// # Errors
/// As the system tells them.
pub fn named(path: &Path) -> io::Result<File> {
    Ok(rustix::fs::open(path, READ, Mode::empty())?.into())
}

/// Opens a file of the kernel (`/proc`, `/sys`), or one that runs: never waits.
///
/// # Errors
/// As the system tells them.
pub fn system(path: impl AsRef<Path>) -> io::Result<File> {
    Ok(rustix::fs::open(path.as_ref(), READ | OFlags::NONBLOCK, Mode::empty())?.into())
}

/// The bytes of a file of the kernel.
///
/// # Errors
/// As the system tells them.
pub fn bytes(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    system(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a file of the kernel.
///
/// # Errors
/// As the system tells them, and where it is no text.
pub fn text(path: impl AsRef<Path>) -> io::Result<String> {
    let mut text = String::new();
    system(path)?.read_to_string(&mut text)?;
    Ok(text)
}

/// The text of a file that the operator named.
///
/// # Errors
/// As the system tells them, and where it is no text.
pub fn named_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    named(path)?.read_to_string(&mut text)?;
    Ok(text)
}

/// The bytes of a file that the operator named.
///
/// # Errors
/// As the system tells them.
pub fn named_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    named(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Makes a file that the operator named, or empties it.
///
/// # Errors
/// As the system tells them.
pub fn create(path: &Path) -> io::Result<File> {
    write(path, OFlags::CREATE | OFlags::TRUNC)
}

/// Opens a file that the operator named, to add to it.
///
/// # Errors
/// As the system tells them.
pub fn append(path: &Path) -> io::Result<File> {
    write(path, OFlags::CREATE | OFlags::APPEND)
}

/// The same without waiting for the reader of a pipe: without one it is an error
/// (`ENXIO`). What is written later may wait.
///
/// # Errors
/// As the system tells them.
pub fn append_at_once(path: &Path) -> io::Result<File> {
    let file = write(path, OFlags::CREATE | OFlags::APPEND | OFlags::NONBLOCK)?;
    let flags = rustix::fs::fcntl_getfl(&file)?;
    rustix::fs::fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
    Ok(file)
}

/// Opens a device, by a path that is written in the source, to read and write.
///
/// # Errors
/// As the system tells them.
pub fn device(path: &'static str) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

/// Writes to a file of the kernel.
///
/// # Errors
/// As the system tells them.
pub fn tell(path: &str, text: &str) -> io::Result<()> {
    use std::io::Write;

    write(Path::new(path), OFlags::empty())?.write_all(text.as_bytes())
}

fn write(path: &Path, more: OFlags) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::NOCTTY | OFlags::CLOEXEC | more;
    Ok(rustix::fs::open(path, flags, Mode::from_raw_mode(0o666))?.into())
}

/// A folder, by a descriptor that only stands for the place.
#[derive(Debug)]
pub struct Folder {
    place: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// A folder that root or the operator named: links on the way are followed.
    ///
    /// # Errors
    /// Where it is none.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let place = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Self {
            place,
            path: path.to_owned(),
        })
    }

    /// A folder beneath this one, by a path that somebody may have chosen.
    ///
    /// # Errors
    /// Where it is none, or a link or `..` is on the way.
    pub fn below(&self, path: impl AsRef<Path>) -> Result<Self, Refused> {
        let path = path.as_ref();
        let place = beneath(&self.place, path)?;
        if kind(&rustix::fs::fstat(&place)?) != FileType::Directory {
            return Err(Errno::NOTDIR.into());
        }
        Ok(Self {
            place,
            path: self.path.join(path),
        })
    }

    /// Where it is, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Who owns it.
    ///
    /// # Errors
    /// As the system tells them.
    pub fn owner(&self) -> io::Result<u32> {
        Ok(rustix::fs::fstat(&self.place)?.st_uid)
    }

    /// Whether there is a plain file at a path beneath.
    pub fn has(&self, path: impl AsRef<Path>) -> bool {
        let place = beneath(&self.place, path.as_ref());
        let about = place.and_then(|place| Ok(rustix::fs::fstat(place)?));
        about.is_ok_and(|about| kind(&about) == FileType::RegularFile)
    }

    /// Reads a plain file of a user beneath this folder, up to so many bytes.
    ///
    /// # Errors
    /// Where it is no such file. Nothing else than one was opened then.
    pub fn read(&self, path: impl AsRef<Path>, owner: u32, limit: u64) -> Result<Vec<u8>, Refused> {
        plain(&beneath(&self.place, path.as_ref())?, owner, limit)
    }

    /// The names of what is in it, up to so many.
    pub fn names(&self, limit: usize) -> Vec<String> {
        // A folder can't act when it is opened.
        names_in(&self.place, ".", limit)
    }
}

/// A folder that may be locked and listed: this user's, or of `anybody` where root
/// asks. No link on the way to it is followed.
///
/// # Errors
/// Where it is none, or a link is on the way.
pub fn own_folder(path: &Path, anybody: bool) -> Result<(OwnedFd, Stat), Refused> {
    let flags = READ | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let whole = std::path::absolute(path)?;
    let opened = rustix::fs::openat2(CWD, &whole, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS);
    let folder = match opened {
        // Filters that do not know the call say that it is not permitted.
        Err(Errno::NOSYS | Errno::PERM) => {
            if std::fs::canonicalize(&whole)? != whole {
                return Err(Errno::LOOP.into());
            }
            rustix::fs::open(&whole, flags, Mode::empty())?
        }
        opened => opened?,
    };
    let about = rustix::fs::fstat(&folder)?;
    let expected = rustix::process::geteuid().as_raw();
    if about.st_uid != expected && !(anybody && expected == 0) {
        return Err(Refused::Owner {
            found: about.st_uid,
            expected,
        });
    }
    Ok((folder, about))
}

/// Makes a file in a folder of this user's, for this user alone, or empties it; a
/// link there is refused.
///
/// # Errors
/// As the system tells them.
pub fn create_in(folder: &OwnedFd, name: &str) -> io::Result<File> {
    let flags = OFlags::WRONLY
        | OFlags::CREATE
        | OFlags::TRUNC
        | OFlags::NOFOLLOW
        | OFlags::NONBLOCK
        | OFlags::NOCTTY
        | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(folder, name, flags, Mode::from_raw_mode(0o600))?.into())
}

/// Opens a plain file of this user in a folder, to add to it.
///
/// # Errors
/// Where it is no such file. Nothing else than one was opened then.
pub fn append_in(folder: &OwnedFd, name: &str) -> Result<File, Refused> {
    let place = beneath(folder, Path::new(name))?;
    let about = rustix::fs::fstat(&place)?;
    if kind(&about) != FileType::RegularFile {
        return Err(Refused::Kind);
    }
    let path = format!("/proc/self/fd/{}", place.as_raw_fd());
    Ok(write(Path::new(&path), OFlags::APPEND)?)
}

/// Reads a plain file of this user in a folder, up to so many bytes.
///
/// # Errors
/// Where it is no such file. Nothing else than one was opened then.
pub fn read_in(folder: &OwnedFd, name: &str, limit: u64) -> Result<Vec<u8>, Refused> {
    let owner = rustix::process::geteuid().as_raw();
    plain(&beneath(folder, Path::new(name))?, owner, limit)
}

/// The names of what is in a folder, up to so many.
pub fn names_in(folder: &OwnedFd, below: &str, limit: usize) -> Vec<String> {
    let flags = READ | OFlags::DIRECTORY | OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let open = rustix::fs::openat(folder, below, flags, Mode::empty());
    let Ok(entries) = open.and_then(Dir::read_from) else {
        return Vec::new();
    };
    let names = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned));
    names
        .filter(|name| name != "." && name != "..")
        .take(limit)
        .collect()
}

/// The names and the inode numbers of the folders in one of the kernel's.
pub fn folders(path: &Path) -> Vec<(String, u64)> {
    let flags = READ | OFlags::DIRECTORY | OFlags::NONBLOCK;
    let open = rustix::fs::open(path, flags, Mode::empty());
    let Ok(entries) = open.and_then(Dir::read_from) else {
        return Vec::new();
    };
    let folders = entries.flatten().filter_map(|entry| {
        let name = entry.file_name().to_str().ok()?;
        let is_folder = entry.file_type() == FileType::Directory && name != "." && name != "..";
        is_folder.then(|| (name.to_owned(), entry.ino()))
    });
    folders.collect()
}

/// Reads a plain file of this user at a path that root or the operator fixed:
/// links on the way are followed.
///
/// # Errors
/// Where it is no such file. Nothing else than one was opened then.
pub fn fixed(path: &Path, owner: u32, limit: u64) -> Result<Vec<u8>, Refused> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    plain(&rustix::fs::open(path, flags, Mode::empty())?, owner, limit)
}

/// The bytes of what a descriptor stands for, where it is a plain file of this user.
fn plain(place: &OwnedFd, owner: u32, limit: u64) -> Result<Vec<u8>, Refused> {
    let about = rustix::fs::fstat(place)?;
    if kind(&about) != FileType::RegularFile {
        return Err(Refused::Kind);
    }
    if about.st_uid != owner {
        return Err(Refused::Owner {
            found: about.st_uid,
            expected: owner,
        });
    }
    let size = u64::try_from(about.st_size).unwrap_or(u64::MAX);
    if size > limit {
        return Err(Refused::Size(limit));
    }
    let file = system(format!("/proc/self/fd/{}", place.as_raw_fd()))?;
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(Refused::Size(limit));
    }
    Ok(bytes)
}

/// A process's open executable: always a plain file, since the kernel runs
/// nothing else.
///
/// # Errors
/// As the system tells them.
pub fn executable(pid: u32) -> io::Result<File> {
    let path = format!("/proc/{pid}/exe");
    let about = rustix::fs::statat(CWD, path.as_str(), AtFlags::empty())?;
    if kind(&about) != FileType::RegularFile {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    system(path)
}

fn kind(about: &Stat) -> FileType {
    FileType::from_raw_mode(about.st_mode)
}

/// The place at a path beneath a folder; links, `..` and absolute paths are refused.
fn beneath(folder: &OwnedFd, path: &Path) -> Result<OwnedFd, Refused> {
    if OPENAT2.load(Ordering::Relaxed) {
        match rustix::fs::openat2(folder, path, PLACE, Mode::empty(), BENEATH) {
            // Filters that do not know the call say that it is not permitted.
            Err(Errno::NOSYS | Errno::PERM) => OPENAT2.store(false, Ordering::Relaxed),
            Err(error) => return Err(error.into()),
            Ok(place) => {
                let about = rustix::fs::fstat(&place)?;
                return match kind(&about) {
                    // With `O_NOFOLLOW` the last link stands for itself.
                    FileType::Symlink => Err(Errno::LOOP.into()),
                    _ => Ok(place),
                };
            }
        }
    }
    step_by_step(folder, path)
}

/// The same a component at a time, for kernels without `openat2`.
fn step_by_step(folder: &OwnedFd, path: &Path) -> Result<OwnedFd, Refused> {
    let mut place: Option<OwnedFd> = None;
    for component in path.components() {
        let name = match component {
            Component::Normal(name) => name,
            Component::CurDir => continue,
            _ => return Err(Errno::XDEV.into()),
        };
        let at = place.as_ref().map_or(folder.as_fd(), AsFd::as_fd);
        let next = rustix::fs::openat(at, name, PLACE, Mode::empty())?;
        if kind(&rustix::fs::fstat(&next)?) == FileType::Symlink {
            return Err(Errno::LOOP.into());
        }
        place = Some(next);
    }
    match place {
        Some(place) => Ok(place),
        None => Ok(rustix::io::fcntl_dupfd_cloexec(folder, 0)?),
    }
}

#[cfg(test)]
mod tests;
