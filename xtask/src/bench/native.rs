//! The sections that run on the kernel at hand.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::Bench;
use super::figures::{Overhead, Spread, numbers, quantile};
use super::table::{Bar, Table};
use crate::cmd;

const TRACEFS: &str = "/sys/kernel/tracing";
/// Arguments apart by tabs, since the programs have spaces.
const BPFTRACE_COUNT: &str = "bpftrace, counting=peer:bpftrace\t-e\t\
    tracepoint:capability:cap_capable /args->ret < 0/ { @[comm, args->cap] = count(); }";
const BPFTRACE_PRINT: &str = "bpftrace, printing=peer:bpftrace\t-e\t\
    tracepoint:capability:cap_capable /args->ret < 0/ \
    { printf(\"%d %s %d\\n\", pid, comm, args->cap); }";
const CALLS: [&str; 5] = ["allowed", "denied", "prctl", "getppid", "spawn"];

/// What watching adds to a call, beside an empty program and bpftrace.
pub fn overhead(bench: &Bench, table: &mut Table) -> Result<()> {
    let events = Path::new(TRACEFS).join("events");
    if !events.exists() {
        cmd::run(Command::new("mount").args(["-t", "tracefs", "nodev", TRACEFS]))?;
    }
    let peers = events.join("capability/cap_capable").exists();
    let agent = bench.agent()?;
    let empty = bench.empty.to_str().context("a path that is not UTF-8")?;
    let empty = format!("empty=capwatch:{agent} --bpf-object {empty}");
    let capwatch = format!("capwatch=capwatch:{agent}");
    let rounds = if bench.short { "2" } else { "9" };
    let mut arguments = vec!["overhead", "--rounds", rounds, "--condition", "none=none"];
    arguments.extend(["--condition", &empty, "--condition", &capwatch]);
    if peers {
        arguments.extend(["--condition", BPFTRACE_COUNT, "--condition", BPFTRACE_PRINT]);
    } else {
        eprintln!("  this kernel has no tracepoint cap_capable: nothing to compare bpftrace by");
    }
    let measured = Overhead::read(&bench.testbed(&arguments)?)?;
    for call in CALLS {
        table.row(
            format!("{call}, nobody watching"),
            Spread::of(measured.samples(call, "none")?)?,
            "ns",
            Bar::None,
        );
        for condition in ["empty", "capwatch"] {
            let added = Spread::of(&measured.added(call, condition)?)?;
            table.row(
                format!("{call}: added by {condition}"),
                added,
                "ns",
                Bar::None,
            );
        }
    }
    let mut ratio = |call: &str, over: &str, bar: Bar| -> Result<()> {
        let ratio = measured.ratio(call, "capwatch", over)?;
        table.row(
            format!("{call}: added, over what {over} adds"),
            ratio,
            "×",
            bar,
        );
        Ok(())
    };
    ratio("allowed", "empty", Bar::AtMost(1.3))?;
    ratio("denied", "empty", Bar::AtMost(3.0))?;
    if peers {
        ratio("denied", "bpftrace, counting", Bar::AtMost(0.333))?;
        ratio("denied", "bpftrace, printing", Bar::AtMost(0.067))?;
    }
    Ok(())
}

/// What the programs on fork, exec and exit take, beside empty ones.
pub fn processes(bench: &Bench, table: &mut Table) -> Result<()> {
    let empty = bench.empty.to_str().context("a path that is not UTF-8")?;
    let children = bench.reduced(3000);
    let mut arguments = vec!["programs", "--capwatch", bench.agent()?, "--empty", empty];
    arguments.extend(["--children", &children]);
    let measured = Overhead::read(&bench.testbed(&arguments)?)?;
    for step in ["fork", "exec", "exit"] {
        beside_empty(table, &measured, &format!("tree_{step}"), step, 1.5)?;
    }
    Ok(())
}

/// The rows of one program beside an empty one on the same hook.
pub fn beside_empty(
    table: &mut Table,
    measured: &Overhead,
    program: &str,
    what: &str,
    bar: f64,
) -> Result<()> {
    let empty = measured.samples(program, "empty")?;
    let own = measured.samples(program, "capwatch")?;
    let row = format!("{what}: an empty program");
    table.row(row, Spread::of(empty)?, "ns", Bar::None);
    let row = format!("{what}: capwatch's");
    table.row(row, Spread::of(own)?, "ns", Bar::None);
    let pairs = own.iter().zip(empty);
    let ratios: Vec<f64> = pairs.map(|(own, empty)| own / empty).collect();
    let row = format!("{what}: over an empty one");
    table.row(row, Spread::of(&ratios)?, "×", Bar::AtMost(bar));
    Ok(())
}

/// A storm, and whether all of it was counted.
pub fn storm(bench: &Bench, table: &mut Table) -> Result<()> {
    let count = bench.reduced(10_000_000);
    let measured = bench.testbed(&["storm", "--capwatch", bench.agent()?, "--count", &count])?;
    storm_rows("this kernel", &measured, table)
}

