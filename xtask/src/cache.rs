//! The cache directory: what is costly to make, keyed by what it was made from.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// `$CAPWATCH_CACHE`, else `$XDG_CACHE_HOME/capwatch`, else `~/.cache/capwatch`.
pub fn dir() -> Result<PathBuf> {
    let dir = if let Some(dir) = std::env::var_os("CAPWATCH_CACHE") {
        PathBuf::from(dir)
    } else if let Some(dir) = std::env::var_os("XDG_CACHE_HOME") {
        PathBuf::from(dir).join("capwatch")
    } else {
        let home = std::env::home_dir().context("no home directory: set CAPWATCH_CACHE")?;
        home.join(".cache/capwatch")
    };
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    dir.canonicalize()
        .with_context(|| format!("cannot resolve {}", dir.display()))
}

/// Returns the cached entry `name`, made by `make` in an empty directory if
/// there is none.
///
/// An entry appears under its name only when it is complete, and a lock lets
/// only one task make it: virtual machines are started side by side.
pub fn entry(name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let path = dir()?.join(name);
    let parent = path.parent().context("a cache entry has a parent")?;
    fs::create_dir_all(parent)?;
    let _lock = lock(&path.with_added_extension("lock"))?;
    if path.exists() {
        return Ok(path);
    }
    let unfinished = path.with_added_extension("unfinished");
    remove(&unfinished)?;
    fs::create_dir_all(&unfinished)?;
    make(&unfinished).with_context(|| format!("cannot make {name}"))?;
    fs::rename(&unfinished, &path)?;
    Ok(path)
}

/// Takes an exclusive lock on `path`, waiting for it; it ends with the file.
pub fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    file.lock()
        .with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// Removes a directory tree that may not be there.
pub fn remove(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// A short key of any text: FNV-1a, stable from one build to the next.
pub fn key(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}
