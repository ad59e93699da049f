//! The user spaces, made by mmdebstrap from the packages of Debian 12 or 13.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::kernel::Modules;
use super::{Arch, Root};
use crate::apt::{self, Repository};
use crate::{cache, cmd};

/// What the initramfs has besides busybox, and their libraries.
const SMALL: &str = "apparmor,busybox-static,libcap2-bin,util-linux";

/// What the full root has besides Debian's minimum.
const FULL: &str = "apparmor,auditd,bubblewrap,busybox-static,conmon,crun,fuse-overlayfs,iproute2,\
    jq,kmod,libcap2-bin,passwd,podman,procps,runc,slirp4netns,uidmap,util-linux";

/// What Debian's minimum is, where packages are unpacked and no more: `sh` and
/// what every script takes for granted.
const MINIMUM: &str = "base-files,base-passwd,bash,coreutils,dash,debianutils,diffutils,findutils,\
    grep,gzip,hostname,login,mawk,mount,ncurses-base,sed,tar";

/// Set up as root in the new system's directory, which is `$1`; nothing of it is run.
const CUSTOMIZE: &str = include_str!("../../assets/customize-root.sh");

/// The disks of a machine with a full root.
pub struct Disks {
    /// An ext4 image labelled `root`.
    pub root: PathBuf,
    /// The kernel's modules.
    pub modules: Modules,
}

/// Unpacks the packages of the busybox root: none of their scripts has run.
pub fn busybox(arch: Arch) -> Result<PathBuf> {
    let name = format!("roots/busybox-{}-{}", arch.debian(), cache::key(SMALL));
    let dir = cache::entry(&name, |dir| {
        apt::ensure(&["mmdebstrap"])?;
        eprintln!("xtask: making the busybox root for {}", arch.debian());
        let suites = Root::Busybox.suites();
        let repository = Repository::open(&suites, arch.debian())?;
        let mut command = mmdebstrap(arch)?;
        command.args(["--variant=extract", &format!("--include={SMALL}")]);
        debootstrap(command, suites[0], &repository, &dir.join("root"))
    })?;
    Ok(dir.join("root"))
}

/// Makes the full root's image, or finds it in the cache.
///
/// Another machine's packages are unpacked only, since their scripts can't run here.
pub fn prepare(root: Root, arch: Arch, packages: &[String]) -> Result<PathBuf> {
    let native = arch.target().starts_with(std::env::consts::ARCH);
    let mut packages = packages.to_vec();
    packages.retain(|package| !FULL.split(',').any(|known| known == package));
    packages.sort();
    packages.dedup();
    let mut include = FULL.to_owned();
    if !native {
        include.push(',');
        include.push_str(MINIMUM);
    }
    for package in &packages {
        include.push(',');
        include.push_str(package);
    }
    let key = cache::key(&format!("{include}\n{CUSTOMIZE}"));
    let suites = root.suites();
    let name = match root {
        Root::Busybox | Root::Full => "full",
        Root::Trixie => "trixie",
    };
    let dir = cache::entry(&format!("roots/{name}-{}-{key}", arch.debian()), |dir| {
        apt::ensure(&["mmdebstrap", "e2fsprogs", "busybox-static"])?;
        let extra = if packages.is_empty() {
            String::new()
        } else {
            packages.join(" ")
        };
        eprintln!(
            "xtask: making the {name} root for {} {extra}",
            arch.debian()
        );
        let repository = Repository::open(&suites, arch.debian())?;
        let hook = dir.join("customize");
        fs::write(&hook, CUSTOMIZE)?;
        let root = dir.join("root");
        let mut command = mmdebstrap(arch)?;
        command
            .arg(if native {
                "--variant=minbase"
            } else {
                "--variant=extract"
            })
            .arg(format!("--include={include}"))
            .arg("--aptopt=Acquire::Languages \"none\"");
        for path in [
            "/usr/share/doc/*",
            "/usr/share/man/*",
            "/usr/share/locale/*",
        ] {
            command.arg(format!("--dpkgopt=path-exclude={path}"));
        }
        debootstrap(command, suites[0], &repository, &root)?;
        // No hook of mmdebstrap's, which calls none where it only unpacks.
        cmd::run_quietly(cmd::as_root("sh")?.arg(&hook).arg(&root))?;
        make_image(&root, &dir.join("image"), "root", Some("3G"))?;
        cmd::run_quietly(
            cmd::as_root("rm")?
                .args(["-rf", "--one-file-system"])
                .arg(&root),
        )
    })?;
    Ok(dir.join("image"))
}

/// Makes an ext4 image of a directory; without a size, one that just fits.
pub fn make_image(dir: &Path, image: &Path, label: &str, size: Option<&str>) -> Result<()> {
    let size = if let Some(size) = size {
        size.to_owned()
    } else {
        let usage = cmd::stdout(Command::new("du").args(["-sk"]).arg(dir))?;
        let used: u64 = usage
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .parse()?;
        format!("{}k", used * 5 / 4 + 32 * 1024)
    };
    cmd::run_quietly(
        cmd::as_root("mke2fs")?
            .args(["-q", "-t", "ext4", "-L", label, "-m", "0", "-d"])
            .arg(dir)
            .arg(image)
            .arg(&size),
    )?;
    if !cmd::is_root() {
        let owner = format!(
            "{}",
            std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/self")?)
        );
        cmd::run_quietly(cmd::as_root("chown")?.arg(owner).arg(image))?;
    }
    Ok(())
}

fn mmdebstrap(arch: Arch) -> Result<Command> {
    let mut command = cmd::as_root("mmdebstrap")?;
    command.args(["--quiet", "--mode=root", "--architectures", arch.debian()]);
    // As in apt/suite.rs: a frozen mirror's release files may have expired.
    command.arg("--aptopt=Acquire::Check-Valid-Until \"false\"");
    Ok(command)
}

fn debootstrap(
    mut command: Command,
    suite: &str,
    repository: &Repository,
    root: &Path,
) -> Result<()> {
    command.arg(suite).arg(root).args(repository.lines());
    cmd::run_quietly(&mut command)
}
