//! `cargo xtask vm`: one script in one virtual machine.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::{Arch, Job, Kernel, Options, Root};

/// Boot a Debian kernel and run a script in it
#[derive(clap::Args)]
pub struct Args {
    /// Release series: 5.10, 6.1, 6.12 or 7.x (the newest)
    #[arg(long)]
    kernel: Kernel,
    /// The emulated processor
    #[arg(long, value_enum, default_value_t = Arch::X86_64)]
    arch: Arch,
    /// The user space that the kernel gets
    #[arg(long, value_enum, default_value_t = Root::Busybox)]
    root: Root,
    /// Debian packages on top of the full root's own
    #[arg(long, value_delimiter = ',')]
    packages: Vec<String>,
    /// Memory in MiB
    #[arg(long)]
    memory: Option<u32>,
    /// Number of processors
    #[arg(long)]
    cpus: Option<u32>,
    /// Have the guest's clock count instructions, one for a nanosecond: slow, exact
    #[arg(long, requires = "cpus")]
    icount: bool,
    /// More arguments for the kernel
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    append: String,
    /// Boot the full root with systemd
    #[arg(long)]
    systemd: bool,
    /// A file or directory to take along (repeatable)
    #[arg(long = "file", value_name = "HOST:GUEST")]
    files: Vec<String>,
    /// Seconds that the script may take
    #[arg(long, default_value_t = 300)]
    timeout: u64,
    /// The script, run as root with capwatch in its PATH
    #[arg(long)]
    script: PathBuf,
}

/// Runs the task: the exit code is the script's.
pub fn main(args: Args) -> Result<ExitCode> {
    ensure!(
        args.packages.is_empty() || args.root.is_debian(),
        "--packages needs --root full or trixie"
    );
    ensure!(
        !args.systemd || args.root.is_debian(),
        "--systemd needs --root full or trixie"
    );
    let files = args
        .files
        .iter()
        .map(|file| split_file(file))
        .collect::<Result<_>>()?;
    let outcome = super::run(&Options {
        kernel: args.kernel,
        arch: args.arch,
        root: args.root,
        packages: args.packages,
        memory: args.memory,
        cpus: args.cpus,
        icount: args.icount,
        append: args.append,
        systemd: args.systemd,
        files,
        jobs: vec![Job {
            name: "script".to_owned(),
            script: args.script,
            env: Vec::new(),
            timeout: Duration::from_secs(args.timeout),
        }],
        echo: true,
    })?;
    if let Some(failure) = outcome.failure {
        bail!("{failure}");
    }
    let code = outcome.jobs.first().and_then(|job| job.exit_code);
    Ok(ExitCode::from(code.context("the script never ran")?))
}

fn split_file(file: &str) -> Result<(PathBuf, String)> {
    let (host, guest) = file
        .rsplit_once(':')
        .with_context(|| format!("{file:?} isn't HOST:GUEST"))?;
    ensure!(guest.starts_with('/'), "{guest:?} isn't an absolute path");
    Ok((host.into(), guest.to_owned()))
}
