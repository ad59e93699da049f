//! An agent without a kernel whose observations are recorded, and observations for it.

use std::{collections::HashMap, sync::Arc};

use crate::{
    audit::{Epoch, Lsm, Record, Verdict},
    caps::CapSet,
    commands::replay::tests::Memory,
    config::Rules,
    correlate::{Correlator, Finding, Tally},
    finding::{Command, Host, Report, Scope},
    ledger::{KernelRow, Ledger},
    observation::{
        AuditSeen, Comm, DenialEvent, DenialSeen, Episode, EpisodeEnd, EpisodeSeen, Executed, Left,
        Observation, Owner, Row, identity,
    },
    state::Shared,
    time::Stamp,
    words::{Audited, Layer, Role},
};

/// The recording has the tree, and what is beside it.
const CHOSEN: Scope = Scope::Beside;

/// An agent without a kernel: the rows that the kernel would count are kept here.
pub struct Live {
    pub shared: Shared,
    pub correlator: Correlator,
    rows: HashMap<Row, KernelRow>,
    memory: Memory,
}

impl Live {
    pub fn new(rules: &Arc<Rules>) -> Self {
        let host = Host {
            boot_id: "b".to_owned(),
            ..Host::default()
        };
        let ledger = Ledger::new(Arc::clone(rules), host, usize::MAX);
        let shared = Shared::new(ledger, None, None);
        let memory = Memory::default();
        let argv = vec!["x".to_owned()];
        let begun = shared.record_stream(Box::new(memory.clone()), argv, CHOSEN, rules);
        begun.expect("a thread");
        Self {
            shared,
            correlator: Correlator::new(Arc::clone(rules)),
            rows: HashMap::new(),
            memory,
        }
    }

    pub fn see(&mut self, observation: Observation) {
        if let Observation::Denial(seen) = &observation {
            let tally = Tally {
                count: 0,
                first: seen.time,
                last: seen.time,
            };
            let row = self.rows.entry(*seen.row()).or_insert(KernelRow {
                scope: seen.scope,
                ..KernelRow::new(identity(seen.row()), *seen.row(), tally)
            });
            row.tally.count += 1;
            row.tally.first = row.tally.first.min(seen.time);
            row.tally.last = row.tally.last.max(seen.time);
        }
        self.shared.record(&observation);
        let findings = self.correlator.observe(observation);
        self.settle(findings);
    }

    pub fn settle(&self, findings: Vec<Finding>) {
        for finding in findings {
            self.shared.ledger().enter(&finding);
            self.shared.publish(finding);
        }
    }

    pub fn pass(&mut self, now: Stamp) {
        if self.correlator.is_waiting() {
            self.shared.record_clock(now);
        }
        let findings = self.correlator.expire(now);
        self.settle(findings);
    }

    pub fn count(&self) {
        let rows: Vec<_> = self.rows.values().copied().collect();
        self.shared.ledger().denials.set(&rows, &[]);
    }

    /// Ends it; gives its own report and the recording.
    pub fn end(mut self) -> (Report, String) {
        let findings = self.correlator.finish();
        self.settle(findings);
        self.count();
        let command = Command {
            argv: vec!["x".to_owned()],
            exit_code: 3,
            duration_seconds: 0.1,
        };
        let report = self.shared.ledger().report(CHOSEN, Some(command));
        self.shared.end_stream(&report).expect("memory");
        (report, self.memory.text())
    }
}

pub fn stamp(at: u64) -> Stamp {
    Stamp(1_795_458_347_188_123_456 + at * 1_234_567)
}

fn owner(rule: u16, scope: Scope) -> Owner {
    Owner {
        start: 5,
        tgid: 100 + u32::from(rule),
        rule,
        role: if rule == 0 {
            Role::None
        } else {
            Role::Supervisor
        },
        in_tree: scope == Scope::Tree,
    }
}

pub fn denial(pid: u32, rule: u16, layer: Layer, at: u64, scope: Scope) -> Observation {
    Observation::Denial(Box::new(DenialSeen {
        time: stamp(at),
        event: DenialEvent {
            tgid: pid,
            row: Row {
                owner: owner(rule, scope),
                cgroup: u64::from(scope == Scope::Beside),
                // No text: rows of names that differ there are two.
                comm: Comm([
                    b'x',
                    0xf0 + u8::try_from(pid % 3).unwrap(),
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                ]),
                capability: 21,
                layer,
                audited: Audited::Yes,
                own_credentials: true,
                ..Row::default()
            },
            exe: Some("x".to_owned()),
            ..DenialEvent::default()
        },
        profile: (layer == Layer::Apparmor).then(|| "p".to_owned()),
        container: None,
        count: 1,
        scope,
    }))
}

pub fn record(pid: u32, at: u64, scope: Scope, verdict: Verdict) -> Observation {
    Observation::Audit(Box::new(AuditSeen {
        received: stamp(at),
        source: "netlink".to_owned(),
        record: Record {
            lsm: Some(Lsm::AppArmor),
            verdict: Some(verdict),
            profile: Some(b"p".to_vec().into()),
            comm: Some(b"x\xff".to_vec().into()),
            pid: Some(pid),
            capability: Some(21),
            epoch: Epoch::from_millis(stamp(at).0 / 1_000_000),
            serial: Some(u64::MAX),
            ..Record::default()
        },
        supervisor: None,
        scope,
    }))
}

pub fn episode(pid: u32, rule: u16, at: u64, end: u8, scope: Scope) -> Observation {
    let end = match end {
        0 => None,
        end => Some(EpisodeEnd {
            time: 0,
            after: CapSet(1),
            left: if end == 1 { Left::Exec } else { Left::Exit },
            status: u32::from(end) << 8,
            namespace: 1,
            open: end == 3,
        }),
    };
    Observation::Episode(Box::new(EpisodeSeen {
        first: stamp(at),
        until: stamp(at + 3),
        episode: Episode {
            id: u64::from(pid),
            first: at,
            last_refused: at + 1,
            owner: owner(rule, scope),
            before: CapSet(3),
            after: CapSet(1),
            workload: Executed {
                bounding: CapSet(u64::from(pid % 2)),
                tgid: pid,
                tid: pid,
                exe: Some("true".to_owned()),
            },
            tgid: pid,
            drops: 2,
            refused_raised: 1,
            first_refused: Some(0),
            layer: Layer::Commoncap,
            raised: pid % 2,
            refused: CapSet(1),
            granted: CapSet(2),
            comm: "crun\u{1b}".to_owned(),
            exe: Some("crun".to_owned()),
            ..Episode::default()
        },
        end,
        profile: None,
        container: None,
        version: None,
        exe_uid: Some(0),
        scope,
    }))
}
