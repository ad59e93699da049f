//! `cargo xtask test`: the four rings, from what needs nothing to real peers.

mod matrix;
mod native;
mod peers;
mod report;
mod script;
mod source;
mod vms;
mod words;

use std::process::ExitCode;

use anyhow::Result;

pub use matrix::write_docs;
use report::Report;

/// Run the tests: every ring that this machine can run
#[derive(clap::Args)]
pub struct Args {
    /// Only what needs neither root nor a virtual machine (ring 1)
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// Every kernel, and the tests that take long
    #[arg(long)]
    full: bool,
    /// Only these rings
    #[arg(
        long,
        value_name = "N",
        value_delimiter = ',',
        conflicts_with = "quick"
    )]
    ring: Vec<u8>,
    /// Only the scripts of rings 3 and 4 whose name contains this
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Only this kernel of ring 3: 5.10, 6.1, 6.12 or 7.x, or 6.1-arm64
    #[arg(long, value_name = "KERNEL", default_value = "")]
    kernel: String,
}

/// Runs the task.
#[expect(clippy::unnecessary_wraps, reason = "the tasks are called alike")]
pub fn main(args: &Args) -> Result<ExitCode> {
    let mut report = Report::default();
    let wants = |ring: u8| {
        let by_default = !args.quick || ring == 1;
        if args.ring.is_empty() {
            by_default
        } else {
            args.ring.contains(&ring)
        }
    };
    if wants(1) {
        source::ring(&mut report, args.quick);
    }
    if wants(2) {
        native::ring(&mut report);
    }
    if wants(3) {
        vms::ring(&mut report, args.full, &args.only, &args.kernel);
    }
    if wants(4) {
        peers::ring(&mut report, args.full, &args.only);
    }
    let code = if report.finish() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    };
    Ok(code)
}
