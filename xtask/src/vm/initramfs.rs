//! The initramfs: a cached base, and this run's programs, scripts and files.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Read as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};

use super::cpio::Archive;
use super::root::Disks;
use super::{Arch, Options, guest, root};
use crate::cache;

const INIT: &str = include_str!("../../assets/init.sh");
const GUEST: &str = include_str!("../../assets/guest.sh");
const LIBRARY: &str = "tests/vm/lib.sh";
const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534::/:/bin/false
user:x:1000:1000::/tmp:/bin/sh
";
const GROUP: &str = "\
root:x:0:
tty:x:5:
nogroup:x:65534:
user:x:1000:
";

/// Writes the initramfs of a run; returns the word that marks the host's lines
/// in the guest's output.
pub fn write(options: &Options, disks: Option<&Disks>, path: &Path) -> Result<String> {
    let nonce = nonce()?;
    let mut file = File::create(path)?;
    // The kernel unpacks concatenated archives one after the other.
    std::io::copy(&mut File::open(base(options.arch)?)?, &mut file)?;
    let mut archive = Archive::new(BufWriter::new(file));
    archive.file("init", 0o755, INIT.as_bytes())?;
    archive.file("capwatch/guest.sh", 0o755, GUEST.as_bytes())?;
    let output = super::qemu::output_port(options.arch);
    let systemd = if options.systemd { "1" } else { "" };
    let settings = format!("OUT=/dev/{output}\nNONCE={nonce}\nSYSTEMD={systemd}\n");
    archive.file("capwatch/settings", 0o644, settings.as_bytes())?;
    for (name, program) in guest::programs(options.arch)? {
        let content =
            fs::read(&program).with_context(|| format!("cannot read {}", program.display()))?;
        archive.file(&format!("capwatch/bin/{name}"), 0o755, &content)?;
    }
    if let Ok(library) = fs::read(crate::cmd::workspace().join(LIBRARY)) {
        archive.file("capwatch/lib.sh", 0o644, &library)?;
    }
    let mut jobs = String::new();
    for (index, job) in options.jobs.iter().enumerate() {
        let script = format!("capwatch/jobs/{index:03}");
        let content = fs::read(&job.script)
            .with_context(|| format!("cannot read {}", job.script.display()))?;
        archive.file(&script, 0o755, &content)?;
        write!(
            jobs,
            "job {} {} /{script}",
            quote(&job.name),
            job.timeout.as_secs()
        )?;
        for (name, value) in &job.env {
            write!(jobs, " {}", quote(&format!("{name}={value}")))?;
        }
        jobs.push('\n');
    }
    archive.file("capwatch/jobs.sh", 0o644, jobs.as_bytes())?;
    for (host, target) in &options.files {
        archive
            .tree(host, &format!("capwatch/files{target}"), &|_| false)
            .with_context(|| format!("cannot take {} along", host.display()))?;
    }
    if let Some(disks) = disks {
        archive.tree(&disks.modules.boot, "capwatch/modules", &|_| false)?;
    }
    archive.finish()?.flush()?;
    Ok(nonce)
}

/// The archive of the busybox root, made once.
fn base(arch: Arch) -> Result<std::path::PathBuf> {
    let root = root::busybox(arch)?;
    let name = root.parent().and_then(Path::file_name).unwrap_or_default();
    let dir = cache::entry(&format!("roots/{}.cpio", name.to_string_lossy()), |dir| {
        let mut archive = Archive::new(BufWriter::new(File::create(dir.join("base"))?));
        archive.tree(&root, "", &is_ballast)?;
        archive.symlink("bin/sh", b"busybox")?;
        archive.file("etc/passwd", 0o644, PASSWD.as_bytes())?;
        archive.file("etc/group", 0o644, GROUP.as_bytes())?;
        archive.finish()?;
        Ok(())
    })?;
    Ok(dir.join("base"))
}

/// What no script in the guest needs.
fn is_ballast(path: &str) -> bool {
    const TREES: [&str; 10] = [
        "dev",
        "etc/group",
        "etc/passwd",
        "bin/sh",
        "lib/systemd",
        "proc",
        "sys",
        "usr/include",
        "usr/lib/systemd",
        "var",
    ];
    const NAMES: [&str; 5] = ["gconv", "locale", "audit", "perl", "perl-base"];
    let name = path.rsplit('/').next().unwrap_or(path);
    let shared = path.strip_prefix("usr/share/");
    TREES.contains(&path)
        || NAMES.contains(&name)
        || name.starts_with("perl5.")
        // The features that apparmor_parser takes for a kernel's are there.
        || shared.is_some_and(|path| !path.starts_with("apparmor-features"))
}

/// Sixteen random hexadecimal digits.
fn nonce() -> Result<String> {
    let mut bytes = [0_u8; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:016x}", u64::from_ne_bytes(bytes)))
}

/// One word for a shell.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_word_stays_one_word() {
        assert_eq!(quote("it's"), r"'it'\''s'");
    }
}
