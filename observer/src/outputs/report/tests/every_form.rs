//! What every form says: how much it shows, what it does not cover, what a rule refused.

use super::{HOSTILE, denial, episode, junit, report, shown};
use crate::{
    finding::{
        Counts, Course, Denial, Episode, FailOn, Gate, HookReport, Made, Mechanism, Report,
        RuleRefusal, Running, Scope, Scoped, Verdict,
    },
    outputs::report::Form,
    sight::Sight,
};

/// A report that lists five of 20,005 episodes and three of five rows.
fn bounded() -> Report {
    let mut report = report();
    report.counts.episodes.all += 20_000;
    report.counts.episodes.supervisor.ok += 19_000;
    report.counts.episodes.supervisor.fatal += 1_000;
    report.counts.denials.rows += 2;
    report.counts.denials.all += 9;
    report.counts.denials.none.denied += 9;
    report
}

#[test]
fn every_form_says_how_many_of_how_many_it_shows() {
    let report = bounded();
    let text = shown(Form::Text, &report);
    assert!(
        text.contains("1001 fatal, 1 degraded, 1 pending, 19002 ok; 34 denials"),
        "{text}"
    );
    assert!(text.contains("5 of 20005 episodes shown"), "{text}");
    assert!(text.contains("3 of 5 rows of denials shown"), "{text}");
    let markdown = shown(Form::Markdown, &report);
    assert!(markdown.contains("1001 fatal") && markdown.contains("5 of 20005 episodes shown"));
    let gate = Gate {
        fail_on: vec![FailOn::Fatal, FailOn::Denied],
        role: None,
    };
    let xml = junit(&report, &gate);
    assert!(
        xml.contains("name=\"capwatch.episodes\" value=\"20005\""),
        "{xml}"
    );
    for (name, failed) in [
        ("1000 more fatal episodes", true),
        ("19000 more ok episodes", false),
        ("9 more denials", true),
    ] {
        let case = xml
            .lines()
            .find(|line| line.contains("<testcase") && line.contains(name));
        assert_eq!(case.unwrap().ends_with("/>"), !failed, "{name}");
    }
    let why = gate.matches(&report);
    assert_eq!(
        why[why.len() - 2..],
        ["fatal: 1000 more episodes", "denied: 9 more denials"]
    );
    let nobody = Gate {
        role: Some(crate::finding::RoleFilter::Workload),
        ..gate
    };
    assert!(nobody.matches(&report).is_empty());
}

/// The same with 300 failures of somebody's container beside the command.
fn beside() -> Report {
    let mut report = report();
    let (own, denials) = (report.counts.clone(), report.denials.clone());
    let others: Vec<_> = (0..300)
        .map(|number| Episode {
            id: format!("other-{number}"),
            scope: Scope::Beside,
            ..episode(Verdict::Fatal, "crun")
        })
        .collect();
    report.episodes.splice(0..0, others.iter().cloned());
    let made = |runtime: &str, id: &str, name: Option<&str>| Made {
        runtime: runtime.to_owned(),
        id: id.to_owned(),
        name: name.map(str::to_owned),
    };
    report.counts = Counts::of(&report.episodes, &denials);
    report.scope = Some(Scoped {
        chosen: Scope::Beside,
        tree: own,
        beside: Some(Counts::of(&others, &[])),
        host: None,
        made: vec![
            made("podman", &"7".repeat(64), Some("web")),
            made("systemd", "run-u7.service", None),
            made("docker", &"8".repeat(64), None),
            made("systemd-nspawn", HOSTILE, None),
        ],
        made_unlisted: 2,
        course: Course {
            beside_unknown: None,
            clients: vec!["podman".to_owned()],
            running: vec![Running {
                pid: 77,
                comm: HOSTILE.to_owned(),
            }],
            running_unlisted: 1,
        },
    });
    report
}

#[test]
fn what_was_taken_in_beside_is_said_and_pushes_nothing_out() {
    let report = beside();
    for form in [Form::Text, Form::Markdown] {
        let text = shown(form, &report).replace('\\', "");
        for wanted in [
            "beside the command, made while it ran: podman container web, unit run-u7.service, \
             docker container 888888888888 and 3 more: 300 fatal; no capability denials",
            "the command's own tree: 1 fatal, 1 degraded, 1 pending, 2 ok; 25 denials, 3 expected",
            "(pid 77) and 1 more; --wait DURATION follows them",
            "openshell [beside]",
            "tokio-rt-worker",
            "205 of 305 episodes shown",
        ] {
            let wanted = match form {
                Form::Text => wanted.replace("openshell [", "openshell supervisor:0.0.73 ["),
                _ => wanted.to_owned(),
            };
            assert!(text.contains(&wanted), "{wanted}: {text}");
        }
        assert!(
            !text.contains("a daemon does the work"),
            "something was found"
        );
    }
    let gate = Gate::failed_drops();
    let xml = junit(&report, &gate);
    assert!(
        xml.contains("name=\"capwatch.scope\" value=\"beside\""),
        "{xml}"
    );
    assert!(xml.contains("name=\"capwatch.taken_in\" value=\"beside the command"));
    assert!(xml.contains("still running when the recording ended"));
    let why = gate.matches(&report);
    assert_eq!(why[0], "fatal: episode 1a2b-fatal", "its own come first");
    assert!(why[4].ends_with(", beside the command"), "{why:?}");
    assert_eq!(why.last().unwrap(), "fatal: 203 more episodes");
}

