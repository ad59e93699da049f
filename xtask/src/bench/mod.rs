//! `cargo xtask bench`: what watching costs, as ratios measured in one run.
//!
//! Nothing here asserts a time: the table says what was measured, what the bar
//! is, and whether it holds.

mod emulated;
mod figures;
mod native;
mod parser;
mod table;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{apt, bpf, cmd};
use table::Table;

/// Measure what watching costs
#[derive(clap::Args)]
pub struct Args {
    /// Only the sections whose name contains this: overhead, processes, emulated, rules,
    /// storm, parser, joining, replay, scale, latency
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// A tenth of the work: to see that everything runs, not to quote
    #[arg(long)]
    short: bool,
    /// Write the figures as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Put the table into docs/overhead.md
    #[arg(long)]
    write: bool,
}

/// What the sections share.
pub struct Bench {
    capwatch: PathBuf,
    testbed: PathBuf,
    /// An agent's object of empty programs.
    empty: PathBuf,
    short: bool,
}

type Section = fn(&Bench, &mut Table) -> Result<()>;

const SECTIONS: [(&str, Section); 10] = [
    ("overhead", native::overhead),
    ("emulated", emulated::overhead),
    ("rules", emulated::rules),
    ("processes", native::processes),
    ("storm", native::storm),
    ("parser", parser::parser),
    ("joining", parser::joining),
    ("replay", native::replay),
    ("scale", native::scale),
    ("latency", native::latency),
];

/// Runs the task.
pub fn main(args: &Args) -> Result<ExitCode> {
    ensure!(
        cmd::is_root(),
        "programs are attached: run this task as root"
    );
    let bench = Bench::build(args.short)?;
    let mut table = Table::default();
    for (name, section) in SECTIONS {
        if name.contains(&args.only) {
            eprintln!("xtask: {name}");
            table.section(name);
            section(&bench, &mut table).with_context(|| format!("section {name}"))?;
        }
    }
    println!("{}", table.markdown());
    if let Some(file) = &args.json {
        std::fs::write(file, format!("{:#}\n", table.json()))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    if args.write {
        table.write_into(&cmd::workspace().join("docs/overhead.md"))?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Bench {
    fn build(short: bool) -> Result<Self> {
        apt::ensure(&["bpftrace", "libapparmor-dev", "gcc", "libc6-dev"])?;
        cmd::run(cmd::cargo().args([
            "build",
            "--quiet",
            "--locked",
            "--release",
            "--package",
            "observer",
            "--package",
            "testbed",
            "--bins",
            "--examples",
        ]))?;
        let release = cmd::target_dir().join("release");
        let empty = release.join("empty.bpf.o");
        bpf::empty(&empty)?;
        Ok(Self {
            capwatch: release.join("capwatch"),
            testbed: release.join("testbed"),
            empty,
            short,
        })
    }

    /// Runs `testbed bench …` and returns the object that it prints.
    fn testbed(&self, arguments: &[&str]) -> Result<Value> {
        let mut command = Command::new(&self.testbed);
        let text = cmd::stdout(command.arg("bench").args(arguments))?;
        serde_json::from_str(&text).with_context(|| format!("{text:?} is no JSON"))
    }

    /// A tenth of it, where the run is a short one.
    fn reduced(&self, count: u64) -> String {
        if self.short { count / 10 } else { count }.to_string()
    }

    fn agent(&self) -> Result<&str> {
        self.capwatch
            .to_str()
            .context("the path of capwatch is not UTF-8")
    }
}
