//! Ring 1: no root, no network but the registry, no kernel.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use super::report::{Check, Report, Tally};
use super::words;
use crate::cmd;
use crate::tools::Tool;

const CARGO_DENY: Tool = Tool {
    name: "cargo-deny",
    version: "0.20.2",
};

/// Runs it.
pub fn ring(report: &mut Report, quick: bool) {
    report.step("format", || {
        cmd::run(cmd::cargo().args(["fmt", "--all", "--check"]))?;
        Ok(Tally::pass())
    });
    report.step("lints", || {
        cmd::run(
            cmd::cargo()
                .args(["clippy", "--locked", "--workspace", "--all-targets"])
                .args(["--", "-D", "warnings"]),
        )?;
        Ok(Tally::pass())
    });
    words::ring(report, quick);
    report.step("unit tests", || {
        cargo_test(cmd::cargo().args(["test", "--locked", "--workspace"]))
    });
    match cargo_deny(!quick) {
        Ok(Some(cargo_deny)) => report.step("dependencies", || {
            cmd::run(
                Command::new(cargo_deny)
                    .args(["--all-features", "check", "--hide-inclusion-graph"])
                    // The database of advisories isn't reachable everywhere.
                    .args(["licenses", "bans", "sources"])
                    .current_dir(cmd::workspace()),
            )?;
            Ok(Tally::pass())
        }),
        Ok(None) => report.skip(
            "dependencies",
            "cargo-deny isn't there, and --quick installs nothing",
        ),
        Err(error) => report.step("dependencies", || Err(error)),
    }
}

/// Runs cargo's tests with their output shown, and counts them by its own sums.
pub fn cargo_test(command: &mut Command) -> Result<Tally> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run cargo")?;
    let stdout = child.stdout.take().context("cargo's output isn't piped")?;
    let mut tally = Tally::default();
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        println!("{line}");
        if let Some((passed, failed, ignored)) = parse_sum(&line) {
            tally.passed += passed;
            tally.failed += failed;
            tally.skipped += ignored;
        }
    }
    let status = child.wait()?;
    if !status.success() && tally.failed == 0 {
        tally.add("cargo test", Check::NotOk("end".into(), status.to_string()));
    }
    Ok(tally)
}

/// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; …`
fn parse_sum(line: &str) -> Option<(u32, u32, u32)> {
    let (_, sums) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |what: &str| {
        sums.split("; ")
            .find_map(|sum| sum.strip_suffix(what)?.trim().parse().ok())
    };
    Some((count("passed")?, count("failed")?, count("ignored")?))
}

/// Finds cargo-deny, or installs it into the cache.
fn cargo_deny(install: bool) -> Result<Option<PathBuf>> {
    if let Some(path) = cmd::in_path("cargo-deny") {
        return Ok(Some(path));
    }
    if !install && !CARGO_DENY.is_there()? {
        return Ok(None);
    }
    CARGO_DENY.install().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_cargo_test() {
        let line = "test result: FAILED. 3 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!(parse_sum(line), Some((3, 2, 1)));
        assert_eq!(parse_sum("test result: none"), None);
    }
}