#[test]
fn what_is_not_covered_is_said() {
    let mut report = beside();
    let scope = report.scope.as_mut().unwrap();
    scope.made.clear();
    scope.course.beside_unknown = Some("no cgroup v2".to_owned());
    for form in [Form::Text, Form::Markdown, Form::Junit] {
        let text = shown(form, &report);
        assert!(
            text.contains("a daemon does the work, and nothing was found"),
            "{text}"
        );
        assert!(text.contains("are not recognised"), "{text}");
        assert!(!text.contains("made while it ran"), "{text}");
    }
    report.scope.as_mut().unwrap().chosen = Scope::Tree;
    let text = shown(Form::Text, &report);
    assert!(text.contains("scope tree leaves it out"), "{text}");
}

#[test]
fn what_the_kernel_asks_in_passing_is_a_closing_line_and_stops_no_gate() {
    let mut report = report();
    let passing = |comm: &str, count: u64| Denial {
        layer: "commoncap".to_owned(),
        reason: Some("not_effective".to_owned()),
        profile: None,
        via: "direct".to_owned(),
        ..denial(comm, count, false)
    };
    report.denials = vec![passing("setpriv", 1), passing("capsh", 42)];
    let gate = Gate {
        fail_on: vec![FailOn::Denied],
        role: None,
    };
    report.counts = Counts::of(&[], &report.denials);
    assert!(gate.matches(&report).is_empty());
    for form in [Form::Text, Form::Markdown] {
        let text = shown(form, &report).replace('\\', "");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains("43 checks of setpcap are routine"), "{text}");
        assert!(text.contains("Do not grant SETPCAP for it"), "{text}");
        assert!(!text.to_lowercase().contains("audited"), "{text}");
    }
    report.denials.push(denial("web", 1, false));
    report.counts = Counts::of(&[], &report.denials);
    assert_eq!(gate.matches(&report).len(), 1);
}

#[test]
fn what_a_rule_refused_is_in_every_form_and_stops_its_gate() {
    let refused = RuleRefusal {
        call: "exec".to_owned(),
        rule: "file_beyond_bounding".to_owned(),
        errno: 1,
        count: 3,
        role: Some("supervisor".to_owned()),
        comm: "crun".to_owned(),
        exe: Some("caddy\u{1b}".to_owned()),
        explanation: "It could not execute caddy\u{1b}.".to_owned(),
        ..RuleRefusal::default()
    };
    let lost = RuleRefusal {
        rule: "lost_no_new_privs".to_owned(),
        errno: 0,
        explanation: "It executed ping without net_raw.".to_owned(),
        ..refused.clone()
    };
    let mut report = report();
    report.hooks.push(HookReport {
        hook: "cap_capset".to_owned(),
        mechanism: Some(Mechanism::Fexit),
        attached: true,
        needed: true,
        reason: None,
    });
    report.rule_refusals = vec![refused, lost];
    report.counts.rules.supervisor = 5;
    for form in [Form::Text, Form::Markdown] {
        let text = shown(form, &report);
        assert!(text.contains("5 calls refused by a rule"), "{text}");
        assert!(text.contains("3 times"), "{text}");
        assert!(text.contains("It could not execute caddy"), "{text}");
        assert!(text.contains("without net"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }
    let gate = Gate {
        fail_on: vec![FailOn::Rule],
        role: Some(crate::finding::RoleFilter::Supervisor),
    };
    let why = gate.matches(&report);
    assert_eq!(
        why,
        [
            "rule: exec of caddy\u{1b}: file_beyond_bounding",
            "rule: 2 more calls"
        ]
    );
    let xml = junit(&report, &gate);
    let stopped = xml.lines().filter(|line| line.contains("capwatch.rules"));
    assert_eq!(stopped.count(), 2, "{xml}");
    let nobody = Gate {
        role: Some(crate::finding::RoleFilter::Workload),
        ..gate
    };
    assert!(nobody.matches(&report).is_empty());
}

#[test]
fn a_gate_on_refusals_by_rules_does_not_pass_where_no_hook_shows_them() {
    let mut report = report();
    let gate = Gate {
        fail_on: vec![FailOn::Rule],
        role: None,
    };
    let why = ["rule: no hook here shows what rules refuse"];
    assert_eq!(gate.matches(&report), why);
    let xml = junit(&report, &gate);
    let failed = xml
        .lines()
        .any(|line| line.contains("a hook shows what rules refuse"));
    assert!(failed, "{xml}");
    assert!(Gate::failed_drops().unseen(&report).is_none());
    report.sight = Sight::default();
    for form in [Form::Text, Form::Markdown] {
        let text = shown(form, &report).replace("\n  ", " ");
        assert!(text.contains("no hook here shows what rules"), "{text}");
    }
}
