//! The tarball: the static program with what belongs to it, and a script that puts it
//! in place or removes it.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{cache, cmd};

/// Of the source tree, what a host gets.
const TAKEN: [&str; 8] = [
    "README.md",
    "CHANGELOG.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "LICENSE-GPL2",
    "deploy",
    "docs",
    "dashboards",
];

/// Lays out the tarball's tree.
pub fn tarball_tree(tree: &Path, pages: &Path, program: &Path) -> Result<()> {
    cache::remove(tree)?;
    fs::create_dir_all(tree)?;
    for name in TAKEN {
        copy_tree(&cmd::workspace().join(name), &tree.join(name))?;
    }
    copy_tree(pages, &tree.join("pages"))?;
    fs::remove_file(tree.join("pages/changelog.gz"))?;
    copy_tree(program, &tree.join("capwatch"))?;
    copy_tree(
        &cmd::workspace().join("deploy/install.sh"),
        &tree.join("install.sh"),
    )
}

/// Copies a file, or a directory with all that is in it.
pub fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    cmd::run(
        Command::new("cp")
            .args(["-R", "--no-target-directory"])
            .arg(from)
            .arg(to),
    )
}

/// Packs a directory under its own name; the same tree gives the same bytes.
pub fn tar_gz(tree: &Path, file: &Path, epoch: &str) -> Result<()> {
    let parent = tree.parent().context("a tree has a parent")?;
    let name = tree.file_name().context("a tree has a name")?;
    let tar = file.with_extension("");
    tar_of(parent, &[name.as_ref()], &tar, epoch)?;
    cmd::run(Command::new("gzip").args(["-9n", "-f"]).arg(&tar))
}

/// Packs entries of a directory: sorted, of root, with one time and plain modes.
pub fn tar_of(directory: &Path, names: &[&Path], file: &Path, epoch: &str) -> Result<()> {
    cmd::run(
        Command::new("tar")
            .args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner"])
            .args(["--format=ustar", "--mode=u+rw,go+r-w,a+X"])
            .arg(format!("--mtime=@{epoch}"))
            .arg("-cf")
            .arg(file)
            .arg("-C")
            .arg(directory)
            .args(names),
    )
}
