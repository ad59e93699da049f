//! What the program writes of itself for packages: man pages, completions; and the
//! changelog in Debian's form.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::Release;
use super::binary::says;
use crate::{cache, cmd};

/// Every command with a man page.
const PAGES: [&str; 10] = [
    "run", "watch", "record", "replay", "doctor", "probe", "explain", "unload", "report", "config",
];

/// Writes them to a directory.
pub fn write(release: &Release, program: &Path, to: &Path) -> Result<PathBuf> {
    cache::remove(to)?;
    fs::create_dir_all(to.join("man"))?;
    fs::write(to.join("man/capwatch.1"), says(program, &["man"])?)?;
    for page in PAGES {
        let file = to.join(format!("man/capwatch-{page}.1"));
        fs::write(file, says(program, &["man", page])?)?;
    }
    for (shell, file) in [
        ("bash", "capwatch.bash"),
        ("zsh", "_capwatch"),
        ("fish", "capwatch.fish"),
    ] {
        fs::write(to.join(file), says(program, &["completions", shell])?)?;
    }
    let changelog = to.join("changelog");
    fs::write(&changelog, debian_changelog(release)?)?;
    // Without name and time.
    let mut gzip = Command::new("gzip");
    gzip.args(["-9n", "-r", "-f"]).arg(to.join("man"));
    cmd::run(gzip.arg(&changelog))?;
    Ok(to.to_path_buf())
}

fn debian_changelog(release: &Release) -> Result<String> {
    let mut date = Command::new("date");
    date.args(["-u", "-R", "-d", &format!("@{}", release.epoch)]);
    let date = cmd::stdout(date.env("LC_ALL", "C"))?;
    let manifest = fs::read_to_string(cmd::workspace().join("observer/Cargo.toml"))?;
    let maintainer = manifest
        .lines()
        .find_map(|line| line.strip_prefix("maintainer = \"")?.strip_suffix('"'))
        .context("observer/Cargo.toml names no maintainer")?;
    Ok(format!(
        "capwatch ({}) unstable; urgency=medium\n\n  * Made from commit {}; see CHANGELOG.md.\n\n \
         -- {maintainer}  {date}",
        release.version, release.commit
    ))
}
