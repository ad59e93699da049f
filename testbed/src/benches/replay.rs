//! A long log through `capwatch replay`.

use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

/// Time the replay of a long log, and its memory
#[derive(clap::Args)]
pub struct Args {
    /// The agent
    #[arg(long)]
    capwatch: PathBuf,
    /// Records
    #[arg(long, default_value_t = 10_000_000)]
    count: u64,
    /// Only write the log, to standard output
    #[arg(long)]
    write: bool,
}

/// Prints `{"records","bytes","seconds","peak_kib"}`.
pub fn run(args: &Args) -> Result<()> {
    if args.write {
        write(std::io::stdout().lock(), args.count)?;
        return Ok(());
    }
    let begin = Instant::now();
    let mut child = Command::new(&args.capwatch)
        .args(["replay", "-o", "json", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", args.capwatch.display()))?;
    let stdin = child.stdin.take().context("no pipe")?;
    let bytes = write(stdin, args.count)?;
    let output = child.wait_with_output()?;
    let seconds = begin.elapsed().as_secs_f64();
    ensure!(output.status.success(), "replay ended: {}", output.status);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let read = report["audit"]["records"].as_u64();
    ensure!(
        read == Some(args.count),
        "replay read {read:?} records of {}",
        args.count
    );
    println!(
        "{}",
        json!({ "records": args.count, "bytes": bytes, "seconds": seconds, "peak_kib": children_peak() })
    );
    Ok(())
}

/// Denials as kernel 6.1 writes them into auditd's log: of many processes and few profiles.
fn write(output: impl std::io::Write, count: u64) -> Result<u64> {
    const NAMES: [(u8, &str); 4] = [
        (8, "setpcap"),
        (21, "sys_admin"),
        (12, "net_admin"),
        (7, "setuid"),
    ];
    let mut output = BufWriter::with_capacity(1 << 16, output);
    let mut bytes = 0;
    for index in 0..count {
        let (number, name) = NAMES[usize::try_from(index % 4)?];
        let line = format!(
            "type=AVC msg=audit({}.{:03}:{}): apparmor=\"DENIED\" operation=\"capable\" \
             profile=\"profile-{}\" pid={} comm=\"worker\" capability={number}  capname=\"{name}\"\n",
            1_795_000_000 + index / 1000,
            index % 1000,
            index + 1,
            index % 16,
            1000 + index % 30_000,
        );
        bytes += line.len() as u64;
        output.write_all(line.as_bytes())?;
    }
    output.flush()?;
    Ok(bytes)
}

/// The most memory that a child of ours had, KiB.
fn children_peak() -> i64 {
    // SAFETY: zeros are a valid value, and the kernel fills it.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage);
        usage.ru_maxrss
    }
}
