use super::*;

fn named(id: u64, fate: &str, verdict: &str) -> Episode {
    let json = format!(
        r#"{{"id":"{id}","verdict":"{verdict}","retried":false,"supervisor":"openshell","role":"supervisor",
        "version":"0.0.73","container":null,"pid":7,"ppid":1,"comm":"x","exe":null,"layer":"commoncap","profile":null,
        "drops":1,"refused_raised":1,"refused_lowered":0,"unknown_capability":0,"bounding_before":"0x1",
        "bounding_after":"0x1","residual":["chown"],"effective":"0x0","user_namespace":{{"inode":1,"level":1}},
        "fate":"{fate}","exit":null,"first_refused":"chown","duration_seconds":0.1,"explanation":"It failed."}}"#
    );
    serde_json::from_str(&json).unwrap()
}

fn episode(fate: &str, verdict: &str) -> Episode {
    named(1, fate, verdict)
}

#[test]
fn an_episode_that_is_reported_again_counts_once_and_is_kept_in_its_last_state() {
    let mut episodes = Episodes::new(10);
    let pending = episode("running", "pending");
    episodes.enter(&pending, Stamp(1), Scope::Tree);
    episodes.enter(&pending, Stamp(2), Scope::Tree);
    assert_eq!(
        episodes
            .closed()
            .iter()
            .map(|(_, count)| count)
            .sum::<u64>(),
        0
    );
    let fatal = episode("exit", "fatal");
    episodes.enter(&fatal, Stamp(3), Scope::Tree);
    let mut again = fatal;
    again.explanation = "It failed. Something else is not the cause.".to_owned();
    episodes.enter(&again, Stamp(3), Scope::Tree);
    assert_eq!(
        episodes
            .closed()
            .iter()
            .map(|(_, count)| count)
            .sum::<u64>(),
        1
    );
    assert_eq!(
        episodes.drops().iter().map(|(_, count)| count).sum::<u64>(),
        1
    );
    assert_eq!(episodes.report(Scope::Tree), std::slice::from_ref(&again));

    // What is tried after that counts as well.
    again.drops = 5;
    again.refused_raised = 3;
    episodes.enter(&again, Stamp(4), Scope::Tree);
    let counted = episodes.drops().iter();
    let counted: BTreeMap<_, _> = counted
        .filter(|(_, count)| *count > 0)
        .map(|((_, result), count)| (*result, count))
        .collect();
    assert_eq!(
        counted,
        BTreeMap::from([("dropped", 2), ("refused_raised", 3)])
    );
}

#[test]
fn counts_are_exact_and_the_one_that_died_is_kept() {
    for ok in [10, 1_100, 20_000] {
        let mut episodes = Episodes::new(5_000);
        episodes.enter(&named(0, "exit", "fatal"), Stamp(0), Scope::Tree);
        for id in 1..=ok {
            // Others' must not matter to the command's own, whatever they are.
            episodes.enter(&named(id, "exit", "ok"), Stamp(id), Scope::Tree);
            episodes.enter(&named(id, "exit", "fatal"), Stamp(id), Scope::Host);
        }
        let counts = episodes.counts(Scope::Tree);
        assert_eq!((counts.all, counts.supervisor.fatal), (ok + 1, 1));
        assert_eq!(counts.supervisor.ok, ok);
        let kept = episodes.report(Scope::Tree);
        assert_eq!(kept[0].verdict, Verdict::Fatal, "{ok}");
        assert_eq!(kept.len() as u64, (ok + 1).min(1_000));
        assert_eq!(episodes.counts(Scope::Host).supervisor.fatal, ok);
    }
}

#[test]
fn a_pending_one_that_is_no_longer_kept_is_counted_once_all_the_same() {
    let mut episodes = Episodes::new(5_000);
    episodes.enter(&named(0, "running", "pending"), Stamp(0), Scope::Tree);
    for id in 1..=2_000 {
        episodes.enter(&named(id, "exit", "fatal"), Stamp(id), Scope::Tree);
    }
    assert_eq!(episodes.counts(Scope::Tree).supervisor.pending, 1);
    assert_eq!(episodes.pending().values().sum::<u64>(), 1);
    assert!(
        episodes
            .report(Scope::Tree)
            .iter()
            .all(|kept| kept.id != "0")
    );
    episodes.enter(&named(0, "exec", "degraded"), Stamp(3_000), Scope::Tree);
    episodes.enter(&named(0, "exec", "degraded"), Stamp(3_001), Scope::Tree);
    let counts = episodes.counts(Scope::Tree).supervisor;
    assert_eq!(
        (counts.pending, counts.degraded, counts.fatal),
        (0, 1, 2_000)
    );
    assert!(episodes.pending().is_empty());
}

