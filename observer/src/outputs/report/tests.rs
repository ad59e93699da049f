//! Goldens of each form, with names that anyone who runs a program may choose.

use std::collections::BTreeMap;

use super::{Form, Style, junit, write};
use crate::{
    finding::Mechanism,
    finding::{
        Audit, Command, Counts, Course, Denial, Episode, Exit, FailOn, Fate, Gate, HookReport,
        Host, Made, Namespace, REPORT_SCHEMA, Report, RuleRefusal, Running, Scope, Scoped,
        SourceReport, Verdict,
    },
    sight::{Lapse, Sight},
    time::Stamp,
};

/// Markup of every kind, a terminal's escape, the end of a cell, of a line, of
/// a section and of a document.
const HOSTILE: &str = "\u{1b}[31m<b>|`*_](\n]]>\u{202e}\u{ffff}&'\"\\|";

fn episode(verdict: Verdict, comm: &str) -> Episode {
    let failed = verdict >= Verdict::Pending;
    Episode {
        scope: Scope::Tree,
        id: format!("1a2b-{verdict}"),
        verdict,
        retried: false,
        skipped: false,
        refilled: false,
        supervisor: Some("openshell".to_owned()),
        inferred: false,
        while_away: false,
        role: Some("supervisor".to_owned()),
        version: Some("ghcr.io/nvidia/openshell/supervisor:0.0.73".to_owned()),
        exe_uid: None,
        container: None,
        pid: 29_030,
        ppid: 1,
        chain: Vec::new(),
        comm: comm.to_owned(),
        exe: Some("openshell-sandbox".to_owned()),
        layer: failed.then(|| "commoncap".to_owned()),
        profile: None,
        drops: 41,
        refused_raised: u32::from(failed),
        refused_lowered: 0,
        unknown_capability: 1,
        bounding_before: "0x4002810cd".to_owned(),
        bounding_after: "0x4002810cd".to_owned(),
        residual: if failed {
            ["chown", "fowner", "setgid", "setuid", "net_raw"]
                .map(str::to_owned)
                .to_vec()
        } else {
            Vec::new()
        },
        bounding_namespace: None,
        workload: None,
        dropping_thread: None,
        effective: "0x0".to_owned(),
        user_namespace: Namespace {
            inode: 4_026_531_837,
            level: 0,
        },
        fate: match verdict {
            Verdict::Fatal => Fate::Exit,
            Verdict::Pending => Fate::Running,
            _ => Fate::Exec,
        },
        exit: (verdict == Verdict::Fatal).then_some(Exit {
            code: Some(101),
            signal: None,
        }),
        first_refused: failed.then(|| "chown".to_owned()),
        not_the_cause: Vec::new(),
        duration_seconds: 0.000_076,
        explanation: format!("Supervisor openshell, process {comm}, is {verdict}."),
    }
}

fn denial(comm: &str, count: u64, expected: bool) -> Denial {
    Denial {
        scope: Scope::Tree,
        supervisor: None,
        role: None,
        container: None,
        comm: comm.to_owned(),
        exe: None,
        pid: Some(29_030),
        chain: Vec::new(),
        capability: "setpcap".to_owned(),
        number: 8,
        layer: "apparmor".to_owned(),
        reason: None,
        profile: Some(comm.to_owned()),
        namespace: None,
        target_namespace: None,
        audited: "yes".to_owned(),
        expected,
        own_credentials: true,
        via: "security_capable".to_owned(),
        count,
        exact: count < 10,
        logged: None,
        leftover: None,
        first: Stamp(1_795_000_000_000_000_000),
        last: Stamp(1_795_000_001_500_000_000),
        explanation: format!("Process {comm} was refused setpcap."),
    }
}

