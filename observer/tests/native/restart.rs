//! Restarts: an agent is killed and another goes on with what is pinned, with
//! nothing counted twice and nothing missed.

use std::{
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    rig::{Rig, is_full, misses, testbed, whole},
    serve::{get, samples},
    storm::{Scraper, Storm},
    until,
};

/// A number below another one, different each time.
fn random(below: u64) -> u64 {
    use std::hash::{BuildHasher as _, RandomState};

    RandomState::new().hash_one(0) % below
}

/// Three kills within one storm; the agents that come after may bring other programs.
fn killed_in_a_storm(
    (waves, each, fatal, away): (u64, u64, u64, u64),
    objects: impl Fn(&Rig) -> [Option<PathBuf>; 3],
) {
    let mut rig = Rig::new(&testbed());
    let objects = objects(&rig);
    rig.start();
    rig.wait_until_ready();
    let scraper = Scraper::start(&rig.address);
    let storm = Storm::start(&rig, waves, each, fatal);
    for object in objects {
        thread::sleep(Duration::from_millis(200 + random(1_000)));
        rig.end(libc::SIGKILL);
        thread::sleep(Duration::from_millis(random(away)));
        rig.start_with(object.as_deref());
        rig.wait_until_ready();
    }
    let truth = storm.join();
    let mut metrics = String::new();
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        metrics.clear();
        metrics.push_str(&rig.metrics());
        let seen = rig.denials(&metrics, "sys_chroot") + misses(&metrics) >= truth;
        if (seen && rig.reported().len() as u64 >= fatal) || Instant::now() > deadline {
            break;
        }
        thread::sleep(Duration::from_millis(100));
    }
    thread::sleep(Duration::from_millis(600));
    let metrics = rig.metrics();
    let counted = rig.denials(&metrics, "sys_chroot");
    let missed = misses(&metrics);
    assert!(
        counted <= truth && truth <= counted + missed,
        "{counted} counted and {missed} missed of {truth}\n{}",
        rig.said()
    );
    let reported = rig.reported();
    let twice: Vec<_> = reported
        .values()
        .filter(|reported| reported.len() > 1)
        .collect();
    assert!(twice.is_empty(), "reported more than once: {twice:?}");
    assert_eq!(reported.len() as u64, fatal, "{}", rig.said());
    for episode in reported.values().flatten() {
        assert_eq!(episode["verdict"], "fatal", "{episode}");
        assert_eq!(episode["fate"], "exit", "{episode}");
        assert_eq!(episode["role"], "supervisor", "{episode}");
        assert!(episode["duration_seconds"].as_f64().is_some(), "{episode}");
    }
    assert_eq!(rig.episodes(&metrics), fatal);
    assert_eq!(rig.denials(&metrics, "setpcap"), fatal);
    scraper.end();
    println!(
        "{counted} of {truth} counted, {missed} missed; {} episodes",
        reported.len()
    );
}

#[test]
fn killed_three_times_in_a_storm_it_counts_on() {
    let Some((_stage, _turn)) = crate::stage("killed in a storm") else {
        return;
    };
    let same = |_: &Rig| [None, None, None];
    if is_full() {
        for _ in 0..20 {
            killed_in_a_storm((125, 125, 200, 5_000), same);
        }
    } else {
        killed_in_a_storm((40, 100, 100, 1_500), same);
    }
}

#[test]
fn an_upgrade_in_a_storm_takes_over_exactly_and_so_does_a_downgrade() {
    let Some((_stage, _turn)) = crate::stage("upgraded in a storm") else {
        return;
    };
    // Other programs; other maps of counts; and what was there at first.
    let versions = |rig: &Rig| {
        [
            Some(rig.other_object(None)),
            Some(rig.other_object(Some(("TOTALS", 4_096)))),
            None,
        ]
    };
    if is_full() {
        for _ in 0..20 {
            killed_in_a_storm((125, 125, 200, 5_000), versions);
        }
    } else {
        killed_in_a_storm((40, 100, 100, 1_500), versions);
    }
}

