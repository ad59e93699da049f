//! An agent without a kernel that writes a stream, and what may happen to it.

use std::sync::Arc;

use proptest::prelude::*;

use crate::{
    commands::replay::tests::Memory,
    config::Rules,
    correlate::{Correlator, Finding, Tally},
    finding::{
        AuditEvent, Command, Event, EventKind, Exit, Fate, Host, Namespace, Report, Scope, Verdict,
    },
    ledger::{KernelRow, Ledger},
    observation::{Comm, DenialEvent, DenialSeen, Observation, Owner, Row, identity},
    state::Shared,
    time::Stamp,
    words::Layer,
};

/// What the recordings here are of.
pub const CHOSEN: Scope = Scope::Beside;

/// What may happen to an agent.
#[derive(Clone, Debug)]
pub enum Happens {
    Denial {
        row: u8,
        at: u32,
        scope: Scope,
    },
    Episode {
        id: u8,
        verdict: Verdict,
        at: u32,
        micros: u32,
        scope: Scope,
    },
    Audit {
        result: &'static str,
        profile: String,
        at: u32,
        scope: Scope,
    },
    Loss {
        reason: &'static str,
        count: u64,
    },
    Checkpoint,
    Look,
}

pub fn happens() -> impl Strategy<Value = Happens> {
    let verdict = prop::sample::select(Verdict::ALL.to_vec());
    let result = prop::sample::select(vec!["matched", "audit_only", "not_a_denial"]);
    let reason = prop::sample::select(vec!["denial_ring_full", "sequence_gap"]);
    prop_oneof![
        4 => (0..20_u8, 0..40_u32, scope())
            .prop_map(|(row, at, scope)| Happens::Denial { row, at, scope }),
        2 => (0..6_u8, verdict, 0..40_u32, any::<u32>()).prop_map(
            |(id, verdict, at, micros)| Happens::Episode { id, verdict, at, micros, scope: Scope::ALL[usize::from(id) % 3] }
        ),
        2 => (result, "\\PC{0,8}", 0..40_u32, scope()).prop_map(
            |(result, profile, at, scope)| Happens::Audit { result, profile, at, scope }
        ),
        1 => (reason, 1..1_000_u64).prop_map(|(reason, count)| Happens::Loss { reason, count }),
        1 => Just(Happens::Checkpoint),
        1 => Just(Happens::Look),
    ]
}

fn scope() -> impl Strategy<Value = Scope> {
    prop::sample::select(Scope::ALL.to_vec())
}

/// Nanoseconds that no text form holds: what is cut off must not matter.
fn stamp(at: u32) -> Stamp {
    Stamp(1_795_458_347_188_123_456 + u64::from(at) * 777)
}

fn key(row: u8, scope: Scope) -> Row {
    Row {
        owner: Owner {
            in_tree: scope == Scope::Tree,
            ..Owner::default()
        },
        cgroup: u64::from(scope == Scope::Beside),
        comm: Comm([b'a' + row / 4; 16]),
        capability: row,
        layer: Layer::ALL[usize::from(row) % 5],
        ..Row::default()
    }
}

fn scope_of(key: &Row) -> Scope {
    match (key.owner.in_tree, key.cgroup) {
        (true, _) => Scope::Tree,
        (_, 1) => Scope::Beside,
        _ => Scope::Host,
    }
}

/// An agent without a kernel: the rows that the kernel would count are kept here.
pub struct Live {
    pub shared: Shared,
    correlator: Correlator,
    rows: Vec<(Row, Tally)>,
    /// An agent that runs no command follows no tree.
    has_tree: bool,
}

impl Live {
    pub fn new(has_tree: bool) -> Self {
        let rules = Arc::new(Rules::default());
        let host = Host {
            kernel: "6.12.0 \"x\"".to_owned(),
            lsm: vec!["capability".to_owned()],
            boot_id: "b".to_owned(),
        };
        let ledger = Ledger::new(Arc::clone(&rules), host, usize::MAX);
        Self {
            shared: Shared::new(ledger, None, None),
            correlator: Correlator::new(rules),
            rows: Vec::new(),
            has_tree,
        }
    }

    fn begin(&self, memory: Memory, argv: Option<Vec<String>>) {
        let begun = match argv {
            Some(argv) => self.shared.record_findings(Box::new(memory), argv, CHOSEN),
            None => self.shared.keep_stream(Box::new(memory)),
        };
        begun.expect("a thread");
    }

    fn enter(&self, finding: Finding) {
        self.shared.ledger().enter(&finding);
        self.shared.publish(finding);
    }

    /// An agent has no command.
    fn scope(&self, scope: Scope) -> Scope {
        if self.has_tree { scope } else { Scope::Host }
    }

