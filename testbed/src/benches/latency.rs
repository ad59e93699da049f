//! From a failed drop until it is visible in /metrics.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::agent::Agent;
use super::metrics;

const FOR_EVER: Duration = Duration::from_secs(10);

/// Time from a failed drop until /metrics shows it
#[derive(clap::Args)]
pub struct Args {
    /// The agent
    #[arg(long)]
    capwatch: PathBuf,
    /// Failed drops
    #[arg(long, default_value_t = 1000)]
    count: usize,
    /// The agent's other options
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// Prints `{"seconds":[…]}`: from the end of the process whose drop failed to
/// the answer that counts it.
pub fn run(args: &Args) -> Result<()> {
    let agent = Agent::start(&args.capwatch, &args.arguments)?;
    let program = std::env::current_exe().context("no path of this program")?;
    let mut seconds = Vec::with_capacity(args.count);
    for index in 1..=args.count {
        let status = Command::new(&program)
            .args(["do", "lower", "setpcap", "drop", "chown"])
            .stdin(Stdio::null())
            .status()?;
        let begin = Instant::now();
        ensure!(status.success(), "the failing process ended: {status}");
        while !shows(&agent.get("/metrics")?, index) {
            ensure!(begin.elapsed() < FOR_EVER, "drop {index} is never shown");
            thread::sleep(Duration::from_millis(1));
        }
        seconds.push(begin.elapsed().as_secs_f64());
    }
    println!("{}", json!({ "seconds": seconds }));
    Ok(())
}

fn shows(page: &str, index: usize) -> bool {
    let fatal = ["verdict=\"fatal\""];
    #[expect(clippy::cast_precision_loss, reason = "a thousand")]
    let wanted = index as f64;
    metrics::sum(page, "capwatch_bounding_drop_episodes_total", &fatal) >= wanted
}
