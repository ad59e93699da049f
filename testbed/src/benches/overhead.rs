//! What watching adds to a call: every condition in turn, in every round.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum as _;
use serde_json::json;

use super::call::Call;
use super::condition::Condition;

/// Time calls under several conditions in turn
#[derive(clap::Args)]
pub struct Args {
    /// `NAME=none`, `NAME=capwatch: PROGRAM ARGUMENT…` or `NAME=peer: PROGRAM ARGUMENT…`
    /// (repeatable; arguments apart by tabs where there are any, else by spaces)
    #[arg(long = "condition", required = true)]
    conditions: Vec<Condition>,
    /// What is called
    #[arg(
        long = "call",
        value_enum,
        value_delimiter = ',',
        default_value = "allowed,denied,prctl,getppid,spawn"
    )]
    calls: Vec<Call>,
    /// How often each condition is tried, in turn
    #[arg(long, default_value_t = 7)]
    rounds: u32,
    /// Calls in a loop
    #[arg(long, default_value_t = 20_000)]
    count: u32,
    /// Children in a loop
    #[arg(long, default_value_t = 20)]
    children: u32,
    /// Loops, of which the fastest counts
    #[arg(long, default_value_t = 25)]
    loops: u32,
}

/// Prints `{"rows":[{"call","condition","nanoseconds":[a figure for each round]}]}`.
pub fn run(args: &Args) -> Result<()> {
    let (conditions, calls) = (&args.conditions, &args.calls);
    let mut samples = vec![vec![Vec::new(); calls.len()]; conditions.len()];
    for round in 0..args.rounds as usize {
        for turn in 0..conditions.len() {
            // Another one begins in each round.
            let index = (turn + round) % conditions.len();
            let condition = &conditions[index];
            let running = condition.start().with_context(|| condition.name.clone())?;
            for (call, samples) in calls.iter().zip(&mut samples[index]) {
                samples.push(measure(*call, args)?);
            }
            drop(running);
        }
        eprintln!("round {} of {}", round + 1, args.rounds);
    }
    let mut rows = Vec::new();
    for (condition, samples) in conditions.iter().zip(samples) {
        for (call, nanoseconds) in calls.iter().zip(samples) {
            rows.push(json!({
                "call": name(*call),
                "condition": condition.name,
                "nanoseconds": nanoseconds,
            }));
        }
    }
    println!("{}", json!({ "rows": rows }));
    Ok(())
}

/// In its own process, since it may drop its capabilities.
fn measure(call: Call, args: &Args) -> Result<f64> {
    let count = if call == Call::Spawn {
        args.children
    } else {
        args.count
    };
    let output = Command::new(std::env::current_exe().context("no path of this program")?)
        .args(["bench", "call", &name(call)])
        .args([
            "--count",
            &count.to_string(),
            "--loops",
            &args.loops.to_string(),
        ])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start the measurement")?;
    ensure!(
        output.status.success(),
        "the measurement ended: {}",
        output.status
    );
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim()
        .parse()
        .with_context(|| format!("{text:?} is no figure"))
}

fn name(call: Call) -> String {
    call.to_possible_value()
        .map_or_else(String::new, |value| value.get_name().to_owned())
}
