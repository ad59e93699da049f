//! `capwatch replay`: any log of the audit side, or a recorded stream, through
//! the same rooms. Needs no privilege.

mod beside;
mod end;
mod log;
mod observed;
mod serve;
mod stream;
mod unpack;
mod what;

use std::{
    io::{self, IsTerminal, Read},
    path::Path,
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context, bail, ensure};

use super::{args::Replay, record::FAILED};
use log::{NothingRead, nothing_read};
use unpack::unpacked;
use what::{Keeping, Kept};

use crate::{
    audit::{self, Compression},
    config::Rules,
    finding::Gate,
    outputs::{
        color::Color,
        report::{self, Style},
        terminal,
    },
    sources::recorded::sniff,
};

pub(super) use log::report_of;
pub(super) use observed::Observed;
pub use serve::Recording;

/// Runs the command.
pub fn run(replay: &Replay, rules: Arc<Rules>, color: Color) -> anyhow::Result<ExitCode> {
    let Replay {
        records,
        all,
        lenient,
        fail_on,
        role,
        serve,
        output,
        file,
    } = replay;
    let name = file.display().to_string();
    let read = || format!("cannot read {name}");
    let (compression, plain) =
        unpacked(open(file)?, (!lenient).then_some(unpack::FREE)).with_context(read)?;
    let (what, release, plain) = what::look(plain).with_context(read)?;
    if let Some(what) = what.filter(|_| !lenient) {
        let packed = match compression {
            Compression::None => String::new(),
            packed => format!("unpacked from {}, ", packed.name()),
        };
        bail!("cannot replay {name}: {packed}{}", what.refusal());
    }
    let (is_stream, input) = sniff(plain).with_context(read)?;
    let stdout = io::stdout();
    if *records {
        if is_stream {
            bail!(
                "{name} is a recorded stream: its lines are JSON already, so replay it without --records"
            );
        }
        let out = io::BufWriter::new(stdout.lock());
        let tally = audit::replay_plain(input, compression, *all, out)?;
        tracing::info!(
            "{} lines: {} records, {} foreign, {} malformed",
            tally.read,
            tally.records,
            tally.foreign,
            tally.malformed
        );
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(address) = serve {
        ensure!(
            is_stream,
            "{name} is a log: --serve needs a recorded stream (`record --stream`, `run --events`)"
        );
        let (recording, broken) = Recording::read(input, file, rules);
        if let Some(error) = broken {
            tracing::warn!("{error:#}");
        }
        return serve::run(address, recording);
    }
    let gate = Gate {
        fail_on: fail_on.clone(),
        role: *role,
    };
    let (mut report, mut broken) = if is_stream {
        stream::report(input, &name, rules)
    } else {
        let kept = Kept::default();
        let input = Keeping::new(input, kept.clone());
        let rules = Arc::new(Arc::unwrap_or_clone(rules).on(release));
        let (mut report, broken) = report_of(Box::new(input), &name, rules);
        let broken = broken.or_else(|| nothing_read(&mut report, &kept, &name));
        (report, broken)
    };
    if *lenient {
        broken = broken.filter(|error| !error.is::<NothingRead>());
    }
    if !gate.fail_on.is_empty() {
        report.failed_on = gate.matches(&report);
    }
    let style = Style {
        form: *output,
        color: color.on(&stdout),
        columns: terminal::size(&stdout).map(|(columns, _)| columns),
        gate: &if gate.fail_on.is_empty() {
            Gate::failed_drops()
        } else {
            gate.clone()
        },
    };
    report::write(stdout.lock(), &report, style)?;
    // What was read is reported all the same.
    match broken {
        Some(error) => Err(error),
        None if !gate.fail_on.is_empty() && !report.failed_on.is_empty() => {
            Ok(ExitCode::from(FAILED))
        }
        None => Ok(ExitCode::SUCCESS),
    }
}

/// The file, or standard input for `-`.
pub fn open(path: &Path) -> anyhow::Result<Box<dyn Read + Send>> {
    if path == Path::new("-") {
        if io::stdin().is_terminal() {
            bail!("stdin is a terminal: name a file, or pipe a log to it");
        }
        return Ok(Box::new(io::stdin()));
    }
    let shown = path.display();
    let file = crate::open::named(path).with_context(|| format!("cannot read {shown}"))?;
    if file.metadata().is_ok_and(|data| data.is_dir()) {
        bail!("cannot read {shown}: it is a directory; name a log file");
    }
    Ok(Box::new(file))
}

#[cfg(test)]
mod tests;
