use super::*;
use crate::finding::Verdict as Worth;

/// No process is there any more.
struct Gone;

impl Host for Gone {
    fn supervisor(&self, _: &str, _: Option<&str>) -> Option<String> {
        None
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

fn call(deed: Deed, error: i32, serial: u64) -> Call {
    Call {
        deed,
        error: Some(error),
        pid: Some(7),
        ppid: Some(6),
        comm: Some(b"box"[..].into()),
        exe: Some(b"/opt/box"[..].into()),
        epoch: Epoch::from_millis(1_795_458_347_188 + serial),
        serial: Some(serial),
    }
}

fn aside(calls: &mut Calls, call: Call) {
    calls.aside(&Aside::Call(call), &Gone);
}

fn finished(calls: Calls) -> Vec<Episode> {
    let (episodes, _) = calls.finish(&Gone);
    episodes.into_iter().map(|(_, episode)| episode).collect()
}

fn denied(serial: u64) -> Record<'static> {
    Record {
        lsm: Some(Lsm::AppArmor),
        verdict: Some(Verdict::Denied),
        capability: Some(caps::SETPCAP),
        profile: Some(b"jail"[..].into()),
        epoch: Epoch::from_millis(1_795_458_347_188 + serial),
        serial: Some(serial),
        ..Record::default()
    }
}

#[test]
fn a_refusal_alone_is_commoncaps_and_beside_a_record_the_modules() {
    for (record_first, record_last, layer) in [
        (false, false, "commoncap"),
        (true, false, "apparmor"),
        (false, true, "apparmor"),
    ] {
        let mut calls = Calls::default();
        if record_first {
            calls.record(&denied(1));
        }
        aside(&mut calls, call(Deed::Drop(21), 1, 1));
        if record_last {
            calls.record(&denied(1));
        }
        aside(&mut calls, call(Deed::Drop(22), 1, 2));
        let [episode] = &finished(calls)[..] else {
            panic!("one");
        };
        assert_eq!(episode.layer.as_deref(), Some(layer));
        assert_eq!((episode.drops, episode.refused_raised), (2, 2));
        assert_eq!(episode.verdict, Worth::Pending);
        assert_eq!(episode.residual, ["sys_admin", "sys_boot"]);
    }
}

#[test]
fn what_came_of_it_decides_on_the_verdict() {
    let of = |all: &[(Deed, i32)]| {
        let mut calls = Calls::default();
        for (serial, (deed, error)) in all.iter().enumerate() {
            aside(&mut calls, call(*deed, *error, serial as u64));
        }
        finished(calls)[0].verdict
    };
    assert_eq!(of(&[(Deed::Drop(21), 0)]), Worth::Ok);
    assert_eq!(of(&[(Deed::Drop(63), EINVAL)]), Worth::Ok);
    assert_eq!(of(&[(Deed::Drop(21), 1), (Deed::Drop(21), 0)]), Worth::Ok);
    assert_eq!(of(&[(Deed::Drop(21), 1), (Deed::Exec, 0)]), Worth::Degraded);
    assert_eq!(of(&[(Deed::Drop(21), 1), (Deed::Exec, 2)]), Worth::Pending);
}

#[test]
fn a_number_used_again_is_another_process_and_all_is_bounded() {
    let mut calls = Calls::default();
    for serial in 0..3 {
        aside(&mut calls, call(Deed::Drop(21), 1, serial * 100_000));
    }
    assert_eq!(finished(calls).len(), 3);
    let mut calls = Calls::default();
    for serial in 0..10_000 {
        let mut one = call(Deed::Drop(21), 1, serial);
        one.pid = u32::try_from(serial).ok();
        aside(&mut calls, one);
    }
    assert_eq!(calls.unlisted, 10_000 - MAX_KEPT as u64);
    assert!(calls.waiting.known.len() <= MAX_KEPT);
    assert_eq!(finished(calls).len(), MAX_KEPT);
}

/// A process that is still there.
struct There(Alive);

impl Host for There {
    fn alive(&self, _: u32, _: Stamp) -> Option<Alive> {
        Some(self.0.clone())
    }

    fn supervisor(&self, _: &str, _: Option<&str>) -> Option<String> {
        None
    }

    fn cgroup(&self, _: u32, _: Stamp) -> u64 {
        0
    }

