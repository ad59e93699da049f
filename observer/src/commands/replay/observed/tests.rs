//! A recording of observations gives the report of the agent that wrote it.

mod live;

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::{
    audit::Verdict,
    sight::LINES_UNREAD,
    sources::recorded::{Line as Recorded1, Recorded},
    words::Layer,
};
use live::{Live, denial, episode, record, stamp};

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
