//! The programs of a release: one linked with the system's C library, for packages, and
//! one that needs nothing, for the tarball and the image.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::Release;
use crate::cmd;
use crate::toolchain::{Toolchain, registry_sources};
use crate::vm::Arch;

/// Both of them.
#[derive(Clone)]
pub struct Binaries {
    /// Linked with the system's C library.
    pub linked: PathBuf,
    /// Linked with everything.
    pub fixed: PathBuf,
}

/// Builds both.
pub fn build(release: &Release, arch: Arch, target: &Path) -> Result<Binaries> {
    let directory = target.join(arch.target()).join("release");
    let linked = directory.join("capwatch");
    let fixed = directory.join("static/capwatch");
    // The crates are compiled once: the C library is chosen where the program is linked.
    cargo(release, arch, target, &["-Ctarget-feature=+crt-static"])?;
    fs::create_dir_all(directory.join("static"))?;
    fs::copy(&linked, &fixed)?;
    cargo(release, arch, target, &[])?;
    for program in [&linked, &fixed] {
        refuse_machine_paths(program, target)?;
    }
    Ok(Binaries { linked, fixed })
}

fn cargo(release: &Release, arch: Arch, target: &Path, flags: &[&str]) -> Result<()> {
    let mut remapped = registry_sources()?;
    let mut command = match arch {
        Arch::X86_64 => cmd::cargo(),
        Arch::Arm64 => {
            let toolchain = Toolchain::install_arm64()?;
            remapped.extend(toolchain.remapped()?);
            toolchain.cargo()
        }
    };
    remapped.push((cmd::workspace(), "/capwatch".to_owned()));
    let remapped: Vec<_> = remapped
        .iter()
        .map(|(path, name)| format!("--remap-path-prefix={}={name}", path.display()))
        .collect();
    command
        .args(["rustc", "--quiet", "--release", "--locked"])
        .args(["--package", "observer", "--bin", "capwatch"])
        .args(["--target", arch.target()])
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_ENCODED_RUSTFLAGS", remapped.join("\x1f"))
        .env("CARGO_PROFILE_RELEASE_STRIP", "symbols")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "false");
    for (variable, value) in release.variables() {
        command.env(variable, value);
    }
    if arch == Arch::Arm64 {
        let linker = OsStr::new("aarch64-linux-gnu-gcc");
        command.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", linker);
    }
    cmd::run(command.arg("--").args(flags))
}

/// A program that names this machine's directories can't be made again elsewhere.
fn refuse_machine_paths(program: &Path, target: &Path) -> Result<()> {
    let bytes = fs::read(program).with_context(|| format!("no {}", program.display()))?;
    let mut private = vec![cmd::workspace(), target.to_path_buf()];
    let home = std::env::home_dir().context("no home directory")?;
    private.extend([".cargo", ".rustup"].map(|tools| home.join(tools)));
    for path in private {
        let needle = format!("{}/", path.display());
        if bytes
            .windows(needle.len())
            .any(|window| window == needle.as_bytes())
        {
            bail!("{} has the path {needle} in it", program.display());
        }
    }
    Ok(())
}

/// What a program says of itself.
pub fn says(program: &Path, words: &[&str]) -> Result<String> {
    cmd::stdout(Command::new(program).args(words))
}
