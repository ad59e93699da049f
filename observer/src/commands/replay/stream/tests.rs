//! What is written and what is read back.

mod live;

use std::io;

use proptest::prelude::*;

use super::*;
use crate::outputs::report::text;
use live::{CHOSEN, Happens, Live, happens, record};

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
