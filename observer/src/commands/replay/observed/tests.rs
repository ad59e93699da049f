use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use proptest::prelude::*;

use super::*;
use crate::{
    audit::{Epoch, Lsm, Record, Verdict},
    caps::CapSet,
    correlate::Finding,
    finding::Command,
    observation::{
        AuditSeen, Comm, DenialEvent, DenialSeen, Episode, EpisodeEnd, EpisodeSeen, Executed, Left,
        Observation, Owner,
    },
    sight::LINES_UNREAD,
    sources::recorded::{Line as Recorded1, Recorded},
    state::Shared,
    words::{Audited, Layer, Role},
};

/// What is written, for anyone who asks.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8(bytes.clone()).expect("JSON")
    }
}

impl io::Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An agent without a kernel: the rows that the kernel would count are kept here.
struct Live {
    shared: Shared,
    correlator: Correlator,
    rows: HashMap<Row, KernelRow>,
    memory: Memory,
}

/// The recording has the tree, and what is beside it.
const CHOSEN: Scope = Scope::Beside;

fn stamp(at: u64) -> Stamp {
    Stamp(1_795_458_347_188_123_456 + at * 1_234_567)
}

impl Live {
    fn new(rules: &Arc<Rules>) -> Self {
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

    fn see(&mut self, observation: Observation) {
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

    fn settle(&self, findings: Vec<Finding>) {
        for finding in findings {
            self.shared.ledger().enter(&finding);
            self.shared.publish(finding);
        }
    }

    fn pass(&mut self, now: Stamp) {
        if self.correlator.is_waiting() {
            self.shared.record_clock(now);
        }
        let findings = self.correlator.expire(now);
        self.settle(findings);
    }

    fn count(&self) {
        let rows: Vec<_> = self.rows.values().copied().collect();
        self.shared.ledger().denials.set(&rows, &[]);
    }

    /// Ends it; gives its own report and the recording.
    fn end(mut self) -> (Report, String) {
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

fn replay(stream: &str, given: &Arc<Rules>) -> Report {
    let mut lines = Recorded::new(stream.as_bytes());
    let mut observed = Observed::new(Arc::clone(given));
    while let Some(line) = lines.next_line().expect("memory") {
        let Recorded1::Seen(line) = line.expect("a line") else {
            panic!("a line of another version");
        };
        observed.take(*line).expect("a line that can be used");
    }
    observed.report().0
}

fn json(report: &Report) -> String {
    serde_json::to_string_pretty(report).expect("JSON")
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

fn denial(pid: u32, rule: u16, layer: Layer, at: u64, scope: Scope) -> Observation {
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

fn record(pid: u32, at: u64, scope: Scope, verdict: Verdict) -> Observation {
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

fn episode(pid: u32, rule: u16, at: u64, end: u8, scope: Scope) -> Observation {
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

/// What happens, each so many steps after what was before it.
#[derive(Clone, Debug)]
enum Happens {
    Denial(u32, u16, Layer, Scope),
    Record(u32, Verdict, Scope),
    Episode(u32, u16, u8, Scope),
    Pass,
    Count,
    Loss(u64),
}

fn happens() -> impl Strategy<Value = (u64, Happens)> {
    let scope = || prop::sample::select(Scope::ALL.to_vec());
    let layer = prop::sample::select(vec![Layer::Commoncap, Layer::Apparmor, Layer::Lsm]);
    let verdict = prop::sample::select(vec![Verdict::Denied, Verdict::Allowed]);
    let what = prop_oneof![
        4 => (1..9_u32, 0..4_u16, layer, scope())
            .prop_map(|(pid, rule, layer, scope)| Happens::Denial(pid, rule, layer, scope)),
        3 => (1..9_u32, verdict, scope())
            .prop_map(|(pid, verdict, scope)| Happens::Record(pid, verdict, scope)),
        3 => (1..9_u32, 0..4_u16, 0..4_u8, scope())
            .prop_map(|(pid, rule, end, scope)| Happens::Episode(pid, rule, end, scope)),
        2 => Just(Happens::Pass),
        1 => Just(Happens::Count),
        1 => (1..9_u64).prop_map(Happens::Loss),
    ];
    let apart = prop_oneof![4 => 0..9_u64, 1 => 0..2_500_u64];
    (apart, what)
}

proptest! {
    #[test]
    fn a_recording_of_what_was_seen_gives_the_report_to_the_letter(
        happenings in prop::collection::vec(happens(), 0..60),
    ) {
        let rules = Arc::new(Rules::load(None).expect("the catalogue"));
        let mut live = Live::new(&rules);
        let mut at = 0;
        for (apart, what) in happenings {
            at += apart;
            match what {
                Happens::Denial(pid, rule, layer, scope) => {
                    live.see(denial(pid, rule, layer, at, scope));
                }
                Happens::Record(pid, verdict, scope) => live.see(record(pid, at, scope, verdict)),
                Happens::Episode(pid, rule, end, scope) => {
                    live.see(episode(pid, rule, at, end, scope));
                }
                Happens::Pass => live.pass(stamp(at)),
                Happens::Count => {
                    live.count();
                    live.shared.checkpoint_stream();
                }
                Happens::Loss(count) => live.shared.lose("kernel", "denial_ring_full", count),
            }
        }
        let (report, stream) = live.end();
        prop_assert_eq!(json(&replay(&stream, &rules)), json(&report));
    }
}

/// Whose record it is may be known only by the event that comes after it: the process
/// is gone by then.
#[test]
fn a_record_whose_process_is_gone_is_recorded_once_an_event_says_whose_it_was() {
    let rules = Arc::new(Rules::load(None).unwrap());
    for record_first in [true, false] {
        let mut live = Live::new(&rules);
        let seen = [
            record(7, 1, Scope::Host, Verdict::Denied),
            denial(7, 1, Layer::Apparmor, 2, Scope::Tree),
        ];
        let in_order: Vec<_> = if record_first {
            seen.into_iter().collect()
        } else {
            seen.into_iter().rev().collect()
        };
        live.see(record(8, 1, Scope::Host, Verdict::Denied));
        for observation in in_order {
            live.see(observation);
        }
        let (report, stream) = live.end();
        assert_eq!(report.audit.matched, 1, "{record_first}");
        let records = stream.matches("\"audit\":{\"received\"").count();
        assert_eq!(
            records, 1,
            "another's record is none of the command's: {stream}"
        );
        assert_eq!(json(&replay(&stream, &rules)), json(&report));
    }
}

#[test]
fn the_recordings_own_rules_hold_unless_one_of_the_same_name_is_given() {
    let typed = |note: &str| {
        let mut rules = Rules::load(None).unwrap();
        let text =
            format!("[[supervisor]]\nname = \"ours\"\nexe = [\"ours\"]\nnote = \"{note}\"\n");
        rules.add(&text, "user.toml").unwrap();
        Arc::new(rules)
    };
    let rules = typed("as it was");
    let number = rules.by_basename(b"ours").unwrap().id;
    let mut live = Live::new(&rules);
    live.see(episode(8, number, 1, 2, Scope::Tree));
    let (report, stream) = live.end();
    let judged = &report.episodes[0];
    assert_eq!(judged.supervisor.as_deref(), Some("ours"));
    assert!(
        judged.explanation.contains("as it was"),
        "{}",
        judged.explanation
    );

    let elsewhere = Arc::new(Rules::load(None).unwrap());
    assert_eq!(json(&replay(&stream, &elsewhere)), json(&report));
    let mended = replay(&stream, &typed("mended"));
    assert!(mended.episodes[0].explanation.contains("mended"));
}

#[test]
fn a_kind_that_is_written_in_another_form_is_no_end_of_the_recording() {
    let rules = Arc::new(Rules::default());
    let mut live = Live::new(&rules);
    live.see(episode(8, 0, 1, 2, Scope::Tree));
    let (report, stream) = live.end();
    let broken = stream.replacen("\"kind\":\"observed\"", "\"kind\":\"unknown\"", 1);
    let (replayed, error) = super::super::stream::report(broken.as_bytes(), "x", rules);
    assert!(format!("{:#}", error.unwrap()).contains("line 3: "));
    assert!(replayed.episodes.is_empty() && report.episodes.len() == 1);
    let lines_unread = |report: &Report| {
        report
            .sight
            .reasons
            .iter()
            .any(|lapse| lapse.reason == LINES_UNREAD)
    };
    assert!(lines_unread(&replayed));
}
