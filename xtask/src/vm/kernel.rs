//! Debian's kernels: which suites have which, and where their parts are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use anyhow::{Context as _, Result, ensure};

use super::Arch;
use crate::apt::{self, Repository, Version};
use crate::{cache, cmd};

/// What mounting the disks takes; ext4 asks for the checksum by a name that the
/// dependencies don't have.
const BOOT_MODULES: [&str; 4] = ["virtio_pci", "virtio_blk", "crc32c_generic", "ext4"];

/// A release series: `6.1`, or `7.x` for the newest of its major version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kernel(String);

/// A kernel in the cache, unpacked from its packages.
pub struct Unpacked {
    dir: PathBuf,
}

impl FromStr for Kernel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (major, minor) = text
            .split_once('.')
            .ok_or("not a release series such as 6.12")?;
        let is_number = |part: &str| part.parse::<u16>().is_ok();
        if is_number(major) && (minor == "x" || is_number(minor)) {
            Ok(Self(text.to_owned()))
        } else {
            Err("not a release series such as 6.12 or 7.x".to_owned())
        }
    }
}

impl std::fmt::Display for Kernel {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Kernel {
    /// The first number of the series.
    pub fn major(&self) -> u16 {
        let major = self.0.split('.').next().unwrap_or_default();
        major.parse().unwrap_or_default()
    }

    /// Where Debian has the series.
    fn suites(&self) -> &'static [&'static str] {
        match self.0.as_str() {
            "5.10" => &["bullseye", "bullseye-security"],
            "6.1" => &["bookworm", "bookworm-security"],
            "6.12" => &["trixie", "trixie-security", "bookworm-backports"],
            _ => &["trixie-backports", "forky", "sid"],
        }
    }

    fn matches(&self, version: &str) -> bool {
        let series = self
            .0
            .strip_suffix('x')
            .map_or_else(|| format!("{}.", self.0), str::to_owned);
        version.starts_with(&series)
    }

    /// Finds the kernel in the cache, or downloads the newest of its series.
    pub fn fetch(&self, arch: Arch) -> Result<Unpacked> {
        let name = format!("kernels/{self}-{}", arch.debian());
        let dir = cache::entry(&name, |dir| {
            eprintln!("xtask: fetching Linux {self} for {}", arch.debian());
            let repository = Repository::open(self.suites(), arch.debian())?;
            let packages = self.packages(&repository, arch)?;
            let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
            eprintln!("xtask: {}", packages.join(" "));
            let root = dir.join("unpacked");
            repository.unpack(&packages, &root)?;
            tidy(&root, dir)
        })?;
        Ok(Unpacked { dir })
    }

    /// The packages of the image: one until 6.x, split in binary and modules later.
    fn packages(&self, repository: &Repository, arch: Arch) -> Result<Vec<String>> {
        let meta = format!("linux-image-{}", arch.debian());
        let mut image: Option<Version> = None;
        for version in repository.versions(&meta)? {
            let newer = match &image {
                Some(known) => version.is_newer_than(known)?,
                None => true,
            };
            if self.matches(&version.version) && newer {
                image = Some(version);
            }
        }
        let image = image.with_context(|| {
            format!("no {meta} of series {self} in {}", self.suites().join(", "))
        })?;

        let mut packages: Vec<String> = Vec::new();
        let mut queue = image.depends;
        while let Some(name) = queue.pop() {
            let is_part = ["linux-image-", "linux-binary-", "linux-modules-"]
                .iter()
                .any(|prefix| name.starts_with(prefix));
            if is_part && !packages.contains(&name) {
                let versions = repository.versions(&name)?;
                queue.extend(
                    versions
                        .into_iter()
                        .next()
                        .into_iter()
                        .flat_map(|v| v.depends),
                );
                packages.push(name);
            }
        }
        Ok(packages)
    }
}

/// Leaves `vmlinuz`, `version` and `modules/<version>` in `dir`.
fn tidy(root: &Path, dir: &Path) -> Result<()> {
    let modules = ["usr/lib/modules", "lib/modules"]
        .map(|path| root.join(path))
        .into_iter()
        .find(|path| path.is_dir())
        .context("the package has no modules")?;
    let version = only_entry(&modules)?;
    let image = [
        modules.join(&version).join("vmlinuz"),
        root.join(format!("boot/vmlinuz-{version}")),
    ]
    .into_iter()
    .find(|path| path.is_file())
    .context("the package has no vmlinuz")?;
    fs::rename(image, dir.join("vmlinuz"))?;
    fs::rename(&modules, dir.join("modules"))?;
    fs::write(dir.join("version"), &version)?;
    cache::remove(root)
}

