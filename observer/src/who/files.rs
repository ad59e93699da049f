//! Reading state that others wrote: bounded, and only what it claims to be.
//!
//! Paths come from conmon's words and from cgroups, which any user may forge,
//! and the agent may read everything. So a file counts only where it belongs to
//! the user whose process named it: nobody borrows another's container.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use serde::de::DeserializeOwned;

/// A store of some thousand containers has a list of this size.
const MAX_BYTES: u64 = 8 << 20;

/// Why a file tells nothing.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It can't be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is a pipe, a device, a directory.
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
    #[error("it has more than {MAX_BYTES} bytes")]
    Size,
    /// It is not what it should be.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// Reads a file of a user.
///
/// # Errors
/// Where it is no such file.
pub fn read(path: &Path, owner: u32) -> Result<Vec<u8>, FileError> {
    // Opening a pipe would wait for its writer.
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file: File = OpenOptions::new()
        .read(true)
        .custom_flags(nonblocking)
        .open(path)?;
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(FileError::Kind);
    }
    if about.uid() != owner {
        return Err(FileError::Owner {
            found: about.uid(),
            expected: owner,
        });
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(FileError::Size);
    }
    Ok(bytes)
}

/// Reads a file of a user as JSON; `None`, with a word in the log, where it is
/// no such file. That one is missing is normal: every store has its own.
pub fn json<T: DeserializeOwned>(path: &Path, owner: u32) -> Option<T> {
    let value = read(path, owner).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?));
    value
        .inspect_err(|error| tracing::debug!("{} tells nothing: {error}", path.display()))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_folders_and_foreign_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let own = rustix::process::getuid().as_raw();
        let file = folder.path().join("file");
        std::fs::write(&file, "[1, 2]").unwrap();
        assert_eq!(json::<Vec<u32>>(&file, own), Some(vec![1, 2]));
        assert!(matches!(read(&file, own + 1), Err(FileError::Owner { .. })));
        assert!(matches!(read(folder.path(), own), Err(FileError::Kind)));
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
        assert!(matches!(read(&pipe, own), Err(FileError::Kind)));
        assert_eq!(json::<String>(&file, own), None);
    }

    #[test]
    fn a_huge_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("huge");
        File::create(&path).unwrap().set_len(MAX_BYTES + 1).unwrap();
        let own = rustix::process::getuid().as_raw();
        assert!(matches!(read(&path, own), Err(FileError::Size)));
    }
}
