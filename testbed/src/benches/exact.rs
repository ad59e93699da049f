//! A storm, and whether everything of it was counted.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::agent::Agent;
use super::metrics;
use super::supervisors::Names;
use crate::workloads::storm;

/// Provoke a storm under several supervisors, and compare the agent's counts with the truth
#[derive(clap::Args)]
pub struct Args {
    /// The agent
    #[arg(long)]
    capwatch: PathBuf,
    /// Processes at once
    #[arg(long, default_value_t = 64)]
    processes: u64,
    /// Supervisors that they belong to
    #[arg(long, default_value_t = 8)]
    names: usize,
    /// Refused checks in all
    #[arg(long, default_value_t = 10_000_000)]
    count: u64,
    /// The agent's other options
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// Prints `{"truth","counted","misses","lost":{stage/reason: count},"events",…}`. It fails where
/// counts and misses don't add up.
pub fn run(args: &Args) -> Result<()> {
    let names = Names::make(args.names)?;
    let mut arguments = names.arguments();
    arguments.extend_from_slice(&args.arguments);
    let agent = Agent::start(&args.capwatch, &arguments)?;
    let kinds = storm::CAPABILITIES.len() as u64;
    // Every process asks for every capability equally often.
    let each = args.count / args.processes / kinds;
    let begin = Instant::now();
    let mut children = Vec::new();
    for index in 0..args.processes {
        let child = Command::new(names.executable(usize::try_from(index)?))
            .args(["bench", "supervisor", "--count", &each.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start a process of the storm")?;
        children.push(child);
    }
    for mut child in children {
        let status = child.wait()?;
        ensure!(status.success(), "a process of the storm ended: {status}");
    }
    let seconds = begin.elapsed().as_secs_f64();
    thread::sleep(Duration::from_secs(2));

    let page = agent.get("/metrics")?;
    let mut counted = 0.0;
    let mut wrong = Vec::new();
    for capability in storm::CAPABILITIES {
        for name in 0..args.names {
            let supervisor = format!("supervisor=\"bench-{name}\"");
            let labels = [supervisor.as_str(), &format!("capability=\"{capability}\"")];
            let got = metrics::sum(&page, "capwatch_denials_total", &labels);
            let members =
                (args.processes + args.names as u64 - 1 - name as u64) / args.names as u64;
            let truth = members * each;
            counted += got;
            if (got - as_float(truth)).abs() > 0.5 {
                wrong.push(json!({ "supervisor": name, "capability": capability, "counted": got, "truth": truth }));
            }
        }
    }
    let truth = each * kinds * args.processes;
    let misses = metrics::sum(&page, "capwatch_program_misses_total", &[]);
    let lost = page
        .lines()
        .filter(|line| line.starts_with("capwatch_events_lost_total{"));
    let lost: Vec<_> = lost.filter(|line| !line.ends_with(" 0")).collect();
    println!(
        "{}",
        json!({
            "truth": truth, "counted": counted, "misses": misses, "seconds": seconds,
            "lost": lost, "not_exact": wrong,
        })
    );
    let missing = as_float(truth) - counted;
    ensure!(
        (0.0..=misses).contains(&missing),
        "{missing} of {truth} checks are neither counted nor missed ({misses} misses)"
    );
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "below 2^53")]
fn as_float(count: u64) -> f64 {
    count as f64
}
