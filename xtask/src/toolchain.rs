//! The compilers that stable Rust lacks: BPF, and arm64 for the virtual machines.
//!
//! A BPF target needs `core` built from the source of exactly the compiler's
//! version. Debian 12's security suite carries such a pair (made for browsers),
//! and the LLVM that goes with it. The packages are only unpacked: installed,
//! they would stand in rustup's way.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::apt::{self, Repository, Version};
use crate::{cache, cmd};

const SUITES: [&str; 2] = ["bookworm", "bookworm-security"];
/// The version that writes the committed objects.
pub const BPF_LINKER: &str = "0.13.0";

/// An unpacked rustc with its standard library's source.
pub struct Toolchain {
    usr: PathBuf,
}

/// What it takes to build the BPF programs.
pub struct Bpf {
    /// The compiler.
    pub rust: Toolchain,
    /// The linker, which is what emits the object.
    pub linker: PathBuf,
    llvm: String,
}

impl Toolchain {
    /// Finds the toolchain in the cache, or fetches it.
    pub fn install() -> Result<Self> {
        let entry = cache::entry("toolchain/rust", |root| {
            eprintln!("xtask: fetching a compiler with its library's source");
            let repository = Repository::open(&SUITES, "amd64")?;
            let std = newest(&repository, "libstd-rust-web-dev")?;
            let shared = depends_on(&std, "libstd-rust-web-")?;
            let packages = [
                "rustc-web",
                "cargo-web",
                "rust-web-src",
                "libstd-rust-web-dev",
                shared,
            ];
            repository.unpack(&packages, root)?;

            let mut libraries = Vec::new();
            for package in ["rustc-web", "cargo-web", shared] {
                libraries.extend(newest(&repository, package)?.depends);
            }
            // libc-dev is a virtual package: gcc brings a real one.
            let is_library = |name: &String| {
                name.starts_with("lib") && !name.contains("-rust-") && name != "libc-dev"
            };
            libraries.retain(is_library);
            libraries.sort();
            libraries.dedup();
            std::fs::write(root.join("libraries"), libraries.join("\n"))?;
            Ok(())
        })?;
        let libraries = std::fs::read_to_string(entry.join("libraries"))?;
        apt::ensure(&libraries.lines().collect::<Vec<_>>())?;
        Ok(Self {
            usr: entry.join("usr"),
        })
    }

    /// The same with the standard library for arm64 and a linker for it.
    pub fn install_arm64() -> Result<Self> {
        apt::ensure(&["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"])?;
        let toolchain = Self::install()?;
        let rustlib = Path::new("usr/lib/rustlib/aarch64-unknown-linux-gnu");
        let library = cache::entry("toolchain/rust-arm64", |root| {
            let repository = Repository::open(&SUITES, "arm64")?;
            repository.unpack(&["libstd-rust-web-dev"], root)
        })?;
        let link = toolchain.usr.join("lib/rustlib/aarch64-unknown-linux-gnu");
        // Another machine that starts beside this one may have made it.
        match std::os::unix::fs::symlink(library.join(rustlib), link) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                Err(error).context("cannot link the library for arm64")
            }
            _ => Ok(toolchain),
        }
    }

    /// A cargo of this toolchain, run in the workspace.
    pub fn cargo(&self) -> Command {
        let bin = self.usr.join("bin");
        let mut path = OsString::from(&bin);
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());

        let mut command = self.command("cargo");
        command
            .current_dir(cmd::workspace())
            .env("PATH", path)
            .env("RUSTC", bin.join("rustc"));
        for variable in std::env::vars_os().map(|(name, _)| name) {
            // What the outer cargo passes to its children isn't meant for this one.
            let name = variable.to_string_lossy();
            let flags = name.ends_with("RUSTFLAGS") || name.starts_with("CARGO_PROFILE");
            if flags || name.starts_with("RUSTUP_") || name.starts_with("RUSTC_W") {
                command.env_remove(&variable);
            }
        }
        command
    }

    /// The compiler's version and commit.
    pub fn version(&self) -> Result<String> {
        let version = cmd::stdout(self.command("rustc").arg("--version"))?;
        Ok(version.trim().trim_start_matches("rustc ").to_owned())
    }

    /// Each directory that a build may leave in debug information, and the
    /// neutral name it gets instead.
    pub fn remapped(&self) -> Result<Vec<(PathBuf, String)>> {
        let mut paths = vec![
            (cmd::workspace(), "/capwatch".to_owned()),
            (self.usr.join("lib/rustlib/src/rust"), "/rustc".to_owned()),
        ];
        for dir in subdirectories(&self.usr.join("src"))? {
            paths.push((dir, "/rustc".to_owned()));
        }
        paths.extend(registry_sources()?);
        Ok(paths)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.usr.join("bin").join(program));
        command
            .env("LD_LIBRARY_PATH", self.usr.join("lib/x86_64-linux-gnu"))
            .env("RUSTC_BOOTSTRAP", "1");
        command
    }
}