#[test]
fn takeovers_amid_a_storm_count_each_check_once() {
    let Some((_stage, _turn)) = crate::stage("takeovers in a storm") else {
        return;
    };
    if !is_full() {
        println!("skipped: takeovers in a storm (set CAPWATCH_FULL=1)");
        return;
    }
    let mut rig = Rig::new(&testbed());
    let other = rig.other_object(None);
    rig.start();
    rig.wait_until_ready();
    let storm = Storm::start(&rig, u64::MAX, 1_000, 0);
    for number in 0..40 {
        thread::sleep(Duration::from_millis(100));
        rig.end(libc::SIGKILL);
        rig.start_with((number % 2 == 0).then_some(&*other));
        rig.wait_until_ready();
        assert!(rig.said().contains("took over"), "{}", rig.said());
    }
    let truth = storm.end();
    thread::sleep(Duration::from_secs(1));
    let metrics = rig.metrics();
    let (counted, missed) = (rig.denials(&metrics, "sys_chroot"), misses(&metrics));
    println!("{counted} of {truth} counted, {missed} missed");
    assert!(
        counted <= truth && truth <= counted + missed,
        "{counted} counted and {missed} missed of {truth}"
    );
}

#[test]
fn what_can_not_be_taken_over_is_refused_with_a_word_and_counts_on() {
    let Some((_stage, _turn)) = crate::stage("another layout") else {
        return;
    };
    let mut rig = Rig::new(&testbed());
    rig.start();
    rig.wait_until_ready();
    rig.end(libc::SIGTERM);
    let object = rig.other_object(Some(("EPISODES", 4_096)));
    let mut other = rig.command();
    other.arg("--bpf-object").arg(object);
    let ended = other.output().expect("no agent");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(
        said.contains("EPISODES") && said.contains("capwatch unload"),
        "{said}"
    );
    rig.fail(Duration::ZERO).wait().expect("no end");
    rig.start();
    rig.wait_until_ready();
    until("the episode", || rig.episodes(&rig.metrics()) == 1);
}

#[test]
fn what_finds_no_room_while_nobody_listens_is_counted() {
    let Some((_stage, _turn)) = crate::stage("nobody listens") else {
        return;
    };
    let mut rig = Rig::new(&testbed());
    rig.start();
    rig.wait_until_ready();
    rig.end(libc::SIGKILL);
    // One cgroup's half of the ring has room for some five hundred.
    let all = if is_full() { 4_000 } else { 1_200 };
    let began = Instant::now();
    let storm = is_full().then(|| Storm::start(&rig, u64::MAX, 1_000, 0));
    for _ in 0..all / 20 {
        let failing: Vec<_> = (0..20).map(|_| rig.fail(Duration::ZERO)).collect();
        for mut child in failing {
            child.wait().expect("no end");
        }
    }
    if is_full() {
        thread::sleep(Duration::from_mins(1).saturating_sub(began.elapsed()));
    }
    let refused = storm.map_or(0, Storm::end);
    rig.start();
    rig.wait_until_ready();
    until("the episodes", || !rig.reported().is_empty());
    thread::sleep(Duration::from_secs(1));
    let metrics = rig.metrics();
    let reported = rig.reported();
    let lost = |metrics: &str| {
        let labels = ["stage=\"kernel\"", "reason=\"state_ring_full\""];
        whole(samples(metrics, "capwatch_events_lost_total", &labels).sum())
    };
    let lost = lost(&metrics);
    assert!(lost > 0 && !reported.is_empty(), "{lost} lost");
    // Supervisors' comings and goings share the ring.
    assert!(
        reported.len() as u64 + lost >= all,
        "{} reported, {lost} lost",
        reported.len()
    );
    assert!(
        reported
            .values()
            .flatten()
            .all(|episode| episode["while_away"] == true)
    );
    assert_eq!(rig.denials(&metrics, "setpcap"), all);
    let counted = rig.denials(&metrics, "sys_chroot");
    assert!(
        counted <= refused && refused <= counted + misses(&metrics),
        "{counted} counted of {refused}"
    );
    let status = get(&rig.address, "/api/v1/status").expect("no status").1;
    let status: Value = serde_json::from_str(&status).expect("no JSON");
    let reasons = status["sight"]["reasons"].as_array().expect("reasons");
    let away = reasons
        .iter()
        .find(|reason| reason["reason"] == "agent_away");
    let away = away.unwrap_or_else(|| panic!("{status}"));
    let all_lost = status["pins"]["away"]["lost"].as_object().expect("losses");
    let all_lost: u64 = all_lost.values().filter_map(Value::as_u64).sum();
    assert_eq!(away["count"], all_lost, "{away}");
    assert!(
        reasons
            .iter()
            .any(|reason| reason["reason"] == "episodes_lost")
    );
    assert_eq!(
        status["pins"]["away"]["lost"]["state_ring_full"], lost,
        "{status}"
    );
    let said = rig.said();
    assert!(
        said.contains("no agent ran for") && said.contains("state_ring_full"),
        "{said}"
    );
}

