//! How the agent grows with what it watches.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use super::agent::Agent;
use super::metrics;
use super::supervisors::{Names, Supervisors};

/// Measure start, memory, scrape and idling with many live supervisors
#[derive(clap::Args)]
pub struct Args {
    /// The agent
    #[arg(long)]
    capwatch: PathBuf,
    /// Live supervisors, in turn
    #[arg(long, value_delimiter = ',', default_value = "0,10,100,1000")]
    supervisors: Vec<usize>,
    /// Their names: rules, and executables
    #[arg(long, default_value_t = 250)]
    names: usize,
    /// Capabilities that each is refused
    #[arg(long, default_value_t = 7)]
    capabilities: usize,
    /// Agents started, one after the other
    #[arg(long, default_value_t = 5)]
    starts: usize,
    /// Scrapes
    #[arg(long, default_value_t = 50)]
    scrapes: usize,
    /// Seconds of idling to measure
    #[arg(long, default_value_t = 0)]
    idle: u64,
    /// The agent's other options
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// Prints `{"rows":[{"supervisors","series","bytes","start_seconds":[…],"scrape_seconds":[…],
/// "resident_kib","peak_kib","idle_share"}]}`.
pub fn run(args: &Args) -> Result<()> {
    let names = Names::make(args.names)?;
    let mut rows = Vec::new();
    for count in &args.supervisors {
        rows.push(row(args, &names, *count)?);
        eprintln!("{count} supervisors: done");
    }
    println!("{}", json!({ "rows": rows }));
    Ok(())
}

fn row(args: &Args, names: &Names, count: usize) -> Result<Value> {
    let mut arguments = names.arguments();
    arguments.extend_from_slice(&args.arguments);
    let agent = Agent::start(&args.capwatch, &arguments)?;
    let supervisors = Supervisors::start(names, count, args.capabilities)?;
    // What they did is reported within half a second; then the agent has nothing to do.
    thread::sleep(Duration::from_secs(2));

    let mut page = String::new();
    let mut scrapes = Vec::new();
    for _ in 0..args.scrapes {
        let begin = Instant::now();
        page = agent.get("/metrics")?;
        scrapes.push(begin.elapsed().as_secs_f64());
    }
    let idle = if args.idle > 0 {
        let length = Duration::from_secs(args.idle);
        let before = agent.usage()?.cpu;
        thread::sleep(length);
        Some(agent.usage()?.cpu.saturating_sub(before).as_secs_f64() / length.as_secs_f64())
    } else {
        None
    };
    let usage = agent.usage()?;
    drop(agent);

    // Started while they live: the agent adopts them all.
    let mut starts = Vec::new();
    for _ in 0..args.starts {
        let begin = Instant::now();
        let agent = Agent::start(&args.capwatch, &arguments)?;
        starts.push(begin.elapsed().as_secs_f64());
        drop(agent);
    }
    drop(supervisors);
    Ok(json!({
        "supervisors": count,
        "series": metrics::series(&page),
        "bytes": page.len(),
        "start_seconds": starts,
        "scrape_seconds": scrapes,
        "resident_kib": usage.resident,
        "peak_kib": usage.peak,
        "idle_share": idle,
    }))
}
