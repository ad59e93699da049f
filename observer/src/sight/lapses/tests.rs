use super::*;
use crate::sight::{
    CHECKS_MISSED, DROPS_MISSED, HOOK_DOWN, RECORDS_LOST, SOURCE_DOWN, advice, hides, reason_of,
    reason_of_miss,
};

const SECOND: u64 = 1_000_000_000;

fn at(seconds: u64) -> Stamp {
    Stamp(seconds * SECOND)
}

#[test]
fn a_counter_that_grows_is_a_lapse_with_its_span_and_how_much() {
    let mut lapses = Lapses::default();
    lapses.look(at(10), [(DROPS_MISSED, 0)], []);
    assert_eq!(lapses.present(), Sight::default());

    lapses.look(at(11), [(DROPS_MISSED, 3)], []);
    lapses.look(at(12), [(DROPS_MISSED, 7)], []);
    let sight = lapses.present();
    assert!(!sight.complete);
    let [lapse] = sight.reasons.as_slice() else {
        panic!("{sight:?}");
    };
    // What the look at 11 s found was lost after the one at 10 s.
    assert_eq!((lapse.since, lapse.until, lapse.count), (at(10), None, 7));
    assert!(lapses.gauges()[DROPS_MISSED]);

    lapses.look(at(72), [(DROPS_MISSED, 7)], []);
    let sight = lapses.present();
    assert!(sight.complete, "it is over, and still reported");
    assert_eq!(sight.reasons[0].until, Some(at(12)));
    assert!(!lapses.gauges()[DROPS_MISSED]);
    assert!(!lapses.overall().complete, "a report covers that time too");
}

#[test]
fn a_lapse_that_comes_again_is_another_one() {
    let mut lapses = Lapses::default();
    for (second, total) in [(1, 0), (2, 5), (100, 5), (101, 6)] {
        lapses.look(at(second), [("episodes_full", total)], []);
    }
    let counts: Vec<_> = lapses.present().reasons.iter().map(|l| l.count).collect();
    assert_eq!(counts, [5, 1]);
}

#[test]
fn a_hook_is_down_for_as_long_as_it_is() {
    let mut lapses = Lapses::default();
    lapses.look(at(1), [], [(HOOK_DOWN, 2), (SOURCE_DOWN, 0)]);
    assert_eq!(lapses.present().reasons[0].count, 2);
    lapses.look(at(2), [], [(HOOK_DOWN, 1)]);
    lapses.look(at(3), [], [(HOOK_DOWN, 0)]);
    let [lapse] = &lapses.present().reasons[..] else {
        panic!("one lapse");
    };
    assert_eq!((lapse.since, lapse.until), (at(1), Some(at(3))));
}

#[test]
fn what_is_kept_is_bounded_and_nothing_is_forgotten() {
    let mut lapses = Lapses::default();
    let mut total = 0;
    for round in 0..1_000 {
        total += 2;
        lapses.look(at(round * 200), [(RECORDS_LOST, total)], []);
        lapses.look(at(round * 200 + 100), [(RECORDS_LOST, total)], []);
    }
    let sight = lapses.overall();
    assert!(sight.reasons.len() <= MAX_PAST, "{}", sight.reasons.len());
    let counts: u64 = sight.reasons.iter().map(|lapse| lapse.count).sum();
    assert_eq!(counts, total);
    assert_eq!(sight.reasons[0].since, at(0));
}

#[test]
fn reasons_that_a_stream_invents_are_bounded() {
    let mut lapses = Lapses::default();
    for number in 0..1_000 {
        let reason = format!("invented_{number}");
        lapses.look(at(number * 100), [(reason.as_str(), 1)], []);
    }
    assert!(lapses.overall().reasons.len() <= MAX_PAST + 1);
    assert!(lapses.gauges().len() <= MAX_PAST + MAX_REASONS + REASONS.len());
}

#[test]
fn what_costs_details_alone_hides_nothing() {
    for reason in ["drops_missed", "episodes_full", "hook_down", "anything_new"] {
        assert!(hides(reason), "{reason}");
    }
    for reason in ["rows_full", "events_lost", "source_down", "lines_unwritten"] {
        assert!(!hides(reason), "{reason}");
    }
    let unknown = advice("anything_new");
    for loss in crate::words::Loss::ALL {
        let reason = reason_of("kernel", loss.reason());
        assert_ne!(advice(reason), unknown, "{reason} has no sentence");
    }
    assert_eq!(reason_of_miss("drop_exit", true), DROPS_MISSED);
    assert_eq!(reason_of_miss("cap_capable_exit", true), CHECKS_MISSED);
    assert_eq!(
        reason_of_miss("cap_capable_tracepoint", false),
        DROPS_MISSED
    );
    assert_eq!(reason_of("kernel", "tasks_full"), "tree_full");
    assert_eq!(reason_of("audit", "kernel"), RECORDS_LOST);
    assert_eq!(reason_of("lookup", "lookups_late"), "lookups_late");
}

#[test]
fn a_sight_that_was_reported_comes_back() {
    let mut lapses = Lapses::default();
    lapses.look(at(1), [], [(HOOK_DOWN, 1)]);
    lapses.look(at(2), [(CHECKS_MISSED, 4)], [(HOOK_DOWN, 0)]);
    let overall = lapses.overall();
    let mut other = Lapses::default();
    other.restore(&overall);
    assert_eq!(other.overall(), overall);
}