    fn place(&self, _: u64) -> (Option<Arc<Container>>, Scope) {
        (None, Scope::Host)
    }
}

/// So long after the first call.
fn after(seconds: u64) -> Stamp {
    Stamp(1_795_458_347_188_000_000 + seconds * 1_000_000_000)
}

#[test]
fn a_live_log_s_episodes_end_with_what_became_of_the_process() {
    let refused = || {
        let mut calls = Calls::default();
        aside(&mut calls, call(Deed::Drop(21), 1, 1));
        aside(&mut calls, call(Deed::Drop(21), 1, 1));
        calls
    };
    let of = |calls: &mut Calls, seconds: u64, host: &dyn Fn() -> Option<Alive>| {
        let (episodes, _) = match host() {
            Some(alive) => calls.settle(after(seconds), &There(alive)),
            None => calls.settle(after(seconds), &Gone),
        };
        let episodes = episodes.into_iter();
        let outcomes = episodes.map(|(_, one)| (one.verdict, one.fate, one.drops));
        outcomes.collect::<Vec<_>>()
    };
    let gone = || None;
    let same = || {
        Some(Alive {
            exe: Some("box".to_owned()),
            bounding: Some(CapSet(u64::MAX)),
        })
    };
    let other = || {
        Some(Alive {
            exe: Some("web".to_owned()),
            ..Alive::default()
        })
    };
    let without = || {
        Some(Alive {
            exe: Some("web".to_owned()),
            bounding: Some(CapSet::EMPTY),
        })
    };
    // Two sources reported the same call, and what belongs to it may still come.
    let mut calls = refused();
    assert!(of(&mut calls, 0, &gone).is_empty());
    assert_eq!(of(&mut calls, 2, &gone), [(Worth::Degraded, Fate::Exit, 1)]);
    assert!(calls.is_empty());
    let mut calls = refused();
    let mut exec = call(Deed::Exec, 0, 2);
    exec.pid = Some(99);
    aside(&mut calls, exec);
    assert_eq!(of(&mut calls, 2, &gone), [(Worth::Fatal, Fate::Exit, 1)]);
    let mut calls = refused();
    assert_eq!(
        of(&mut calls, 2, &same),
        [(Worth::Pending, Fate::Running, 1)]
    );
    assert!(of(&mut calls, 3, &same).is_empty(), "reported once");
    assert_eq!(
        of(&mut calls, 11, &same),
        [(Worth::Degraded, Fate::CarriedOn, 1)]
    );
    assert_eq!(
        of(&mut refused(), 2, &other),
        [(Worth::Degraded, Fate::Exec, 1)]
    );
    assert_eq!(
        of(&mut refused(), 2, &without),
        [(Worth::Harmless, Fate::Exec, 1)]
    );
}

#[test]
fn other_records_of_an_event_name_the_programs() {
    let title = |program: &str, effective, serial| {
        Aside::Title(Title {
            program: (!program.is_empty()).then(|| program.as_bytes().to_vec().into()),
            effective,
            epoch: Epoch::from_millis(1_795_458_347_188 + serial),
            serial: Some(serial),
        })
    };
    for title_first in [false, true] {
        let mut calls = Calls::default();
        // Executed with SETPCAP, by its file's capabilities.
        aside(&mut calls, call(Deed::Exec, 0, 1));
        calls.aside(&title("", Some(0x100), 1), &Gone);
        let mut nameless = call(Deed::Drop(21), 1, 2);
        nameless.exe = None;
        let names = title("/opt/box", None, 2);
        if title_first {
            calls.aside(&names, &Gone);
            aside(&mut calls, nameless);
        } else {
            aside(&mut calls, nameless);
            calls.aside(&names, &Gone);
        }
        let mut exec = call(Deed::Exec, 0, 3);
        exec.exe = None;
        aside(&mut calls, exec);
        calls.aside(&title("/srv/web", None, 3), &Gone);
        let [episode] = &finished(calls)[..] else {
            panic!("one");
        };
        assert_eq!(episode.exe.as_deref(), Some("box"));
        assert_eq!(episode.effective, "0x100");
        assert_eq!(episode.layer.as_deref(), Some("lsm"));
        let workload = episode.workload.as_ref().and_then(|one| one.exe.as_deref());
        assert_eq!(workload, Some("web"));
        assert!(
            episode.explanation.contains("the process had CAP_SETPCAP"),
            "{}",
            episode.explanation
        );
    }
}
