//! What is written and what is read back.

use std::{
    io,
    sync::{Mutex, PoisonError},
};

use proptest::prelude::*;

use super::*;
use crate::{
    correlate::{Correlator, Tally},
    finding::{AuditEvent, Command, Event, EventKind, Exit, Fate, Namespace, Verdict},
    ledger::KernelRow,
    observation::{Comm, DenialEvent, DenialSeen, Observation, Owner, Row, identity},
    outputs::report::text,
    state::{
        Shared,
        stream::{Begin, Lines},
    },
    time::Stamp,
    words::Layer,
};

/// A file that a test can read while it is written.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8(bytes.clone()).expect("JSON is UTF-8")
    }
}

impl io::Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        memory.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines for Memory {
    fn begin(&mut self) -> io::Result<Begin> {
        let begun = !self.text().is_empty();
        Ok(if begun { Begin::Same } else { Begin::New })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::Write::write(self, bytes)
    }

    fn take_back(&mut self, _: u64) -> bool {
        false
    }

    fn reopen(&mut self) {}

    fn name(&self) -> String {
        "memory".to_owned()
    }
}

/// What the recordings here are of.
const CHOSEN: Scope = Scope::Beside;

/// What may happen to an agent.
#[derive(Clone, Debug)]
enum Happens {
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

fn happens() -> impl Strategy<Value = Happens> {
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
struct Live {
    shared: Shared,
    correlator: Correlator,
    rows: Vec<(Row, Tally)>,
    /// An agent that runs no command follows no tree.
    has_tree: bool,
}

impl Live {
    fn new(has_tree: bool) -> Self {
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
fn record(happenings: Vec<Happens>, argv: Option<Vec<String>>) -> (Report, String) {
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

fn replay(stream: &str) -> (Report, Option<String>) {
    let (report, error) = report(stream.as_bytes(), "x", Arc::new(Rules::default()));
    (report, error.map(|error| format!("{error:#}")))
}

proptest! {
    #[test]
    fn the_report_is_the_same_to_the_letter(
        happenings in prop::collection::vec(happens(), 0..60),
        argv in prop::option::of(prop::collection::vec("\\PC{0,5}", 1..3)),
    ) {
        let (live, stream) = record(happenings, argv);
        let (replayed, error) = replay(&stream);
        prop_assert_eq!(error, None);
        let json = |report: &Report| serde_json::to_string_pretty(report).expect("JSON");
        prop_assert_eq!(json(&replayed), json(&live));
        prop_assert_eq!(text::render(&replayed, false, None), text::render(&live, false, None));
    }

    #[test]
    fn a_stream_cut_anywhere_is_reported_and_read_so_far(
        happenings in prop::collection::vec(happens(), 1..20),
        cut in any::<prop::sample::Index>(),
    ) {
        let (_, stream) = record(happenings, None);
        // The line end after the last line is no loss.
        let at = cut.index(stream.len() - 1);
        let at = (0..=at).rev().find(|at| stream.is_char_boundary(*at)).unwrap_or(0);
        let (report, error) = replay(&stream[..at]);
        let error = error.expect("something is missing");
        let line = stream[..at].lines().count().max(1);
        let whole = stream[..at].is_empty() || stream[..at].ends_with('\n');
        if whole {
            prop_assert!(error.contains("cut short"), "{}", error);
        } else if !stream[at..].starts_with('\n') {
            prop_assert!(error.contains(&format!("line {line}: ")), "{}", error);
        }
        if line > 2 {
            prop_assert_eq!(report.host.boot_id, "b");
        }
    }

    #[test]
    fn any_bytes_are_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = report(&bytes[..], "x", Arc::new(Rules::default()));
    }
}

const LOSS: &str = r#"{"schema":"capwatch.event/1","time":"2026-11-23T18:25:47.188123Z","kind":"loss","stage":"kernel","reason":"rows_full","count":2}"#;

#[test]
fn a_bad_line_is_named_and_the_others_are_read() {
    for (bad, wanted) in [
        (
            LOSS.replace("event/1", "event/2"),
            "line 2: its schema is \"capwatch.event/2\"",
        ),
        (
            LOSS.replace(":2}", ":\"2\"}"),
            "line 2: invalid type: string \"2\", expected u64",
        ),
        (
            LOSS.replace("\"count\":2", "\"counts\":2"),
            "line 2: missing field `count`",
        ),
        (
            LOSS.replace("loss\"", "lost\""),
            "line 2: no line of \"capwatch.event/1\" has the kind \"lost\"",
        ),
        (LOSS.replace("2026-", "26-"), "line 2: "),
        (
            LOSS[..70].to_owned(),
            "line 2: EOF while parsing a string at byte 70",
        ),
        ("[]".to_owned(), "line 2: "),
        ("\u{0}".to_owned(), "line 2: expected value"),
    ] {
        let (report, error) = replay(&format!("{LOSS}\n{bad}\n\n{LOSS}\n"));
        let error = error.expect("a bad line");
        assert!(error.contains(wanted), "{bad}: {error}");
        assert_eq!(report.lost["rows_full"], 4, "{bad}");
    }
    let (_, error) = replay(&format!("{LOSS}\nx\ny\n"));
    assert!(error.expect("bad lines").ends_with("(2 lines like this)"));
}

/// A loss is a lapse also where the stream was cut short, or says nothing of sight
/// since an older capwatch wrote it; what could not be read is one too.
#[test]
fn what_was_not_seen_is_still_known() {
    let lapses = |report: &Report| -> Vec<(String, u64)> {
        let lapses = report.sight.reasons.iter();
        lapses
            .map(|lapse| (lapse.reason.clone(), lapse.count))
            .collect()
    };
    let (report, _) = replay(&format!("{LOSS}\n"));
    assert_eq!(lapses(&report), [("rows_full".to_owned(), 2)]);
    assert!(!report.sight.complete);
    let (report, _) = replay(&format!("{LOSS}\nx\ny\n"));
    assert!(lapses(&report).contains(&("lines_unread".to_owned(), 2)));

    let happenings = vec![
        Happens::Loss {
            reason: "episodes_full",
            count: 3,
        },
        Happens::Look,
        Happens::Checkpoint,
    ];
    let (live, stream) = record(happenings, None);
    assert_eq!(lapses(&live), [("episodes_full".to_owned(), 3)]);
    let cut: Vec<_> = stream.lines().collect();
    let (report, _) = replay(&cut[..cut.len() - 1].join("\n"));
    assert_eq!(report.sight, live.sight, "of the last checkpoint");
    let (report, _) = replay(&stream);
    assert_eq!(report.sight, live.sight);
}

#[test]
fn of_several_recordings_the_last_is_reported() {
    let deny = |row| Happens::Denial {
        row,
        at: 0,
        scope: Scope::Host,
    };
    let (_, first) = record(vec![deny(1), deny(2)], None);
    let (live, second) = record(vec![deny(3)], None);
    let (replayed, error) = replay(&(first + &second));
    assert_eq!(error, None);
    assert_eq!(
        text::render(&replayed, false, None),
        text::render(&live, false, None)
    );
    assert_eq!(replayed.denials.len(), 1);
}

#[test]
fn a_cut_streams_denials_count_from_the_last_checkpoint_on() {
    let deny = |at: u32| Happens::Denial {
        row: 1,
        at: at * 1_000,
        scope: Scope::Host,
    };
    let (_, stream) = record(
        vec![deny(1), deny(2), Happens::Checkpoint, deny(3), deny(4)],
        None,
    );
    let cut: Vec<_> = stream
        .lines()
        .filter(|line| !line.contains("\"end\""))
        .collect();
    // The last state is the one that the end wrote.
    let cut = cut[..cut.len() - 1].join("\n") + "\n";
    let (report, error) = replay(&cut);
    assert!(error.expect("cut short").contains("cut short after line"));
    assert_eq!(report.denials[0].count, 4);
}

#[test]
fn what_the_disk_refuses_is_reported_at_the_end() {
    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let live = Live::new(true);
    let argv = vec!["x".to_owned()];
    let rules = Rules::default();
    let begun = live
        .shared
        .record_stream(Box::new(Full), argv, CHOSEN, &rules);
    begun.expect("a thread");
    let report = live.shared.ledger().report(Scope::Host, None);
    let error = live.shared.end_stream(&report).expect_err("a full disk");
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}
