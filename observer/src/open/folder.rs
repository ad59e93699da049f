//! Folders that others may write to: what is opened below them stays below them.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd as _, OwnedFd},
    path::{Component, Path, PathBuf},
    sync::atomic::Ordering,
};

use rustix::{
    fs::{CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat},
    io::Errno,
};

use super::{BENEATH, OPENAT2, PLACE, READ, Refused, kind, plain, write};

/// A folder, by a descriptor that only refers to the place.
#[derive(Debug)]
pub struct Folder {
    pub(super) place: OwnedFd,
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
    /// As the system reports them.
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
/// As the system reports them.
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

/// The place at a path beneath a folder; links, `..` and absolute paths are refused.
pub(super) fn beneath(folder: &OwnedFd, path: &Path) -> Result<OwnedFd, Refused> {
    if OPENAT2.load(Ordering::Relaxed) {
        match rustix::fs::openat2(folder, path, PLACE, Mode::empty(), BENEATH) {
            // Filters that do not know the call say that it is not permitted.
            Err(Errno::NOSYS | Errno::PERM) => OPENAT2.store(false, Ordering::Relaxed),
            Err(error) => return Err(error.into()),
            Ok(place) => {
                let about = rustix::fs::fstat(&place)?;
                return match kind(&about) {
                    // With `O_NOFOLLOW` the last link is opened itself.
                    FileType::Symlink => Err(Errno::LOOP.into()),
                    _ => Ok(place),
                };
            }
        }
    }
    step_by_step(folder, path)
}

/// The same a component at a time, for kernels without `openat2`.
pub(super) fn step_by_step(folder: &OwnedFd, path: &Path) -> Result<OwnedFd, Refused> {
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