#[test]
fn a_torn_or_foreign_state_begins_anew_with_a_word() {
    let Some((_stage, _turn)) = crate::stage("torn state") else {
        return;
    };
    let mut rig = Rig::new(&testbed());
    rig.start();
    rig.wait_until_ready();
    rig.fail(Duration::ZERO).wait().expect("no end");
    until("the episode", || rig.episodes(&rig.metrics()) == 1);
    rig.end(libc::SIGTERM);
    let state = rig.path("state/state.json");
    let whole = fs::read(&state).expect("no state");
    fs::write(&state, &whole[..whole.len() / 2]).expect("cannot write");
    rig.start();
    rig.wait_until_ready();
    let said = rig.said();
    assert!(
        said.contains("state.json") && said.contains("refused-"),
        "{said}"
    );
    assert_eq!(rig.episodes(&rig.metrics()), 0);
    // The kernel's own counts go on all the same.
    assert_eq!(rig.denials(&rig.metrics(), "setpcap"), 1);
}

#[test]
fn a_rule_that_stands_elsewhere_or_is_gone_keeps_what_it_counted() {
    let Some((_stage, _turn)) = crate::stage("other rules") else {
        return;
    };
    let mut rig = Rig::new(&testbed());
    rig.start();
    rig.wait_until_ready();
    rig.fail(Duration::ZERO).wait().expect("no end");
    until("the first episode", || rig.episodes(&rig.metrics()) == 1);
    let others: [&[&str]; 2] = [&["anothersup", &rig.name.clone()], &["anothersup"]];
    for (expected, names) in (2..).zip(others) {
        rig.end(libc::SIGKILL);
        rig.configure(names);
        rig.fail(Duration::ZERO).wait().expect("no end");
        rig.start();
        rig.wait_until_ready();
        until("the episodes", || rig.episodes(&rig.metrics()) == expected);
        let metrics = rig.metrics();
        assert_eq!(rig.denials(&metrics, "setpcap"), expected, "{metrics}");
        let other = ["supervisor=\"anothersup\""];
        let of_other = samples(&metrics, "capwatch_denials_total", &other).sum();
        assert_eq!(whole(of_other), 0, "{metrics}");
        assert!(!rig.said().contains("anew"), "{}", rig.said());
    }
    // It is no supervisor any more, and nobody else's.
    rig.fail(Duration::ZERO).wait().expect("no end");
    let none = ["supervisor=\"none\"", "capability=\"setpcap\""];
    until("the denial", || {
        whole(samples(&rig.metrics(), "capwatch_denials_total", &none).sum()) > 0
    });
    assert_eq!(rig.denials(&rig.metrics(), "setpcap"), 3);
}
