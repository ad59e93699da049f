//! The report of a log: what its records come to, and what was not read of it.

use std::{collections::HashMap, io::Read, sync::Arc};

use anyhow::Context;

use super::{beside::Beside, what::Kept};
use crate::{
    audit::{self, Foreign, Item, LossCount, Lsm, Parsed, Reader, Record, Verdict},
    config::Rules,
    correlate::{Alive, CallHost, Calls, Correlator},
    finding::{Container, Host, LogRead, Other, Place, Report, Scope, Sort, SourceReport},
    ledger::{Ledger, MAX_SERIES},
    observation::{AuditSeen, Observation},
    sight::{LINES_UNREAD, RECORDS_LOST},
    sources::audit::{Dedup, SourceName},
    time::Stamp,
};

/// A log in which nothing was understood is no log without a denial.
#[derive(Debug, thiserror::Error)]
#[error("no line of {name} is an audit record, so it cannot show denials: {why}")]
pub struct NothingRead {
    name: String,
    why: String,
}

/// Why a log has nothing, where it has not; of one that merely has no audit
/// records a note says so.
pub fn nothing_read(report: &mut Report, kept: &Kept, name: &str) -> Option<anyhow::Error> {
    let log = report.log.as_ref()?;
    if log.understood > 0 {
        return None;
    }
    let nothing = |why: String| {
        let name = name.to_owned();
        Some(anyhow::Error::new(NothingRead { name, why }))
    };
    if log.lines == 0 {
        return nothing("it is empty; check the command that wrote it".to_owned());
    }
    if let Some(first) = &log.first_unread {
        return nothing(format!("{first}"));
    }
    if kept.is_log() {
        report.notes.push(format!(
            "none of its {} lines is an audit record: if you expect denials, name the log that \
             has them (/var/log/audit/audit.log if auditd runs, otherwise pipe journalctl -k)",
            log.lines
        ));
        return None;
    }
    if let Some(first) = &log.first_left_out {
        return nothing(format!("{first}"));
    }
    let kind = if kept.is_binary() {
        "it is binary data"
    } else {
        "no line is an audit record or looks like a log line"
    };
    nothing(format!(
        "{kind}; name auditd's log, or pipe journalctl or dmesg to it"
    ))
}

/// Records by which one that the log holds in two forms is known again.
const REMEMBERED: usize = 4_096;
/// What to know of a log's process ids.
const OF_A_LOG: &str = "read from a log: PIDs are from the host that wrote the log";

/// The report of a log. No event is beside its records, so each
/// denial is known from its record alone.
pub fn report_of(
    input: Box<dyn Read + Send>,
    name: &str,
    rules: Arc<Rules>,
) -> (Report, Option<anyhow::Error>) {
    let mut correlator = Correlator::new(Arc::clone(&rules));
    let names = Names {
        ids: rules.comms(),
        rules: Arc::clone(&rules),
    };
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
    let mut log = LogRead::default();
    let mut calls = Calls::default();
    let mut beside = Beside::default();
    let broken = read(
        input,
        &mut source,
        &mut log,
        &names,
        &mut calls,
        |outcome| match outcome {
            Outcome::Capability(observation) => {
                if let Observation::Audit(seen) = &observation
                    && seen.received.is_known()
                {
                    first.get_or_insert(seen.received);
                    last = last.max(seen.received);
                }
                for finding in correlator.observe(observation) {
                    ledger.enter(&finding);
                }
            }
            Outcome::Other(other, object) => {
                beside.note(&other, object);
                ledger.others.enter(*other, Scope::Host);
            }
        },
    );
    for finding in correlator.finish() {
        ledger.enter(&finding);
    }
    let uncounted = calls.unlisted;
    let (episodes, capsets) = calls.finish(&names);
    for (time, episode) in episodes {
        ledger.enter(&correlator.logged(episode, time));
    }
    for other in capsets {
        ledger.others.enter(other, Scope::Host);
    }
    if uncounted > 0 {
        ledger.lose("ledger", "episodes_full", uncounted);
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
            "{folded} denials have too many different profile and process names; they are \
             reported together as profile \"overflow\", and the most frequent ones are listed"
        ));
    }
    let mut report = Report {
        notes,
        log: Some(log),
        ..ledger.report(Scope::Host, None)
    };
    beside.explain(&mut report.denials);
    (report, broken.err())
}

/// What a record comes to.
enum Outcome {
    /// It is about a capability.
    Capability(Observation),
    /// Of something else that was refused, and of which object.
    Other(Box<Other>, Option<String>),
}

fn read(
    input: Box<dyn Read + Send>,
    source: &mut SourceReport,
    log: &mut LogRead,
    names: &Names,
    calls: &mut Calls,
    mut hand: impl FnMut(Outcome),
) -> anyhow::Result<()> {
    let name = source.name.clone();
    let mut reader = Reader::new(input);
    let mut seen = Seen::new();
    loop {
        let item = match reader.next_item() {
            Ok(Some(item)) => item,
            Ok(None) => {
                log.lines = reader.lines().number();
                return Ok(());
            }
            Err(error) => {
                let (line, offset) = (reader.lines().number(), reader.lines().offset());
                log.lines = line;
                return Err(error).with_context(|| {
                    format!("cannot read {name} beyond line {line}, byte {offset}")
                });
            }
        };
        count(&item, log);
        if let Some(aside) = &item.aside {
            calls.aside(aside, names);
        }
        if let Parsed::Record(record) = &item.parsed {
            calls.record(record);
        }
        take(item, source, &mut seen, names, &mut hand);
    }
}