fn only_entry(dir: &Path) -> Result<String> {
    let mut names: Vec<String> = fs::read_dir(dir)?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    ensure!(
        names.len() == 1,
        "{} has {names:?}, not one entry",
        dir.display()
    );
    Ok(names.remove(0))
}

/// A kernel's modules: all on a disk, and those that it takes to mount disks.
pub struct Modules {
    /// An ext4 image with all modules, labelled `modules`.
    pub image: PathBuf,
    /// A directory of uncompressed modules, named so that they sort into load order.
    pub boot: PathBuf,
}

impl Unpacked {
    /// The kernel image.
    pub fn vmlinuz(&self) -> PathBuf {
        self.dir.join("vmlinuz")
    }

    /// What `uname -r` says there.
    pub fn version(&self) -> Result<String> {
        fs::read_to_string(self.dir.join("version")).context("the cached kernel has no version")
    }

    /// Makes the modules ready for a root on a disk.
    pub fn modules(&self) -> Result<Modules> {
        apt::ensure(&["kmod", "e2fsprogs", "xz-utils", "zstd"])?;
        let version = self.version()?;
        let name = self
            .dir
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let dir = cache::entry(
            &format!(
                "kernels/{name}-modules-{}",
                cache::key(&BOOT_MODULES.join(" "))
            ),
            |dir| {
                let base = dir.join("base");
                let lib = base.join("lib/modules");
                fs::create_dir_all(&lib)?;
                cmd::run_quietly(
                    Command::new("cp")
                        .arg("-a")
                        .arg(self.dir.join("modules").join(&version))
                        .arg(&lib),
                )?;
                cmd::run_quietly(
                    Command::new("/sbin/depmod")
                        .arg("-b")
                        .arg(&base)
                        .arg(&version),
                )?;
                boot_modules(&lib.join(&version), &dir.join("boot"))?;
                super::root::make_image(&lib, &dir.join("image"), "modules", None)?;
                cache::remove(&base)
            },
        )?;
        Ok(Modules {
            image: dir.join("image"),
            boot: dir.join("boot"),
        })
    }
}

/// Copies what mounting the disks takes, numbered in load order.
fn boot_modules(modules: &Path, boot: &Path) -> Result<()> {
    let depends = fs::read_to_string(modules.join("modules.dep"))?;
    let mut order: Vec<&str> = Vec::new();
    for wanted in BOOT_MODULES {
        // What isn't listed is built in.
        let Some((module, needs)) = depends
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(module, _)| module_name(module) == wanted)
        else {
            continue;
        };
        // modules.dep lists the deepest dependency last.
        for path in needs.split_whitespace().rev().chain([module]) {
            if !order.contains(&path) {
                order.push(path);
            }
        }
    }
    fs::create_dir_all(boot)?;
    for (index, path) in order.iter().enumerate() {
        let copy = boot.join(format!("{index:02}-{}", module_name(path)));
        let source = modules.join(path);
        let decompressor = match source.extension().and_then(|e| e.to_str()) {
            Some("xz") => "xz",
            Some("zst") => "zstd",
            _ => "cat",
        };
        let mut command = Command::new(decompressor);
        if decompressor != "cat" {
            command.arg("-dc");
        }
        let output = command.arg(&source).output()?;
        ensure!(
            output.status.success(),
            "cannot unpack {}",
            source.display()
        );
        fs::write(copy, output.stdout)?;
    }
    Ok(())
}

fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file).replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_match_whole_numbers() {
        let kernel = |text: &str| Kernel::from_str(text).expect("a series");
        assert!(kernel("6.1").matches("6.1.140-1"));
        assert!(!kernel("6.1").matches("6.12.38-1"));
        assert!(kernel("7.x").matches("7.2.3-1"));
        assert!(!kernel("7.x").matches("6.19.3-1"));
        assert_eq!(kernel("7.x").major(), 7);
        assert!(Kernel::from_str("bookworm").is_err());
    }

    #[test]
    fn modules_are_named_without_path_and_suffix() {
        assert_eq!(
            module_name("kernel/drivers/virtio/virtio-pci.ko.xz"),
            "virtio_pci"
        );
    }
}
