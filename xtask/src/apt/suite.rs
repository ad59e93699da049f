//! Packages of other suites and architectures, through an apt of our own.
//!
//! The machine's package lists stay as they are: lists, caches and the set of
//! installed packages are private directories of the cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::Mirrors;
use crate::{cache, cmd};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A private view of some suites for one architecture.
pub struct Repository {
    dir: PathBuf,
    arch: &'static str,
    lines: Vec<String>,
}

/// A package's version with its dependencies, as the lists have them.
#[derive(Debug)]
pub struct Version {
    /// Debian's version string.
    pub version: String,
    /// The `Depends` field: names only, alternatives left out.
    pub depends: Vec<String>,
}

impl Repository {
    /// Fetches the lists of `suites` (a name ending in `-security` comes from
    /// the security mirror, and is left out where there is none).
    pub fn open(suites: &[&str], arch: &'static str) -> Result<Self> {
        super::ensure(&["debian-archive-keyring"])?;
        let lines = source_lines(suites, &Mirrors::of_this_machine()?);
        let dir = cache::dir()?.join(format!("apt/{}-{arch}", cache::key(&lines.join("\n"))));
        for sub in ["lists/partial", "cache/archives/partial", "state"] {
            fs::create_dir_all(dir.join(sub))?;
        }
        fs::write(dir.join("sources.list"), lines.join("\n") + "\n")?;
        fs::write(dir.join("status"), "")?;
        let repository = Self { dir, arch, lines };
        let _lock = repository.lock()?;
        cmd::run_quietly(repository.apt("apt-get").args(["update", "-q"]))?;
        Ok(repository)
    }

    /// The lines of a sources.list that name these suites.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// All versions of `package` that the suites have.
    pub fn versions(&self, package: &str) -> Result<Vec<Version>> {
        let text = cmd::stdout(
            self.apt("apt-cache")
                .args(["show", "--all-versions", package]),
        )?;
        Ok(text.split("\n\n").filter_map(parse_version).collect())
    }

    /// Downloads packages (`name` or `name=version`) and unpacks them into `root`.
    pub fn unpack(&self, packages: &[&str], root: &Path) -> Result<()> {
        let _lock = self.lock()?;
        let scratch = tempfile::tempdir()?;
        cmd::run_quietly(
            self.apt("apt-get")
                .args(["download", "-q"])
                .args(packages)
                .current_dir(scratch.path()),
        )?;
        unpack(scratch.path(), root)
    }

    fn lock(&self) -> Result<fs::File> {
        cache::lock(&self.dir.join("lock"))
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let dir = self.dir.display();
        let arch = self.arch;
        for option in [
            format!("Dir::State={dir}/state"),
            format!("Dir::State::Lists={dir}/lists"),
            format!("Dir::State::status={dir}/status"),
            format!("Dir::Cache={dir}/cache"),
            format!("Dir::Etc::SourceList={dir}/sources.list"),
            "Dir::Etc::SourceParts=/dev/null".into(),
            "Dir::Etc::PreferencesParts=/dev/null".into(),
            format!("APT::Architecture={arch}"),
            format!("APT::Architectures={arch}"),
            "APT::Sandbox::User=root".into(),
            "Acquire::Languages=none".into(),
            // A release's file may have expired on a frozen mirror; signatures
            // are checked all the same.
            "Acquire::Check-Valid-Until=false".into(),
        ] {
            command.arg("-o").arg(option);
        }
        command
    }
}

/// Unpacks every `.deb` of a directory, without running what it would run.
fn unpack(debs: &Path, root: &Path) -> Result<()> {
    let mut count = 0_u32;
    for entry in fs::read_dir(debs)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            cmd::run_quietly(Command::new("dpkg-deb").arg("-x").arg(&path).arg(root))?;
            count += 1;
        }
    }
    ensure!(count > 0, "no package in {}", debs.display());
    Ok(())
}

fn source_lines(suites: &[&str], mirrors: &Mirrors) -> Vec<String> {
    suites
        .iter()
        .filter_map(|suite| {
            let uri = if suite.ends_with("-security") {
                mirrors.security.as_ref()?
            } else {
                &mirrors.main
            };
            Some(format!("deb [signed-by={KEYRING}] {uri} {suite} main"))
        })
        .collect()
}

fn parse_version(stanza: &str) -> Option<Version> {
    let field = |name: &str| {
        stanza
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(str::trim)
    };
    let depends = field("Depends")
        .unwrap_or_default()
        .split(',')
        .filter_map(|dependency| dependency.split_whitespace().next())
        .map(str::to_owned)
        .collect();
    Some(Version {
        version: field("Version")?.to_owned(),
        depends,
    })
}

impl Version {
    /// Whether this version is newer than `other`, by dpkg's rules.
    pub fn is_newer_than(&self, other: &Self) -> Result<bool> {
        let status = Command::new("dpkg")
            .args(["--compare-versions", &self.version, "gt", &other.version])
            .status()
            .context("cannot run dpkg")?;
        Ok(status.success())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn security_suites_come_from_their_mirror() {
        let mirrors = Mirrors {
            main: "http://m/debian".into(),
            security: None,
        };
        let lines = source_lines(&["trixie", "trixie-security"], &mirrors);
        assert_eq!(
            lines,
            [format!(
                "deb [signed-by={KEYRING}] http://m/debian trixie main"
            )]
        );
    }

    #[test]
    fn a_stanza_gives_version_and_dependencies() {
        let stanza = "Package: linux-image-amd64\nVersion: 6.1.1-1\nDepends: linux-image-6.1.0-1-amd64 (= 6.1.1-1), x | y\n";
        let version = parse_version(stanza).expect("the stanza has a version");
        assert_eq!(version.version, "6.1.1-1");
        assert_eq!(version.depends, ["linux-image-6.1.0-1-amd64", "x"]);
    }
}