fn report() -> Report {
    let hook = |name: &str, attached: bool, needed: bool| HookReport {
        hook: name.to_owned(),
        mechanism: Some(Mechanism::Kprobe),
        attached,
        needed,
        reason: (!attached).then(|| "kprobe: not permitted".to_owned()),
    };
    let report = Report {
        schema: REPORT_SCHEMA.to_owned(),
        host: Host {
            kernel: "6.12.48".to_owned(),
            lsm: vec!["landlock".to_owned(), "apparmor".to_owned()],
            boot_id: String::new(),
        },
        hooks: vec![
            hook("cap_capable", true, true),
            hook("aa_capable", false, true),
            hook("cap_task_prctl", false, false),
        ],
        sources: vec![SourceReport {
            name: "kmsg".to_owned(),
            up: false,
            records: 0,
            lost: 0,
            malformed: 0,
            reason: Some("auditd takes the records".to_owned()),
        }],
        scope: None,
        lost: BTreeMap::from([("events".to_owned(), 3), ("ring_full".to_owned(), 3)]),
        command: Some(Command {
            argv: vec!["./job".to_owned(), HOSTILE.to_owned()],
            exit_code: 1,
            duration_seconds: 1.25,
        }),
        denials: vec![
            denial("setpriv", 3, true),
            denial("日本語", 12, false),
            // Of another instance: shown as one with the row above.
            denial("日本語", 12, false),
            denial(HOSTILE, 1, false),
        ],
        episodes: vec![
            episode(Verdict::Ok, "crun"),
            episode(Verdict::Fatal, HOSTILE),
            episode(Verdict::Degraded, "tokio-rt-worker"),
            episode(Verdict::Ok, "crun"),
            episode(Verdict::Pending, "日本語"),
        ],
        rule_refusals: Vec::new(),
        others: Vec::new(),
        log: None,
        notes: Vec::new(),
        failed_on: vec![format!("fatal: episode of {HOSTILE}")],
        audit: Audit {
            records: 2,
            matched: 1,
            ebpf_only: 4,
            audit_only: 1,
            malformed: 0,
            leftovers: BTreeMap::new(),
        },
        sight: Sight {
            complete: false,
            reasons: vec![Lapse {
                reason: "drops_missed".to_owned(),
                since: Stamp(1_795_000_000_500_000_000),
                until: Some(Stamp(1_795_000_001_000_000_000)),
                count: 3,
            }],
        },
        counts: Counts::default(),
    };
    Report {
        counts: Counts::of(&report.episodes, &report.denials),
        ..report
    }
}

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

fn shown(form: Form, report: &Report) -> String {
    shown_at(None, form, report)
}

fn shown_at(columns: Option<usize>, form: Form, report: &Report) -> String {
    let mut out = Vec::new();
    let style = Style {
        form,
        color: false,
        columns,
        gate: &Gate::failed_drops(),
    };
    write(&mut out, report, style).unwrap();
    String::from_utf8(out).unwrap()
}

fn junit(report: &Report, gate: &Gate) -> String {
    let origin = junit::Origin {
        host: "node<1>".to_owned(),
        time: "2026-11-24T00:00:00".to_owned(),
    };
    junit::render_from(report, gate, &origin)
}

#[test]
fn text() {
    insta::assert_snapshot!(shown(Form::Text, &report()));
}

/// A report as a busy host has it, with names that are all of one word.
fn ordinary() -> Report {
    let mut report = report();
    report.command = None;
    report.failed_on.clear();
    report.episodes.remove(1);
    report.denials.pop();
    report.denials.push(Denial {
        supervisor: Some("openshell".to_owned()),
        role: Some("workload".to_owned()),
        capability: "checkpoint_restore".to_owned(),
        layer: "commoncap".to_owned(),
        reason: Some("not_effective".to_owned()),
        profile: None,
        audited: "unknown".to_owned(),
        ..denial("tokio-rt-worker", 1_234_567, false)
    });
    report.episodes[0].explanation = "A sentence of some words, twice as long as ".repeat(4);
    report
}

