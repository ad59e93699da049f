//! The parser beside libapparmor's, and the joining of records and events.

use std::fs::File;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::Bench;
use super::figures::Spread;
use super::table::{Bar, Table};
use crate::cmd;

/// Both parsers on the same log, in turn.
pub fn parser(bench: &Bench, table: &mut Table) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let log = scratch.path().join("audit.log");
    let mut write = Command::new(&bench.testbed);
    write.args([
        "bench",
        "replay",
        "--write",
        "--count",
        "100000",
        "--capwatch",
        "-",
    ]);
    let status = write.stdout(File::create(&log)?).status()?;
    anyhow::ensure!(status.success(), "the log could not be written: {status}");
    let peer = scratch.path().join("peer");
    let source = cmd::workspace().join("observer/benches/parse_peer.c");
    cmd::run(
        Command::new("gcc")
            .arg("-O2")
            .arg(source)
            .arg("-lapparmor")
            .arg("-o")
            .arg(&peer),
    )?;

    let ours = cmd::target_dir().join("release/examples/parse_bench");
    let rounds = if bench.short { 1 } else { 7 };
    let seconds = if bench.short { "0.2" } else { "2" };
    let (mut rates, mut bytes, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let mut allocations = 0.0;
    for _ in 0..rounds {
        let run = |program| -> Result<Value> {
            let text = cmd::stdout(Command::new(program).arg(&log).arg(seconds))?;
            serde_json::from_str(&text).with_context(|| format!("{text:?} is no JSON"))
        };
        let (here, there) = (run(&ours)?, run(&peer)?);
        let figure =
            |value: &Value, name: &str| value[name].as_f64().with_context(|| format!("no {name}"));
        anyhow::ensure!(
            here["records"] == there["records"],
            "they read different records"
        );
        let rate = figure(&here, "lines_per_second")?;
        ratios.push(rate / figure(&there, "lines_per_second")?);
        rates.push(rate / 1e6);
        bytes.push(figure(&here, "bytes_per_second")? / 1e6);
        allocations = figure(&here, "allocations_per_line")?;
    }
    table.row(
        "records in a second, one core",
        Spread::of(&rates)?,
        "million",
        Bar::None,
    );
    table.row(
        "bytes in a second, one core",
        Spread::of(&bytes)?,
        "MB",
        Bar::None,
    );
    table.row(
        "over libapparmor's parser",
        Spread::of(&ratios)?,
        "×",
        Bar::AtLeast(10.0),
    );
    table.row(
        "allocations for a record",
        Spread::one(allocations),
        "",
        Bar::None,
    );
    Ok(())
}

/// Records and events that find each other.
pub fn joining(bench: &Bench, table: &mut Table) -> Result<()> {
    let program = cmd::target_dir().join("release/examples/join_bench");
    let rounds = if bench.short { 1 } else { 5 };
    let mut rates = Vec::new();
    for _ in 0..rounds {
        let text = cmd::stdout(&mut Command::new(&program))?;
        let measured: Value = serde_json::from_str(&text).context("no JSON")?;
        rates.push(measured["pairs_per_second"].as_f64().context("no rate")? / 1e6);
    }
    table.row(
        "records joined to events in a second",
        Spread::of(&rates)?,
        "million",
        Bar::None,
    );
    Ok(())
}
