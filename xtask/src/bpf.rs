//! `cargo xtask bpf`: builds the BPF objects that are committed.
//!
//! The objects are reproducible to the byte, whatever the checkout's and the
//! toolchain's directories are called, so `--check` can distinguish an object
//! that is older than its source.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::toolchain::Bpf;
use crate::{cache, cmd};

const ARCHITECTURES: [&str; 2] = ["x86_64", "aarch64"];
const DIRECTORY: &str = "observer/bpf";
const RECORD: &str = "observer/bpf/TOOLCHAIN";

/// Build the BPF objects that users' builds embed
#[derive(clap::Args)]
pub struct Args {
    /// Only say whether the committed objects are those of the source
    #[arg(long)]
    check: bool,
    /// Write this machine's object with the programs' own diagnostics to a
    /// file, for `capwatch --bpf-object FILE`
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    log: Option<PathBuf>,
    /// Write an object of empty programs on the same hooks to a file: what a
    /// bench compares with
    #[arg(long, value_name = "FILE", conflicts_with_all = ["check", "log"])]
    empty: Option<PathBuf>,
}

/// Runs the task.
pub fn main(args: &Args) -> Result<ExitCode> {
    if let Some(file) = &args.log {
        let object = build(&Bpf::install()?, std::env::consts::ARCH, "log")?;
        fs::copy(object, file).with_context(|| format!("cannot write {}", file.display()))?;
    } else if let Some(file) = &args.empty {
        empty(file)?;
    } else if args.check {
        println!("{}", check()?);
    } else {
        write()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Rebuilds the objects and compares them; returns what was compared.
pub fn check() -> Result<String> {
    let workspace = cmd::workspace();
    let recorded = fs::read_to_string(workspace.join(RECORD))
        .with_context(|| format!("no {RECORD}: run `cargo xtask bpf` and commit {DIRECTORY}"))?;
    let remedy = "run `cargo xtask bpf` and commit observer/bpf";
    let sources = source_digest()?;
    if lookup(&recorded, "sources") != Some(&sources) {
        bail!("the BPF objects are older than their source: {remedy}");
    }
    for arch in ARCHITECTURES {
        let digest = sha256(&committed(arch))?;
        if lookup(&recorded, &object_name(arch)) != Some(&digest) {
            bail!(
                "{} isn't the object that {RECORD} records: {remedy}",
                object_name(arch)
            );
        }
    }
    let toolchain = Bpf::install()?;
    for (name, version) in toolchain.versions()? {
        if lookup(&recorded, name) != Some(&version) {
            return Ok(format!(
                "the source is the recorded one; its bytes can't be compared, since {name} is \
                 {version} here and was {}",
                lookup(&recorded, name).unwrap_or("not recorded")
            ));
        }
    }
    for arch in ARCHITECTURES {
        let built = build(&toolchain, arch, "programs")?;
        if fs::read(built)? != fs::read(committed(arch))? {
            bail!(
                "{} differs from what the same source and toolchain give here: {remedy}",
                object_name(arch)
            );
        }
    }
    Ok("both objects are what their source gives, to the byte".to_owned())
}

fn write() -> Result<()> {
    let toolchain = Bpf::install()?;
    fs::create_dir_all(cmd::workspace().join(DIRECTORY))?;
    let mut record =
        String::from("# Written by `cargo xtask bpf`: what the objects were made of.\n");
    let mut add = |name: &str, value: &str| writeln!(record, "{name}: {value}");
    for (name, version) in toolchain.versions()? {
        add(name, &version)?;
    }
    add("sources", &source_digest()?)?;
    for arch in ARCHITECTURES {
        fs::copy(build(&toolchain, arch, "programs")?, committed(arch))?;
        add(&object_name(arch), &sha256(&committed(arch))?)?;
        println!("{DIRECTORY}/{}", object_name(arch));
    }
    fs::write(cmd::workspace().join(RECORD), record)?;
    Ok(())
}

/// Writes this machine's object of empty programs to a file.
pub fn empty(file: &Path) -> Result<()> {
    let object = build(&Bpf::install()?, std::env::consts::ARCH, "empty")?;
    fs::copy(object, file).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(())
}

/// Builds the object for one architecture's register layout.
fn build(toolchain: &Bpf, arch: &str, feature: &str) -> Result<PathBuf> {
    let target = cmd::target_dir().join("bpf").join(arch);
    // The same flags as aya-build's; BTF is made from the debug information.
    let mut flags = vec![
        format!("--cfg=bpf_target_arch=\"{arch}\""),
        "-Cdebuginfo=2".to_owned(),
        format!("-Clinker={}", toolchain.linker.display()),
        "-Clink-arg=--btf".to_owned(),
    ];
    for (path, name) in toolchain.rust.remapped()? {
        flags.push(format!("--remap-path-prefix={}={name}", path.display()));
    }
    cmd::run(
        toolchain
            .rust
            .cargo()
            .args([
                "build",
                "--quiet",
                "--locked",
                "--release",
                "--package",
                "observer-ebpf",
            ])
            .args([
                "--bin",
                "capwatch-ebpf",
                "--no-default-features",
                "--features",
                feature,
            ])
            .args(["--target", "bpfel-unknown-none", "-Z", "build-std=core"])
            .env("CARGO_TARGET_DIR", &target)
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1")
            .env("CARGO_PROFILE_RELEASE_DEBUG", "2")
            // The linker optimises the whole program itself.
            .env("CARGO_PROFILE_RELEASE_LTO", "false")
            .env("CARGO_PROFILE_RELEASE_PANIC", "abort"),
    )?;
    let release = target.join("bpfel-unknown-none/release");
    let object = release.join(object_name(arch));
    // DWARF has served: .BTF and .BTF.ext stay, at a tenth of the size.
    cmd::run(
        toolchain
            .llvm("llvm-objcopy")
            .arg("--strip-debug")
            .arg(release.join("capwatch-ebpf"))
            .arg(&object),
    )?;
    refuse_machine_paths(&object)?;
    Ok(object)
}

/// An object that names this machine's directories can't be reproduced elsewhere.
fn refuse_machine_paths(object: &Path) -> Result<()> {
    let bytes = fs::read(object)?;
    let mut private = vec![cmd::workspace(), cache::dir()?, cmd::target_dir()];
    private.extend(std::env::home_dir().filter(|home| home != Path::new("/")));
    for path in private {
        let needle = format!("{}/", path.display());
        if bytes
            .windows(needle.len())
            .any(|window| window == needle.as_bytes())
        {
            bail!("the object has the path {needle} in it");
        }
    }
    Ok(())
}

/// One digest of everything in the tree that the objects are made from.
fn source_digest() -> Result<String> {
    let workspace = cmd::workspace();
    let mut files = Vec::new();
    list_files(&workspace.join("observer-ebpf"), &mut files)?;
    files.sort();
    let mut listing = String::new();
    for file in files {
        let name = file.strip_prefix(&workspace)?.display();
        writeln!(listing, "{} {name}", sha256(&file)?)?;
    }
    let lock = fs::read_to_string(workspace.join("Cargo.lock"))?;
    for package in lock
        .split("\n\n")
        .filter(|package| is_bpf_dependency(package))
    {
        listing.push_str(package.trim());
        listing.push('\n');
    }
    let scratch = tempfile::NamedTempFile::new()?;
    fs::write(scratch.path(), listing)?;
    sha256(scratch.path())
}

/// Whether a stanza of Cargo.lock is one of a crate that ends up in the objects.
fn is_bpf_dependency(stanza: &str) -> bool {
    stanza
        .lines()
        .filter_map(|line| line.strip_prefix("name = \""))
        .any(|name| name.starts_with("aya-ebpf") || name.starts_with("aya-log-ebpf"))
}

fn list_files(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            list_files(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

fn committed(arch: &str) -> PathBuf {
    cmd::workspace().join(DIRECTORY).join(object_name(arch))
}

fn object_name(arch: &str) -> String {
    format!("capwatch.{arch}.bpf.o")
}

/// The SHA-256 of a file, in hexadecimal digits.
pub fn sha256(path: &Path) -> Result<String> {
    let line = cmd::stdout(Command::new("sha256sum").arg("--").arg(path))?;
    let digest = line
        .split_whitespace()
        .next()
        .context("sha256sum said nothing")?;
    Ok(digest.to_owned())
}

fn lookup<'a>(record: &'a str, name: &str) -> Option<&'a str> {
    record
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_is_looked_up_by_whole_names() {
        let record = "rustc: 1.96.0\nllvm: 22.1\ncapwatch.x86_64.bpf.o: aa\n";
        assert_eq!(lookup(record, "llvm"), Some("22.1"));
        assert_eq!(lookup(record, "rust"), None);
        assert_eq!(lookup(record, "capwatch.x86_64.bpf.o"), Some("aa"));
    }

    #[test]
    fn lock_stanzas_of_the_bpf_side() {
        assert!(is_bpf_dependency(
            "[[package]]\nname = \"aya-ebpf-bindings\"\n"
        ));
        assert!(!is_bpf_dependency("[[package]]\nname = \"aya-obj\"\n"));
    }
}
