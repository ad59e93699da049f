//! Debian packages: installed on this machine, or only unpacked.

mod sources;
mod suite;

use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context as _, Result};

use crate::cmd;
pub use sources::Mirrors;
pub use suite::{Repository, Version};

/// Installs those of `packages` that aren't, and says which.
pub fn ensure(packages: &[&str]) -> Result<()> {
    // Rings may ask from several threads; dpkg has one lock.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock();

    let missing: Vec<&str> = packages
        .iter()
        .copied()
        .filter(|package| !is_installed(package))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("xtask: installing {}", missing.join(" "));
    if missing.iter().any(|package| !has_candidate(package)) {
        cmd::run_quietly(cmd::as_root("apt-get")?.args(["update", "-q"]))?;
    }
    if let Err(error) = install(&missing) {
        // A mirror rotates versions: one more try with fresh lists.
        eprintln!("xtask: {error:#}");
        cmd::run_quietly(cmd::as_root("apt-get")?.args(["update", "-q"]))?;
        install(&missing)?;
    }
    Ok(())
}

fn install(packages: &[&str]) -> Result<()> {
    cmd::run_quietly(
        cmd::as_root("env")?
            .args([
                "DEBIAN_FRONTEND=noninteractive",
                "apt-get",
                "install",
                "-y",
                "-q",
            ])
            .arg("--no-install-recommends")
            // Another task may be installing at this moment.
            .args(["-o", "DPkg::Lock::Timeout=300"])
            .args(packages),
    )
    .context("cannot install packages")
}

fn is_installed(package: &str) -> bool {
    cmd::stdout(Command::new("dpkg-query").args(["-W", "-f=${db:Status-Status}", package]))
        .is_ok_and(|status| status == "installed")
}

fn has_candidate(package: &str) -> bool {
    cmd::stdout(Command::new("apt-cache").args(["policy", package])).is_ok_and(|policy| {
        policy
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Candidate:"))
            .any(|candidate| candidate.trim() != "(none)")
    })
}
