//! Reading state that others wrote: bounded, and only what it claims to be.
//!
//! Paths come from conmon's words and from cgroups, which any user may forge,
//! and the agent may read everything. So a file counts only where it belongs to
//! the user whose process named it: nobody borrows another's container.

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::open::{Folder, Refused};

/// A store of some thousand containers has a list of this size.
const MAX_BYTES: u64 = 8 << 20;

/// Why a file tells nothing.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It can't be read, or is not the user's own plain file.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Its folder can't be reached.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// It is not what it should be.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// Reads a file of a user.
///
/// # Errors
/// Where it is no such file.
pub fn read(path: &Path, owner: u32) -> Result<Vec<u8>, FileError> {
    let (folder, name) = path.parent().zip(path.file_name()).ok_or(Refused::Kind)?;
    Ok(Folder::open(folder)?.read(name, owner, MAX_BYTES)?)
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
        assert!(matches!(
            read(&file, own + 1),
            Err(FileError::Refused(Refused::Owner { .. }))
        ));
        assert!(matches!(
            read(folder.path(), own),
            Err(FileError::Refused(Refused::Kind))
        ));
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
        assert!(matches!(
            read(&pipe, own),
            Err(FileError::Refused(Refused::Kind))
        ));
        assert_eq!(json::<String>(&file, own), None);
    }

    #[test]
    fn a_huge_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("huge");
        std::fs::File::create(&path)
            .unwrap()
            .set_len(MAX_BYTES + 1)
            .unwrap();
        let own = rustix::process::getuid().as_raw();
        assert!(matches!(
            read(&path, own),
            Err(FileError::Refused(Refused::Size(_)))
        ));
    }
}