/// What became of a line.
fn count(item: &Item<'_>, log: &mut LogRead) {
    let place = |reason: String| Place {
        line: item.line,
        reason,
    };
    match &item.parsed {
        Parsed::Record(_) => {
            log.records += 1;
            log.understood += 1;
        }
        Parsed::Malformed(why) => {
            log.unread += 1;
            log.first_unread
                .get_or_insert_with(|| place(why.to_string()));
        }
        Parsed::Foreign(Foreign::OtherProgram) => {
            log.left_out += 1;
            log.first_left_out.get_or_insert_with(|| {
                place(
                    "it looks like a record, but nothing shows that the kernel wrote it".to_owned(),
                )
            });
        }
        Parsed::Foreign(Foreign::Empty | Foreign::NotAudit) => {}
        Parsed::Foreign(
            Foreign::Type(_) | Foreign::UnknownType | Foreign::OtherAvc | Foreign::Loss(_),
        ) => log.understood += 1,
    }
}

/// Supervisors by the names of their processes.
struct Names {
    rules: Arc<Rules>,
    ids: HashMap<Vec<u8>, u16>,
}

impl Names {
    fn of_comm(&self, comm: Option<&[u8]>) -> Option<String> {
        let id = self.ids.get(comm?)?;
        self.rules.get(*id).map(|rule| rule.name.to_string())
    }
}

/// A log's processes are those of the host and the time that it was written.
impl CallHost for Names {
    fn supervisor(&self, comm: &str, exe: Option<&str>) -> Option<String> {
        let by_exe = exe.and_then(|exe| self.rules.by_basename(exe.as_bytes()));
        match by_exe {
            Some(rule) => self.rules.get(rule.id).map(|rule| rule.name.to_string()),
            None => self.of_comm(Some(comm.as_bytes())),
        }
    }

    fn alive(&self, _: u32, _: Stamp) -> Option<Alive> {
        None
    }

    fn cgroup(&self, _: u32, _: Stamp) -> u64 {
        0
    }

    fn place(&self, _: u64) -> (Option<Arc<Container>>, Scope) {
        (None, Scope::Host)
    }
}

/// The log so far.
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
    names: &Names,
    hand: &mut impl FnMut(Outcome),
) {
    match item.parsed {
        Parsed::Record(record) => {
            source.records += 1;
            if !seen.records.is_new(SourceName::Stream, item.form, &record) {
                return;
            }
            if !record.is_about_capability() {
                if let Some(other) = other(&record) {
                    let object = record.name.as_deref();
                    let object = object.map(|name| String::from_utf8_lossy(name).into_owned());
                    hand(Outcome::Other(Box::new(other), object));
                }
                return;
            }
            let supervisor = names.of_comm(record.comm.as_deref());
            for record in record.each() {
                let stamp = record.epoch.map_or(0, audit::Epoch::nanos);
                hand(Outcome::Capability(Observation::Audit(Box::new(
                    AuditSeen {
                        received: Stamp(stamp),
                        source: source.name.clone(),
                        record: record.into_owned(),
                        supervisor: supervisor.clone(),
                        scope: Scope::Host,
                    },
                ))));
            }
        }
        Parsed::Foreign(Foreign::Loss(loss)) => source.lost += seen.losses.newly(loss),
        Parsed::Foreign(Foreign::OtherAvc) => {
            let other = Other {
                kind: Sort::Other,
                lsm: None,
                verdict: None,
                operation: None,
                capability: None,
                profile: None,
                comm: None,
                pid: None,
                count: 1,
                first: Stamp::default(),
                last: Stamp::default(),
                explanation: String::new(),
            };
            hand(Outcome::Other(Box::new(other), None));
        }
        Parsed::Foreign(_) => {}
        Parsed::Malformed(_) => source.malformed += 1,
    }
}

/// A record of something else than a capability, where it is about a refusal.
fn other(record: &Record<'_>) -> Option<Other> {
    let is_userns = record.operation.as_deref() == Some(b"userns_create");
    let kind = match (record.lsm, record.verdict?) {
        (Some(Lsm::Seccomp), Verdict::Denied | Verdict::Killed) => Sort::Seccomp,
        (
            Some(Lsm::AppArmor | Lsm::SeLinux),
            Verdict::Denied | Verdict::Killed | Verdict::Allowed | Verdict::Audit,
        ) if is_userns => Sort::UsernsCreate,
        (_, Verdict::Denied | Verdict::Killed | Verdict::Allowed) => Sort::Other,
        _ => return None,
    };
    let text = |bytes: &Option<audit::Bytes<'_>>| {
        bytes
            .as_deref()
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    };
    let time = Stamp(record.epoch.map_or(0, audit::Epoch::nanos));
    Some(Other {
        kind,
        lsm: record.lsm.map(|lsm| lsm.as_str().to_owned()),
        verdict: record.verdict.map(|verdict| verdict.as_str().to_owned()),
        operation: text(&record.operation),
        capability: None,
        profile: text(&record.profile),
        comm: text(&record.comm),
        pid: record.pid,
        count: 1,
        first: time,
        last: time,
        explanation: String::new(),
    })
}
