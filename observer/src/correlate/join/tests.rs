use super::*;
use crate::{
    audit::{Parsed, parse_line},
    observation::DenialEvent,
};

const BASE_MS: u64 = 1_795_460_062_000;

fn denial(tgid: u32, capability: u8, profile: &str, ms: u64) -> DenialSeen {
    DenialSeen {
        time: Stamp((BASE_MS + ms) * 1_000_000),
        event: DenialEvent {
            tgid,
            row: Row {
                capability,
                layer: Layer::Apparmor,
                ..Row::default()
            },
            ..DenialEvent::default()
        },
        profile: Some(profile.to_owned()),
        container: None,
        count: 1,
        scope: Scope::Host,
    }
}

fn record(pid: u32, capability: u32, profile: &str, ms: u64) -> AuditSeen {
    let line = format!(
        "audit: type=1400 audit({}.{:03}:9): apparmor=\"DENIED\" operation=\"capable\" \
         class=\"cap\" profile=\"{profile}\" pid={pid} comm=\"x\" capability={capability}  capname=\"y\"",
        (BASE_MS + ms) / 1_000,
        (BASE_MS + ms) % 1_000
    );
    let Parsed::Record(record) = parse_line(line.as_bytes()) else {
        panic!("not a record: {line}");
    };
    AuditSeen {
        received: Stamp((BASE_MS + ms) * 1_000_000),
        source: "netlink".to_owned(),
        record: record.into_owned(),
        supervisor: None,
        scope: Scope::Host,
    }
}

#[test]
fn an_event_and_its_record_meet_in_either_order() {
    let mut join = Join::default();
    assert!(join.event(&denial(7, 21, "p", 5), None).is_empty());
    assert!(join.record(record(7, 21, "p", 2))[0].row.is_some());

    assert!(join.record(record(7, 21, "p", 102)).is_empty());
    assert!(join.event(&denial(7, 21, "p", 105), None)[0].row.is_some());
}

#[test]
fn time_alone_or_profile_alone_joins_nothing() {
    let mut join = Join::default();
    join.event(&denial(7, 21, "p", 5), None);
    for other in [
        record(8, 21, "p", 2),
        record(7, 8, "p", 2),
        record(7, 21, "q", 2),
        record(7, 21, "p", 50),
    ] {
        assert!(join.record(other).is_empty());
    }
    let late = Stamp((BASE_MS + 10_000) * 1_000_000);
    let settled = join.expire(late);
    assert_eq!(settled.len(), 4);
    assert!(settled.iter().all(|joined| joined.row.is_none()));
}

#[test]
fn a_member_of_a_stack_is_known() {
    let mut join = Join::default();
    join.event(&denial(7, 21, "a//&b", 5), None);
    assert!(join.record(record(7, 21, "b", 2))[0].row.is_some());
}

fn allowed(pid: u32, profile: &str, ms: u64) -> AuditSeen {
    let mut seen = record(pid, 21, profile, ms);
    seen.record.verdict = Some(Verdict::Allowed);
    seen
}

/// 5.4 to 6.12: both profiles of a stack are logged, in the order of the stack.
#[test]
fn the_record_that_says_denied_is_the_events() {
    let mut join = Join::default();
    join.event(&denial(7, 21, "complain//&nocap", 5), None);
    assert!(join.record(allowed(7, "complain", 2)).is_empty());
    let joined = join.record(record(7, 21, "nocap", 2));
    assert!(joined[0].row.is_some() && !joined[0].contradicted);
    let rest = join.finish();
    assert!(rest.len() == 1 && rest[0].row.is_none());
}

/// Since 6.14 the second one is taken for a duplicate.
#[test]
fn a_refusal_that_the_log_calls_allowed_is_a_refusal() {
    for record_first in [false, true] {
        let mut join = Join::default();
        if record_first {
            assert!(join.record(allowed(7, "complain", 2)).is_empty());
        }
        assert!(
            join.event(&denial(7, 21, "complain//&nocap", 5), None)
                .is_empty()
        );
        if !record_first {
            assert!(join.record(allowed(7, "complain", 2)).is_empty());
        }
        let settled = join.expire(Stamp((BASE_MS + 2_100) * 1_000_000));
        assert_eq!(settled.len(), 1);
        assert!(settled[0].row.is_some() && settled[0].contradicted);
        assert!(join.finish().is_empty());
    }
}

#[test]
fn what_was_allowed_claims_no_others_event() {
    let mut join = Join::default();
    join.event(&denial(7, 21, "nocap", 5), None);
    join.record(allowed(7, "complain", 2));
    join.record(allowed(8, "nocap", 2));
    assert!(join.finish().iter().all(|joined| joined.row.is_none()));
}

/// Each AVC is logged, and a row is reported once a second.
#[test]
fn a_second_selinux_denial_within_a_second_is_matched_too() {
    let selinux = |ms| {
        let mut seen = denial(7, 21, "p", ms);
        (seen.event.row.layer, seen.profile) = (Layer::Selinux, None);
        seen.event.row.comm.0[..1].copy_from_slice(b"x");
        seen
    };
    let logged = |pid, ms| {
        let mut seen = record(pid, 21, "p", ms);
        seen.record.lsm = Some(Lsm::SeLinux);
        seen
    };
    let mut join = Join::default();
    join.event(&selinux(5), None);
    assert!(join.record(logged(7, 2))[0].row.is_some());
    // The same process again, and another one of its name.
    for (pid, ms) in [(7, 300), (8, 900)] {
        assert!(join.record(logged(pid, ms)).is_empty());
    }
    // Of what came two seconds later nothing was reported: a hook missed it.
    assert!(join.record(logged(7, 2_500)).is_empty());
    let settled = join.expire(Stamp((BASE_MS + 10_000) * 1_000_000));
    let matched: Vec<_> = settled.iter().map(|joined| joined.row.is_some()).collect();
    assert_eq!(matched, [true, true, false]);
    assert!(join.reported.is_empty());
}

#[test]
fn of_several_events_the_latest_is_taken_and_that_is_said() {
    let mut join = Join::default();
    join.event(&denial(7, 21, "p", 3), None);
    join.event(&denial(7, 21, "p", 5), None);
    let joined = &join.record(record(7, 21, "p", 2))[0];
    assert!(joined.row.is_some() && joined.ambiguous);
    assert!(!join.record(record(7, 21, "p", 2))[0].ambiguous);
}

#[test]
fn what_waits_is_bounded_and_nothing_is_lost_silently() {
    let mut join = Join::default();
    let mut settled = 0;
    for pid in 0..10_000 {
        settled += join.record(record(pid, 21, "p", 2)).len();
    }
    assert_eq!(settled, 10_000 - MAX_WAITING);
    assert_eq!(join.finish().len(), MAX_WAITING);
}