/// The rows of one storm.
pub fn storm_rows(host: &str, measured: &Value, table: &mut Table) -> Result<()> {
    let figure = |name: &str| {
        measured[name]
            .as_f64()
            .with_context(|| format!("no {name}"))
    };
    let (truth, counted, misses) = (figure("truth")?, figure("counted")?, figure("misses")?);
    let seconds = figure("seconds")?;
    table.row(
        format!("{host}: refused checks of 64 processes"),
        Spread::one(truth),
        "checks",
        Bar::None,
    );
    table.row(
        format!("{host}: in a second"),
        Spread::one(truth / seconds),
        "checks/s",
        Bar::None,
    );
    table.row(
        format!("{host}: misses that the kernel counted"),
        Spread::one(misses),
        "",
        Bar::None,
    );
    let missing = truth - counted;
    let unexplained = if missing > misses {
        missing - misses
    } else {
        (-missing).max(0.0)
    };
    table.row(
        format!("{host}: neither counted nor missed"),
        Spread::one(unexplained),
        "checks",
        Bar::AtMost(0.0),
    );
    let lost = measured["lost"].as_array().context("no losses")?;
    for line in lost {
        eprintln!("  {line}");
    }
    Ok(())
}

/// A long log.
pub fn replay(bench: &Bench, table: &mut Table) -> Result<()> {
    let count = bench.reduced(10_000_000);
    let measured = bench.testbed(&["replay", "--capwatch", bench.agent()?, "--count", &count])?;
    let figure = |name: &str| {
        measured[name]
            .as_f64()
            .with_context(|| format!("no {name}"))
    };
    let (records, seconds) = (figure("records")?, figure("seconds")?);
    table.row(
        "records replayed",
        Spread::one(records),
        "records",
        Bar::None,
    );
    table.row(
        "of them in a second",
        Spread::one(records / seconds),
        "records/s",
        Bar::None,
    );
    table.row(
        "memory at most",
        Spread::one(figure("peak_kib")? / 1024.0),
        "MiB",
        Bar::None,
    );
    Ok(())
}

/// Start, memory, scrapes and idling, as supervisors grow in number.
pub fn scale(bench: &Bench, table: &mut Table) -> Result<()> {
    let (counts, idle) = if bench.short {
        ("0,100", "5")
    } else {
        ("0,10,100,1000,10000", "60")
    };
    let agent = bench.agent()?;
    let arguments = [
        "scale",
        "--capwatch",
        agent,
        "--supervisors",
        counts,
        "--idle",
        idle,
    ];
    let measured = bench.testbed(&arguments)?;
    let rows = measured["rows"].as_array().context("no rows")?;
    ensure!(!rows.is_empty(), "nothing was measured");
    for row in rows {
        let figure = |name: &str| row[name].as_f64().with_context(|| format!("no {name}"));
        let supervisors = figure("supervisors")?;
        // The bars are for 1,000 supervisors.
        let bar = |limit: f64| {
            if (supervisors - 1000.0).abs() < 0.5 {
                Bar::AtMost(limit)
            } else {
                Bar::None
            }
        };
        let milliseconds = |name: &str| -> Result<Spread> {
            let samples: Vec<f64> = numbers(&row[name])?.iter().map(|one| one * 1e3).collect();
            Spread::of(&samples)
        };
        let name = |what: &str| format!("{supervisors} supervisors: {what}");
        table.row(
            name("series"),
            Spread::one(figure("series")?),
            "series",
            Bar::None,
        );
        table.row(
            name("resident memory"),
            Spread::one(figure("resident_kib")? / 1024.0),
            "MiB",
            bar(24.0),
        );
        table.row(
            name("start to attached and ready"),
            milliseconds("start_seconds")?,
            "ms",
            bar(300.0),
        );
        table.row(
            name("scrape"),
            milliseconds("scrape_seconds")?,
            "ms",
            bar(5.0),
        );
        let share = figure("idle_share")? * 100.0;
        table.row(
            name("idle, share of a core"),
            Spread::one(share),
            "%",
            bar(0.1),
        );
    }
    Ok(())
}

/// From a failed drop to the answer that shows it.
pub fn latency(bench: &Bench, table: &mut Table) -> Result<()> {
    let count = bench.reduced(1000);
    let measured = bench.testbed(&["latency", "--capwatch", bench.agent()?, "--count", &count])?;
    let mut samples: Vec<f64> = numbers(&measured["seconds"])?
        .iter()
        .map(|one| one * 1e3)
        .collect();
    samples.sort_by(f64::total_cmp);
    let name = |share: &str| format!("failed drop to visible in /metrics, {share}");
    table.row(
        name("p50"),
        Spread::one(quantile(&samples, 0.5)),
        "ms",
        Bar::None,
    );
    table.row(
        name("p99"),
        Spread::one(quantile(&samples, 0.99)),
        "ms",
        Bar::AtMost(100.0),
    );
    Ok(())
}
