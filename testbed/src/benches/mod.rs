//! What capwatch costs, measured from outside. Each command prints one JSON
//! object; `cargo xtask bench` runs them and draws the table.

mod agent;
mod call;
mod condition;
mod exact;
mod latency;
mod metrics;
mod overhead;
mod programs;
mod replay;
mod scale;
mod supervisors;

use anyhow::Result;

/// Measure what watching costs
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    Call(call::Args),
    Overhead(overhead::Args),
    Programs(programs::Args),
    Storm(exact::Args),
    Scale(scale::Args),
    Latency(latency::Args),
    Replay(replay::Args),
    Supervisor(supervisors::Args),
}

/// Runs the measurement.
///
/// # Errors
/// When it can't be made; never since something is slow.
pub fn run(args: &Args) -> Result<()> {
    match &args.what {
        What::Call(args) => call::run(args),
        What::Overhead(args) => overhead::run(args),
        What::Programs(args) => programs::run(args),
        What::Storm(args) => exact::run(args),
        What::Scale(args) => scale::run(args),
        What::Latency(args) => latency::run(args),
        What::Replay(args) => replay::run(args),
        What::Supervisor(args) => supervisors::run(args),
    }
}
