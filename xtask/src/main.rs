//! Developer tasks of capwatch: `cargo xtask test`, `vm`, `bpf`, `bench` and `dist`.
//!
//! Each task installs what it needs through apt and keeps what is costly to
//! make (kernels, roots, the BPF toolchain) in a cache directory.

mod apt;
mod bench;
mod bpf;
mod cache;
mod cmd;
mod dist;
mod test;
mod toolchain;
mod tools;
mod vm;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Developer tasks of capwatch
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Measure what watching costs
    Bench(bench::Args),
    /// Build the BPF objects that users' builds embed
    Bpf(bpf::Args),
    /// Make the packages: deb, rpm, tarball, image, SBOM, checksums
    Dist(dist::Args),
    /// Write the table of what ring 3 showed into docs/kernels.md
    Kernels,
    /// Run the tests: every ring that this machine can run
    Test(test::Args),
    /// Boot a Debian kernel and run a script in it
    Vm(vm::cli::Args),
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    match Cli::parse().task {
        Task::Bench(args) => bench::main(&args),
        Task::Bpf(args) => bpf::main(&args),
        Task::Dist(args) => dist::main(&args),
        Task::Kernels => test::write_docs().map(|()| ExitCode::SUCCESS),
        Task::Test(args) => test::main(&args),
        Task::Vm(args) => vm::cli::main(args),
    }
}