#[test]
fn open_ones_are_bounded_and_those_without_room_are_reported() {
    let mut episodes = Episodes::new(5_000);
    for id in 0..20_000 {
        let room = episodes.enter(&named(id, "running", "pending"), Stamp(id), Scope::Host);
        assert_eq!(room, id < 16_384, "{id}");
    }
    for id in 0..20_000 {
        episodes.enter(&named(id, "exit", "fatal"), Stamp(id), Scope::Host);
    }
    let counts = episodes.counts(Scope::Host);
    assert_eq!((counts.all, counts.supervisor.fatal), (20_000, 20_000));
}

#[test]
fn copies_of_a_program_take_no_series_that_the_alarm_needs() {
    let mut episodes = Episodes::new(5_000);
    let mut last: HashMap<EpisodeSeries, u64> = HashMap::new();
    for id in 0..20_000_u64 {
        if id % 500 == 0 {
            // A scrape: no counter may have fallen since the last one.
            for (series, count) in &last {
                assert!(episodes.closed().get(series) >= *count, "{series:?}");
            }
            last = episodes
                .closed()
                .iter()
                .map(|(series, count)| (series.clone(), count))
                .collect();
        }
        let mut copy = named(id, "exit", "fatal");
        copy.version = Some(format!("sha256:{id:012x}"));
        if id % 3 == 0 {
            episodes.appear("openshell", &format!("sha256:{id:012x}"));
        }
        episodes.enter(&copy, Stamp(id), Scope::Host);
    }
    let mut real = named(20_000, "exec", "degraded");
    real.version = Some("0.0.74".to_owned());
    let other = Episode {
        id: "other".to_owned(),
        supervisor: Some("crun".to_owned()),
        ..real.clone()
    };
    episodes.enter(&real, Stamp(20_001), Scope::Host);
    episodes.enter(&other, Stamp(20_001), Scope::Host);
    let count = |supervisor: &str, version: &str| -> u64 {
        let alarm = episodes.closed().iter().filter(|(series, _)| {
            series.supervisor == supervisor
                && series.version == version
                && series.role == "supervisor"
                && series.verdict >= Verdict::Degraded
        });
        alarm.map(|(_, count)| count).sum()
    };
    assert_eq!(count("crun", "0.0.74"), 1);
    assert_eq!(count("openshell", "other"), 20_000 - 64 + 1);
    assert!(episodes.closed().iter().count() < 500);
    assert!(episodes.last_failed().contains_key("openshell"));
    assert_eq!(
        episodes.overflowed(),
        20_000 - 64 + 1,
        "findings, nothing else"
    );
}

#[test]
fn a_drop_that_was_never_tried_is_counted_apart_too() {
    let mut episodes = Episodes::new(5_000);
    let mut skipped = named(1, "exec", "degraded");
    skipped.skipped = true;
    episodes.enter(&skipped, Stamp(1), Scope::Host);
    episodes.enter(&skipped, Stamp(2), Scope::Host);
    episodes.enter(&named(2, "exec", "degraded"), Stamp(3), Scope::Host);
    let all: Vec<_> = episodes.skipped().iter().collect();
    let [(series, 1)] = all[..] else {
        panic!("{all:?}");
    };
    assert_eq!(
        (series.supervisor.as_str(), series.version.as_str()),
        ("openshell", "0.0.73")
    );
    let closed: u64 = episodes.closed().iter().map(|(_, count)| count).sum();
    assert_eq!(closed, 2, "it is an episode as well");
}

#[test]
fn the_last_resort_keeps_the_role_and_is_what_the_alarm_looks_at() {
    let mut episodes = Episodes::new(2);
    for id in 0..500_u64 {
        let mut one = named(id, "exit", "fatal");
        one.supervisor = Some(format!("rule-{id}"));
        episodes.enter(&one, Stamp(id), Scope::Host);
    }
    let last = episodes
        .closed()
        .iter()
        .find(|(series, _)| series.supervisor == OVERFLOW);
    let (series, count) = last.unwrap();
    assert_eq!(
        (series.role.as_str(), series.verdict),
        ("supervisor", Verdict::Fatal)
    );
    assert!(count > 400);
    assert!(episodes.last_failed().contains_key(OVERFLOW));
}