    fn let_happen(&mut self, what: Happens) {
        match what {
            Happens::Denial { row, at, scope } => {
                self.deny(key(row, self.scope(scope)), stamp(at));
            }
            Happens::Episode {
                id,
                verdict,
                at,
                micros,
                scope,
            } => {
                let mut episode = episode(id, verdict, micros);
                episode.scope = self.scope(scope);
                self.enter(finding(stamp(at), EventKind::Episode(episode)));
            }
            Happens::Audit {
                result,
                profile,
                at,
                scope,
            } => {
                let mut event = audit(result, profile);
                event.scope = self.scope(scope);
                self.enter(finding(stamp(at), EventKind::Audit(event)));
            }
            Happens::Loss { reason, count } => self.shared.lose("kernel", reason, count),
            // To the microsecond, as the stream has it.
            Happens::Look => self.shared.ledger().look(Stamp(stamp(7).0 / 1_000 * 1_000)),
            Happens::Checkpoint => {
                self.count();
                self.shared.checkpoint_stream();
            }
        }
    }

    fn deny(&mut self, key: Row, time: Stamp) {
        if let Some((_, tally)) = self.rows.iter_mut().find(|(known, _)| *known == key) {
            tally.count += 1;
            tally.first = tally.first.min(time);
            tally.last = tally.last.max(time);
        } else {
            let tally = Tally {
                count: 1,
                first: time,
                last: time,
            };
            self.rows.push((key, tally));
        }
        let event = DenialEvent {
            tgid: 7,
            row: key,
            ..DenialEvent::default()
        };
        let seen = DenialSeen {
            time,
            event,
            profile: None,
            container: None,
            count: 1,
            scope: scope_of(&key),
        };
        for finding in self.correlator.observe(Observation::Denial(Box::new(seen))) {
            self.enter(finding);
        }
    }

    fn count(&self) {
        let rows = self.rows.iter();
        let rows = rows.map(|(key, tally)| KernelRow {
            scope: scope_of(key),
            ..KernelRow::new(identity(key), *key, *tally)
        });
        self.shared
            .ledger()
            .denials
            .set(&rows.collect::<Vec<_>>(), &[]);
    }
}

fn finding(time: Stamp, kind: EventKind) -> Finding {
    Finding {
        scope: kind.scope(),
        event: Event::new(time, kind),
        row: None,
        joined: None,
    }
}

fn audit(result: &str, profile: String) -> AuditEvent {
    AuditEvent {
        lsm: Some("apparmor".to_owned()),
        verdict: Some("denied".to_owned()),
        profile: Some(profile),
        namespace: None,
        pid: Some(7),
        comm: Some("x".to_owned()),
        capability: Some("setpcap".to_owned()),
        supervisor: None,
        result: result.to_owned(),
        ambiguous: false,
        note: None,
        serial: Some(u64::MAX),
        source: "netlink".to_owned(),
        scope: Scope::Host,
    }
}

fn episode(id: u8, verdict: Verdict, micros: u32) -> crate::finding::Episode {
    crate::finding::Episode {
        while_away: false,
        id: id.to_string(),
        scope: Scope::Host,
        verdict,
        retried: false,
        skipped: false,
        refilled: false,
        supervisor: Some("crun".to_owned()),
        inferred: false,
        role: Some("supervisor".to_owned()),
        version: None,
        exe_uid: None,
        container: None,
        pid: 7,
        ppid: 1,
        chain: Vec::new(),
        comm: "crun\u{1b}[31m".to_owned(),
        exe: None,
        layer: None,
        profile: None,
        drops: 41,
        refused_raised: 1,
        refused_lowered: 0,
        unknown_capability: 0,
        bounding_before: "0x1".to_owned(),
        bounding_after: "0x1".to_owned(),
        residual: vec!["chown".to_owned()],
        bounding_namespace: None,
        workload: None,
        dropping_thread: None,
        effective: "0x0".to_owned(),
        user_namespace: Namespace::default(),
        fate: Fate::Exit,
        exit: Some(Exit {
            code: Some(1),
            signal: None,
        }),
        first_refused: Some("chown".to_owned()),
        not_the_cause: Vec::new(),
        duration_seconds: crate::time::seconds(u64::from(micros) * 1_000),
        explanation: "it \"could\" not\n".to_owned(),
    }
}

/// Lets things happen to an agent that writes a stream; gives its own report and
/// the stream.
pub fn record(happenings: Vec<Happens>, argv: Option<Vec<String>>) -> (Report, String) {
    let memory = Memory::default();
    let mut live = Live::new(argv.is_some());
    let command = argv.clone();
    live.begin(memory.clone(), argv);
    for what in happenings {
        live.let_happen(what);
    }
    live.count();
    let scope = if command.is_some() {
        CHOSEN
    } else {
        Scope::Host
    };
    let command = command.map(|argv| Command {
        argv,
        exit_code: 3,
        duration_seconds: 0.1,
    });
    let mut report = live.shared.ledger().report(scope, command);
    report.failed_on = vec!["fatal: episode 1".to_owned()];
    live.shared.end_stream(&report).expect("memory");
    (report, memory.text())
}
