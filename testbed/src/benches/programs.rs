//! What the programs on fork, exec and exit take of the kernel's time, by its own
//! count, beside empty ones on the same hooks.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::agent::Agent;
use super::metrics;

const STATS: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// Time of the programs on fork, exec and exit
#[derive(clap::Args)]
pub struct Args {
    /// The agent
    #[arg(long)]
    capwatch: PathBuf,
    /// An object of empty programs
    #[arg(long)]
    empty: String,
    /// Children that fork, exec and exit
    #[arg(long, default_value_t = 3000)]
    children: u32,
    /// How often each object is tried, in turn
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// The programs
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "tree_fork,tree_exec,tree_exit"
    )]
    programs: Vec<String>,
    /// What each child runs, as words
    #[arg(long, default_value = "true")]
    child: String,
    /// More arguments for the agent
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// The kernel counts time for as long as this lives.
struct Counting {
    before: String,
}

impl Counting {
    fn begin() -> Result<Self> {
        let before = fs::read_to_string(STATS).context(STATS)?;
        fs::write(STATS, "1").context(STATS)?;
        Ok(Self { before })
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        // Counting on costs some nanoseconds, and is no harm.
        let _ = fs::write(STATS, self.before.trim());
    }
}

/// Prints `{"rows":[{"call","condition","nanoseconds":[a figure for each round]}]}`,
/// `call` being the program.
pub fn run(args: &Args) -> Result<()> {
    let _counting = Counting::begin()?;
    let conditions = [
        ("empty", vec!["--bpf-object".to_owned(), args.empty.clone()]),
        ("capwatch", Vec::new()),
    ]
    .map(|(condition, mut arguments)| {
        arguments.extend(args.arguments.iter().cloned());
        (condition, arguments)
    });
    let mut words = args.child.split_whitespace();
    let (program, words) = (words.next().unwrap_or("true"), words.collect::<Vec<_>>());
    let mut samples: BTreeMap<(&str, &str), Vec<f64>> = BTreeMap::new();
    for round in 0..args.rounds {
        for (condition, arguments) in &conditions {
            let agent = Agent::start(&args.capwatch, arguments)?;
            let before = agent.get("/metrics")?;
            for _ in 0..args.children {
                let mut child = Command::new(program);
                child
                    .args(&words)
                    .stdin(Stdio::null())
                    .stdout(Stdio::null());
                let status = child.status().with_context(|| args.child.clone())?;
                ensure!(status.success(), "{} ended: {status}", args.child);
            }
            let after = agent.get("/metrics")?;
            for program in &args.programs {
                let label = format!("program=\"{program}\"");
                let grown = |metric: &str| {
                    let sum = |page: &str| metrics::sum(page, metric, &[&label]);
                    sum(&after) - sum(&before)
                };
                let runs = grown("capwatch_program_runs_total");
                let seconds = grown("capwatch_program_run_seconds_total");
                ensure!(
                    runs >= f64::from(args.children),
                    "{program} ran {runs} times for {} children",
                    args.children
                );
                let sample = samples.entry((program, condition)).or_default();
                sample.push(seconds * 1e9 / runs);
            }
        }
        eprintln!("round {} of {}", round + 1, args.rounds);
    }
    let rows = samples.iter().map(|((call, condition), nanoseconds)| {
        json!({ "call": call, "condition": condition, "nanoseconds": nanoseconds })
    });
    println!("{}", json!({ "rows": rows.collect::<Vec<_>>() }));
    Ok(())
}
