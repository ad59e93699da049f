//! `capwatch unload`: removes what agents left in the kernel and in their state
//! folder, and looks whether any of it is left.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::ensure;

use super::args::Unload;
use crate::{
    clean::clean,
    sources::bpf::pins::{self, Removed},
    state::kept,
};

/// How long the kernel may take to free what nobody holds: a grace period, and more
/// under emulation.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs the command.
pub fn run(options: &Unload) -> anyhow::Result<ExitCode> {
    let Unload { pin, state } = options;
    let mut out = io::stdout().lock();
    let pins = pin.display().to_string();
    let pins = clean(&pins);
    let folder = state.display().to_string();
    let folder = clean(&folder);
    match pins::remove(pin)? {
        None => writeln!(out, "nothing is pinned in {pins}")?,
        Some(removed) => {
            let Removed {
                links,
                programs,
                maps,
                ..
            } = &removed;
            writeln!(
                out,
                "removed from {pins}: {links} links, {programs} programs, {maps} maps"
            )?;
            prove(&removed, &mut out)?;
        }
    }
    match kept::remove(state)? {
        0 => writeln!(out, "nothing is kept in {folder}")?,
        1 => writeln!(out, "removed from {folder}: 1 file")?,
        files => writeln!(out, "removed from {folder}: {files} files")?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Looks for what was removed until the kernel holds none of it.
fn prove(removed: &Removed, out: &mut impl io::Write) -> anyhow::Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        let left = match removed.left() {
            Ok(left) => left,
            Err(error) => {
                writeln!(
                    out,
                    "cannot list the kernel's BPF objects ({error}): run capwatch as root to check"
                )?;
                return Ok(());
            }
        };
        if left.is_empty() {
            writeln!(out, "the kernel no longer holds any of them")?;
            return Ok(());
        }
        ensure!(
            Instant::now() < until,
            "the kernel still holds {}: another process has them open; \
             find it with `bpftool prog show`, and end it",
            left.join(", ")
        );
        sleep(Duration::from_millis(20));
    }
}
