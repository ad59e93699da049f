//! The one place where files are opened.
//!
//! Opening a file can act: a terminal becomes the controlling one of a session
//! leader that has none, a watchdog starts to count, a tape rewinds, a pipe
//! waits for its writer. So nothing here opens without `O_NOCTTY`, and a path
//! that a user may have chosen is never opened before it is known to be a plain
//! file: it is looked at through an `O_PATH` descriptor, which acts on nothing,
//! beneath the folder it belongs to, with no link followed, and that very file
//! is then opened through `/proc/self/fd`.

mod folder;

pub use folder::{Folder, append_in, create_in, folders, names_in, own_folder, read_in};

use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::{AsRawFd as _, OwnedFd},
    path::Path,
    sync::atomic::AtomicBool,
};

use rustix::{
    fs::{FileType, Mode, OFlags, ResolveFlags, Stat},
    io::Errno,
};

/// Flags of every opening that reads.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NOCTTY).union(OFlags::CLOEXEC);
/// Flags of a descriptor that only refers to a place.
const PLACE: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Beneath the folder, whatever the path says.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS);

/// Whether `openat2` is there: kernels before 5.6 and some filters lack it, the one of
/// threads for look-ups among them (`sandbox`).
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
/// As the system reports them.
pub fn named(path: &Path) -> io::Result<File> {
    Ok(rustix::fs::open(path, READ, Mode::empty())?.into())
}

/// Opens a file of the kernel (`/proc`, `/sys`), or one that runs: never waits.
///
/// # Errors
/// As the system reports them.
pub fn system(path: impl AsRef<Path>) -> io::Result<File> {
    Ok(rustix::fs::open(path.as_ref(), READ | OFlags::NONBLOCK, Mode::empty())?.into())
}

/// The bytes of a file of the kernel.
///
/// # Errors
/// As the system reports them.
pub fn bytes(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    system(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a file of the kernel.
///
/// # Errors
/// As the system reports them, and where it is no text.
pub fn text(path: impl AsRef<Path>) -> io::Result<String> {
    let mut text = String::new();
    system(path)?.read_to_string(&mut text)?;
    Ok(text)
}

/// The text of a file that the operator named.
///
/// # Errors
/// As the system reports them, and where it is no text.
pub fn named_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    named(path)?.read_to_string(&mut text)?;
    Ok(text)
}

/// The bytes of a file that the operator named.
///
/// # Errors
/// As the system reports them.
pub fn named_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    named(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Makes a file that the operator named, or empties it.
///
/// # Errors
/// As the system reports them.
pub fn create(path: &Path) -> io::Result<File> {
    write(path, OFlags::CREATE | OFlags::TRUNC)
}

/// Opens a file that the operator named, to add to it.
///
/// # Errors
/// As the system reports them.
pub fn append(path: &Path) -> io::Result<File> {
    write(path, OFlags::CREATE | OFlags::APPEND)
}

/// The same without waiting for the reader of a pipe: without one it is an error
/// (`ENXIO`). What is written later may wait.
///
/// # Errors
/// As the system reports them.
pub fn append_at_once(path: &Path) -> io::Result<File> {
    let file = write(path, OFlags::CREATE | OFlags::APPEND | OFlags::NONBLOCK)?;
    let flags = rustix::fs::fcntl_getfl(&file)?;
    rustix::fs::fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
    Ok(file)
}

/// Opens a device, by a path that is written in the source, to read and write.
///
/// # Errors
/// As the system reports them.
pub fn device(path: &'static str) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

/// Writes to a file of the kernel.
///
/// # Errors
/// As the system reports them.
pub fn write_kernel_file(path: &str, text: &str) -> io::Result<()> {
    use std::io::Write;

    write(Path::new(path), OFlags::empty())?.write_all(text.as_bytes())
}

fn write(path: &Path, more: OFlags) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::NOCTTY | OFlags::CLOEXEC | more;
    Ok(rustix::fs::open(path, flags, Mode::from_raw_mode(0o666))?.into())
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

/// The bytes of the file behind a descriptor, where it is a plain file of this user.
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

/// The executable of a process, so that it can be opened when the process is gone.
/// Its file system is not asked for anything, and can't keep the caller waiting.
///
/// # Errors
/// As the system reports them.
pub fn place_of_executable(pid: u32) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    Ok(rustix::fs::open(
        format!("/proc/{pid}/exe"),
        flags,
        Mode::empty(),
    )?)
}

/// Opens an executable: always a plain file, since the kernel runs nothing else.
///
/// # Errors
/// As the system reports them.
pub fn executable(place: &OwnedFd) -> io::Result<File> {
    if kind(&rustix::fs::fstat(place)?) != FileType::RegularFile {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    system(format!("/proc/self/fd/{}", place.as_raw_fd()))
}

fn kind(about: &Stat) -> FileType {
    FileType::from_raw_mode(about.st_mode)
}

#[cfg(test)]
mod tests;