#[test]
fn text_fits_a_terminal_of_80_columns_and_loses_nothing() {
    let text = shown_at(Some(80), Form::Text, &ordinary());
    for line in text.lines() {
        assert!(crate::outputs::fit::width(line) <= 80, "{line}");
    }
    for wanted in [
        "still in set: chown, fowner, setgid and 2 more",
        "0.0.73",
        "checkpoint_",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    insta::assert_snapshot!(text);
}

#[test]
fn text_uses_the_room_of_200_columns() {
    let text = shown_at(Some(200), Form::Text, &ordinary());
    assert!(
        text.contains("chown, fowner, setgid, setuid, net_raw\n"),
        "{text}"
    );
    assert!(!text.contains("still in set:"), "a line a process: {text}");
    insta::assert_snapshot!(text);
}

#[test]
fn text_of_nothing() {
    let mut nothing = report();
    nothing.episodes.clear();
    nothing.denials.clear();
    nothing.counts = Counts::default();
    nothing.hooks.clear();
    nothing.sources.clear();
    nothing.lost.clear();
    nothing.failed_on.clear();
    nothing.audit = Audit::default();
    nothing.command = None;
    nothing.sight = Sight::default();
    insta::assert_snapshot!(shown(Form::Text, &nothing), @r"
    capwatch: no bounding-set drops; no capability denials
      kernel 6.12.48, LSMs landlock, apparmor
      sight: complete
    ");
}

#[test]
fn text_in_colour_is_the_same_text() {
    let mut out = Vec::new();
    let style = Style {
        form: Form::Text,
        color: true,
        columns: None,
        gate: &Gate::default(),
    };
    write(&mut out, &report(), style).unwrap();
    let coloured = String::from_utf8(out).unwrap();
    assert!(coloured.contains("\u{1b}[1;31mfatal   \u{1b}[0m"));
    let mut plain = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, escape)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        rest = escape.split_once('m').unwrap().1;
    }
    plain.push_str(rest);
    assert_eq!(plain, shown(Form::Text, &report()));
}

#[test]
fn markdown() {
    insta::assert_snapshot!(shown(Form::Markdown, &report()));
}

#[test]
fn junit_xml() {
    insta::assert_snapshot!(junit(&report(), &Gate::failed_drops()));
}

#[test]
fn junit_fails_what_the_gate_stops_and_counts_it() {
    let everything = Gate {
        fail_on: vec![FailOn::Fatal, FailOn::Denied],
        role: None,
    };
    for (gate, failures) in [
        (Gate::failed_drops(), 1 + 3),
        // The command, the fatal episode, and two denials that nothing expects.
        (everything, 1 + 1 + 2),
        (Gate::default(), 1),
    ] {
        let text = junit(&report(), &gate);
        let document = roxmltree::Document::parse(&text).unwrap();
        let all = |name: &str| {
            let nodes = document.descendants();
            nodes.filter(|node| node.has_tag_name(name)).count()
        };
        assert_eq!(all("failure"), failures);
        let suites = document.descendants();
        let suites = suites.filter(|node| node.has_tag_name("testsuite"));
        for suite in suites {
            let below = |name: &str| {
                let nodes = suite.descendants();
                nodes.filter(|node| node.has_tag_name(name)).count()
            };
            for (attribute, element) in [
                ("tests", "testcase"),
                ("failures", "failure"),
                ("skipped", "skipped"),
            ] {
                let said = suite.attribute(attribute).unwrap().parse();
                assert_eq!(said, Ok(below(element)), "{attribute}");
            }
        }
    }
}

