use super::*;

const CHOWN: CapSet = CapSet(1);

fn judged(course: Course) -> Verdict {
    verdict(&course).0
}

#[test]
fn nothing_refused_is_ok_and_lowered_bits_are_harmless() {
    for now in [Now::Running, Now::CarriedOn, Now::Over] {
        let course = Course {
            now,
            ..Course::default()
        };
        assert_eq!(judged(course), Verdict::Ok);
        let lowered = Course {
            refused_lowered: 42,
            ..course
        };
        assert_eq!(judged(lowered), Verdict::Harmless);
    }
}

#[test]
fn without_an_exec_a_refused_capability_is_judged_by_what_became_of_the_process() {
    let refused = |now| Course {
        refused: CHOWN,
        left: CHOWN,
        now,
        ..Course::default()
    };
    assert_eq!(verdict(&refused(Now::Over)), (Verdict::Fatal, Fate::Exit));
    assert_eq!(
        verdict(&refused(Now::Running)),
        (Verdict::Pending, Fate::Running)
    );
    assert_eq!(
        verdict(&refused(Now::CarriedOn)),
        (Verdict::Degraded, Fate::CarriedOn)
    );
}

#[test]
fn whoever_execs_with_it_decides_whatever_becomes_of_the_others() {
    for now in [Now::Running, Now::CarriedOn, Now::Over] {
        let course = Course {
            refused: CHOWN,
            launched: Some(CHOWN),
            left: CHOWN,
            clean: true,
            now,
            ..Course::default()
        };
        assert_eq!(verdict(&course), (Verdict::Degraded, Fate::Exec));
    }
}

#[test]
fn a_refused_capability_that_is_gone_in_the_end_is_ok() {
    let course = Course {
        refused: CHOWN,
        clean: true,
        now: Now::Over,
        ..Course::default()
    };
    assert_eq!(verdict(&course), (Verdict::Ok, Fate::Exec));
}

#[test]
fn one_that_served_and_was_stopped_had_carried_on() {
    for (status, good) in [
        (0, true),
        (0x0100, false),
        (15, true),
        (2, true),
        (1, true),
        (9, false),
        (11, false),
    ] {
        assert_eq!(in_good_order(status), good, "{status:#x}");
    }
}

#[test]
fn a_wait_status_is_a_code_or_a_signal() {
    assert_eq!(
        exit(0x0100),
        Exit {
            code: Some(1),
            signal: None
        }
    );
    assert_eq!(
        exit(9),
        Exit {
            code: None,
            signal: Some(9)
        }
    );
    assert_eq!(
        exit(0x8b),
        Exit {
            code: None,
            signal: Some(11)
        }
    );
}