impl Bpf {
    /// Finds the compiler and the linker in the cache, or makes them.
    pub fn install() -> Result<Self> {
        let rust = Toolchain::install()?;
        let libraries = std::fs::read_to_string(rust.usr.join("../libraries"))?;
        let llvm = libraries
            .lines()
            .find_map(|name| name.strip_prefix("libllvm"))
            .context("the compiler depends on no LLVM library")?
            .to_owned();
        apt::ensure(&[
            &format!("llvm-{llvm}"),
            &format!("llvm-{llvm}-dev"),
            &format!("libpolly-{llvm}-dev"),
            "libzstd-dev",
            "zlib1g-dev",
            "gcc",
            "g++",
        ])?;
        let name = format!("toolchain/bpf-linker-{BPF_LINKER}-llvm-{llvm}");
        let linker = cache::entry(&name, |root| {
            eprintln!("xtask: building bpf-linker {BPF_LINKER}, which takes some minutes");
            cmd::run_quietly(
                cmd::cargo()
                    .args(["install", "bpf-linker", "--locked", "--version", BPF_LINKER])
                    .args([
                        "--no-default-features",
                        "--features",
                        &format!("llvm-{llvm}"),
                    ])
                    .arg("--root")
                    .arg(root)
                    // Without it the build picks whatever LLVM comes first.
                    .env("LLVM_PREFIX", format!("/usr/lib/llvm-{llvm}"))
                    .env_remove("CARGO_TARGET_DIR"),
            )
        })?;
        Ok(Self {
            rust,
            linker: linker.join("bin/bpf-linker"),
            llvm,
        })
    }

    /// A program of the LLVM that the linker uses.
    pub fn llvm(&self, program: &str) -> Command {
        Command::new(format!("/usr/lib/llvm-{}/bin/{program}", self.llvm))
    }

    /// Names and versions of all that has a say in the objects' bytes.
    pub fn versions(&self) -> Result<Vec<(&'static str, String)>> {
        let llvm = cmd::stdout(self.llvm("llvm-config").arg("--version"))?;
        let linker = cmd::stdout(Command::new(&self.linker).arg("--version"))?;
        Ok(vec![
            ("rustc", self.rust.version()?),
            ("llvm", llvm.trim().to_owned()),
            (
                "bpf-linker",
                linker.trim().trim_start_matches("bpf-linker ").to_owned(),
            ),
        ])
    }
}

/// The directories of crates' sources, and the neutral name they get: each is named
/// after a hash of the registry's address, which mirrors change.
pub fn registry_sources() -> Result<Vec<(PathBuf, String)>> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let sources = home.context("no home directory")?.join("registry/src");
    let sources = subdirectories(&sources)?.into_iter();
    Ok(sources.map(|dir| (dir, "/registry".to_owned())).collect())
}

fn newest(repository: &Repository, package: &str) -> Result<Version> {
    let mut newest: Option<Version> = None;
    for version in repository.versions(package)? {
        if newest
            .as_ref()
            .map_or(Ok(true), |known| version.is_newer_than(known))?
        {
            newest = Some(version);
        }
    }
    newest.with_context(|| format!("no version of {package} in {SUITES:?}"))
}

fn depends_on<'a>(version: &'a Version, prefix: &str) -> Result<&'a str> {
    version
        .depends
        .iter()
        .find(|name| name.starts_with(prefix))
        .map(String::as_str)
        .with_context(|| format!("no dependency on {prefix}*"))
}

fn subdirectories(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        std::fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    Ok(entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect())
}