/// The rules of the two schemas in use where they are the strictest: Ant's (Windy
/// Road's `JUnit.xsd`) wants each attribute, in each suite these children in this
/// order, one result a case at most, and no attribute of `testsuites`.
#[test]
fn junit_fits_the_schemas_in_use() {
    let text = junit(&report(), &Gate::failed_drops());
    let document = roxmltree::Document::parse(&text).unwrap();
    let root = document.root_element();
    assert_eq!(root.tag_name().name(), "testsuites");
    assert_eq!(root.attributes().count(), 0);
    let suites = root.children().filter(roxmltree::Node::is_element);
    for (number, suite) in suites.enumerate() {
        assert_eq!(suite.attribute("id"), Some(number.to_string().as_str()));
        for attribute in ["package", "name", "hostname"] {
            assert!(suite.attribute(attribute).is_some_and(|it| !it.is_empty()));
        }
        for attribute in ["tests", "failures", "errors", "skipped"] {
            let value = suite.attribute(attribute).unwrap();
            assert!(value.parse::<i32>().is_ok(), "{attribute}={value}");
        }
        let time = suite.attribute("timestamp").unwrap();
        assert_eq!(time.len(), "2026-11-24T00:00:00".len());
        let children = suite.children().filter(roxmltree::Node::is_element);
        let names: Vec<_> = children.map(|child| child.tag_name().name()).collect();
        let (first, rest) = names.split_first().unwrap();
        let (cases, last) = rest.split_at(rest.len() - 2);
        assert_eq!(*first, "properties");
        assert!(cases.iter().all(|name| *name == "testcase"), "{names:?}");
        assert_eq!(last, ["system-out", "system-err"]);
    }
    for case in document
        .descendants()
        .filter(|it| it.has_tag_name("testcase"))
    {
        assert!(case.attribute("classname").is_some() && case.attribute("name").is_some());
        assert!(case.attribute("time").unwrap().parse::<f64>().is_ok());
        let results: Vec<_> = case
            .children()
            .filter(roxmltree::Node::is_element)
            .collect();
        assert!(results.len() <= 1);
        for result in results {
            let name = result.tag_name().name();
            let typed = result.attribute("type").is_some();
            assert!(name == "skipped" || (name == "failure" && typed), "{name}");
        }
    }
}

#[test]
fn names_stay_names() {
    let text = shown(Form::Text, &report());
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
    let markdown = shown(Form::Markdown, &report());
    assert!(!markdown.contains("<b>"), "{markdown}");
    for row in markdown.lines().filter(|line| line.starts_with('|')) {
        let mut cells = 0;
        let mut before = ' ';
        for character in row.chars() {
            cells += usize::from(character == '|' && before != '\\');
            before = match (before, character) {
                ('\\', '\\') => ' ',
                (_, character) => character,
            };
        }
        assert!([8, 12].contains(&cells), "{cells}: {row}");
    }
    let xml = junit(&report(), &Gate::failed_drops());
    let document = roxmltree::Document::parse(&xml).unwrap();
    let seen = "\\u{1b}[31m<b>|`*_](\\u{a}]]>\\u{202e}\\u{ffff}&'\"\\|";
    let name = format!("{seen} empties its bounding set");
    let mut nodes = document.descendants();
    assert!(nodes.any(|node| node.attribute("name") == Some(&name)));
}

/// What `record` prints is read by the runner that ran it.
#[test]
fn no_name_gives_a_runner_a_command() {
    for name in ["::error::forged", "##[error]forged", "##vso[task.x]forged"] {
        let mut report = report();
        report.episodes = vec![episode(Verdict::Fatal, name)];
        report.episodes[0].explanation = format!("{name} could not drop chown");
        report.command = Some(Command {
            argv: vec![name.to_owned()],
            exit_code: 0,
            duration_seconds: 0.1,
        });
        for form in [Form::Text, Form::Json, Form::Markdown, Form::Junit] {
            let mut out = Vec::new();
            let gate = Gate::failed_drops();
            let style = Style {
                form,
                color: false,
                columns: Some(40),
                gate: &gate,
            };
            write(&mut out, &report, style).unwrap();
            let text = String::from_utf8(out).unwrap();
            for line in text.lines() {
                let obeyed = line.trim_start().starts_with("::")
                    || ["##[", "##vso["].iter().any(|mark| line.contains(mark));
                assert!(!obeyed, "{form:?}: {line}");
            }
            if form == Form::Json {
                let value: serde_json::Value = serde_json::from_str(&text).unwrap();
                assert_eq!(value["episodes"][0]["comm"], name);
            }
        }
    }
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
