//! `testbed`: programs that do on purpose what capwatch looks for.

mod benches;
mod workloads;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Parser;
use testbed::checks::{expect, loaded, object, suite};

use workloads::{incident, rules, steps, storm};

/// Programs under test for capwatch, and the checks of what it said
#[derive(Parser)]
enum Cli {
    /// Do steps, given as words
    #[command(after_help = steps::HELP)]
    Do {
        /// The steps
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        steps: Vec<String>,
    },
    Incident(incident::Args),
    Storm(storm::Args),
    Rules(rules::Args),
    /// Check that a report, or JSON lines, say what was expected
    #[command(after_help = expect::HELP)]
    Check {
        /// The report, or a file of JSON lines
        file: PathBuf,
        /// What must hold of it
        #[arg(required = true, allow_hyphen_values = true)]
        expectations: Vec<String>,
    },
    Suite(suite::Args),
    Bench(benches::Args),
    /// Print every BPF program, map and link that the kernel holds
    Loaded,
    Object(object::Args),
}

fn main() -> Result<ExitCode> {
    match Cli::parse() {
        Cli::Do { steps } => steps::run(&steps::parse(&steps)?),
        Cli::Incident(args) => Ok(incident::run(&args)),
        Cli::Rules(args) => rules::run(&args),
        Cli::Storm(args) => storm::run(&args).map(|()| ExitCode::SUCCESS),
        Cli::Check { file, expectations } => expect::main(&file, &expectations),
        Cli::Suite(args) => suite::main(&args),
        Cli::Bench(args) => benches::run(&args).map(|()| ExitCode::SUCCESS),
        Cli::Object(args) => object::main(&args).map(|()| ExitCode::SUCCESS),
        Cli::Loaded => loaded::main().map(|()| ExitCode::SUCCESS),
    }
}
