//! Tools that cargo installs: each of one version, in the cache.

use std::path::PathBuf;

use anyhow::Result;

use crate::{cache, cmd};

/// A tool of the registry; the version builds with the workspace's compiler.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// Crate and program.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
}

impl Tool {
    /// Whether it is in the cache.
    pub fn is_there(self) -> Result<bool> {
        Ok(cache::dir()?.join(self.entry()).exists())
    }

    /// Finds it in the cache, or builds it.
    pub fn install(self) -> Result<PathBuf> {
        let Self { name, version } = self;
        let root = cache::entry(&self.entry(), |root| {
            eprintln!("xtask: building {name}, which takes some minutes");
            cmd::run_quietly(
                cmd::cargo()
                    // Optimising it takes longer than it ever runs.
                    .args(["install", name, "--version", version])
                    .args(["--locked", "--debug", "--root"])
                    .arg(root)
                    .env_remove("CARGO_TARGET_DIR"),
            )
        })?;
        Ok(root.join("bin").join(name))
    }

    fn entry(self) -> String {
        format!("tools/{}-{}", self.name, self.version)
    }
}
