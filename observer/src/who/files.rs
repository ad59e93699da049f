//! Reading state that others wrote: bounded, and only what it claims to be.
//!
//! Paths come from conmon's words and from cgroups, which any user may forge,
//! and the agent may read everything. So a file counts only where it belongs to
//! the user whose process named it: nobody borrows another's container.

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::open::{self, Folder};

/// A store of some thousand containers has a list of this size.
const MAX_BYTES: u64 = 8 << 20;

/// Reads a file of a user beneath a folder as JSON; `None`, with a word in the
/// log, where it is no such file. That one is missing is normal: every store has
/// its own.
pub fn json<T: DeserializeOwned>(folder: &Folder, path: &str, owner: u32) -> Option<T> {
    let bytes = folder
        .read(path, owner, MAX_BYTES)
        .inspect_err(|error| {
            tracing::debug!("cannot read {}/{path}: {error}", folder.path().display());
        })
        .ok()?;
    serde_json::from_slice(&bytes)
        .inspect_err(|error| {
            tracing::debug!("{}/{path} is no JSON: {error}", folder.path().display());
        })
        .ok()
}

/// The text of a file at a fixed path of the host, which belongs to this user.
pub fn text(path: &Path, owner: u32) -> Option<String> {
    let bytes = open::fixed(path, owner, MAX_BYTES)
        .inspect_err(|error| tracing::debug!("cannot read {}: {error}", path.display()))
        .ok()?;
    String::from_utf8(bytes).ok()
}

/// The text of a file of a user beneath a folder.
pub fn text_below(folder: &Folder, path: &str, owner: u32) -> Option<String> {
    let bytes = folder.read(path, owner, MAX_BYTES).ok()?;
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_users_own_plain_json_counts() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::open(temporary.path()).unwrap();
        let own = rustix::process::getuid().as_raw();
        std::fs::write(temporary.path().join("file"), "[1, 2]").unwrap();
        assert_eq!(json::<Vec<u32>>(&folder, "file", own), Some(vec![1, 2]));
        assert_eq!(json::<Vec<u32>>(&folder, "file", own + 1), None);
        assert_eq!(json::<String>(&folder, "file", own), None);
        assert_eq!(json::<String>(&folder, "none", own), None);
        let giant = std::fs::File::create(temporary.path().join("giant")).unwrap();
        giant.set_len(MAX_BYTES + 1).unwrap();
        assert_eq!(json::<String>(&folder, "giant", own), None);
        let path = temporary.path().join("file");
        assert_eq!(text(&path, own).as_deref(), Some("[1, 2]"));
        assert_eq!(text(&path, own + 1), None);
    }
}
