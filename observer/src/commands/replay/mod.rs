//! `capwatch replay`: any log of the audit side, or a recorded stream, through
//! the same rooms. Needs no privilege.

mod stream;

use std::{
    io::{self, IsTerminal, Read},
    path::Path,
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context, bail};

use super::args::Replay;
use crate::{
    audit::{self, Foreign, Item, LossCount, Parsed, Reader, Record, decompressed},
    config::Rules,
    correlate::Correlator,
    finding::{Gate, Host, Report, Scope, SourceReport},
    ledger::{Ledger, MAX_SERIES},
    observation::{AuditSeen, Observation},
    outputs::{
        color::Color,
        report::{self, Style},
        terminal,
    },
    sight::{LINES_UNREAD, RECORDS_LOST},
    sources::{
        audit::{Dedup, SourceName},
        recorded::sniff,
    },
    time::Stamp,
};

/// Runs the command.
pub fn run(replay: &Replay, rules: Arc<Rules>, color: Color) -> anyhow::Result<ExitCode> {
    let Replay {
        records,
        all,
        output,
        file,
    } = replay;
    let name = file.display().to_string();
    let read = || format!("cannot read {name}");
    let (compression, plain) = decompressed(open(file)?).with_context(read)?;
    let (is_stream, input) = sniff(plain).with_context(read)?;
    let stdout = io::stdout();
    if *records {
        if is_stream {
            bail!(
                "{name} is a recorded stream: its lines are JSON already, and --records is for logs"
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
    let (report, broken) = if is_stream {
        stream::report(input, &name, rules)
    } else {
        report_of(Box::new(input), &name, rules)
    };
    let style = Style {
        form: *output,
        color: color.on(&stdout),
        columns: terminal::size(&stdout).map(|(columns, _)| columns),
        gate: &Gate::failed_drops(),
    };
    report::write(stdout.lock(), &report, style)?;
    // What was read is reported all the same.
    match broken {
        Some(error) => Err(error),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// The file, or standard input for `-`.
pub fn open(path: &Path) -> anyhow::Result<Box<dyn Read + Send>> {
    if path == Path::new("-") {
        if io::stdin().is_terminal() {
            bail!("nothing is piped to stdin: name a file, or pipe a log to it");
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

/// Records by which one that the log holds in two forms is known again.
const REMEMBERED: usize = 4_096;
/// What to know of a log's process ids.
const OF_A_LOG: &str = "read from a log: process ids are those of the host that wrote it, at that \
    time, and mean nothing here";

/// The report of a log. No event stands beside its records, so that each
/// denial is known from its record alone.
pub(super) fn report_of(
    input: Box<dyn Read + Send>,
    name: &str,
    rules: Arc<Rules>,
) -> (Report, Option<anyhow::Error>) {
    let mut correlator = Correlator::new(Arc::clone(&rules));
    let mut ledger = Ledger::new(rules, Host::default(), MAX_SERIES);
    let mut source = SourceReport {
        name: name.to_owned(),
        up: true,
        records: 0,
        lost: 0,
        malformed: 0,
        reason: None,
    };
    let (mut first, mut last) = (None, Stamp::default());
    let broken = read(input, &mut source, |observation| {
        if let Observation::Audit(seen) = &observation {
            first.get_or_insert(seen.received);
            last = last.max(seen.received);
        }
        for finding in correlator.observe(observation) {
            ledger.enter(&finding);
        }
    });
    for finding in correlator.finish() {
        ledger.enter(&finding);
    }
    if let Err(error) = &broken {
        source.up = false;
        source.reason = Some(format!("{error:#}"));
    }
    ledger.audit.set_malformed(source.malformed);
    if source.lost > 0 {
        ledger.lose("audit", "log", source.lost);
    }
    for (reason, count) in [
        (RECORDS_LOST, source.lost),
        (LINES_UNREAD, source.malformed),
    ] {
        if count > 0 {
            let first = first.unwrap_or_default();
            ledger.sight.enter(reason, first, last, count);
        }
    }
    ledger.sources = vec![source];
    let mut notes = vec![OF_A_LOG.to_owned()];
    let folded = ledger.audit.folded();
    if folded > 0 {
        notes.push(format!(
            "{folded} denials have so many names of profiles and processes that they are reported \
             together, as profile \"overflow\"; the most frequent ones are listed"
        ));
    }
    let report = Report {
        notes,
        ..ledger.report(Scope::Host, None)
    };
    (report, broken.err())
}

fn read(
    input: Box<dyn Read + Send>,
    source: &mut SourceReport,
    mut hand: impl FnMut(Observation),
) -> anyhow::Result<()> {
    let name = source.name.clone();
    let mut reader = Reader::new(input);
    let mut seen = Seen::new();
    loop {
        let item = match reader.next_item() {
            Ok(Some(item)) => item,
            Ok(None) => return Ok(()),
            Err(error) => {
                let (line, offset) = (reader.lines().number(), reader.lines().offset());
                return Err(error).with_context(|| {
                    format!("cannot read {name} beyond line {line}, byte {offset}")
                });
            }
        };
        take(item, source, &mut seen, &mut hand);
    }
}

/// What a log told so far.
struct Seen {
    records: Dedup,
    losses: LossCount,
}

impl Seen {
    fn new() -> Self {
        Self {
            records: Dedup::new(REMEMBERED),
            losses: LossCount::new(),
        }
    }
}

fn take(
    item: Item<'_>,
    source: &mut SourceReport,
    seen: &mut Seen,
    hand: &mut impl FnMut(Observation),
) {
    match item.parsed {
        Parsed::Record(record) => {
            source.records += 1;
            if !seen.records.is_new(SourceName::Stream, item.form, &record) {
                return;
            }
            for record in record.each().filter(Record::is_about_capability) {
                let stamp = record.epoch.map_or(0, audit::Epoch::nanos);
                hand(Observation::Audit(Box::new(AuditSeen {
                    received: Stamp(stamp),
                    source: source.name.clone(),
                    record: record.into_owned(),
                    supervisor: None,
                    scope: Scope::Host,
                })));
            }
        }
        Parsed::Foreign(Foreign::Loss(loss)) => source.lost += seen.losses.newly(loss),
        Parsed::Foreign(_) => {}
        Parsed::Malformed(_) => source.malformed += 1,
    }
}
