//! Sentences on facts at hand.

use super::{Refusal, denial, episode, rule_refusal};
use crate::{
    config::{Release, Rules},
    finding::{
        Container, Denial, Episode, Exit, Fate, Link, Namespace, Requested, RuleRefusal, Verdict,
    },
    time::Stamp,
    words::{Broken, Call, Reason},
};

const WITHOUT_SETPCAP: &str = "0x800404fb";
const WITH_SETPCAP: &str = "0x800405fb";

fn container(bounding: &str, effective: &str) -> Container {
    Container {
        runtime: "podman".to_owned(),
        id: "ab".repeat(32),
        name: Some("web".to_owned()),
        image: Some("registry.example/openshell/supervisor:0.0.73".to_owned()),
        requested: Some(Requested {
            bounding: bounding.to_owned(),
            effective: effective.to_owned(),
            ..Requested::default()
        }),
        ..Container::default()
    }
}

fn fatal(supervisor: &str, layer: &str, container: Option<Container>) -> Episode {
    Episode {
        id: "1".to_owned(),
        scope: crate::finding::Scope::Host,
        verdict: Verdict::Fatal,
        retried: false,
        skipped: false,
        refilled: false,
        supervisor: Some(supervisor.to_owned()),
        inferred: false,
        while_away: false,
        role: Some("supervisor".to_owned()),
        version: None,
        exe_uid: None,
        container,
        pid: 7,
        ppid: 6,
        chain: Vec::new(),
        comm: "openshell-sandb".to_owned(),
        exe: None,
        layer: Some(layer.to_owned()),
        profile: (layer == "apparmor").then(|| "p\"q".to_owned()),
        drops: 1,
        refused_raised: 1,
        refused_lowered: 0,
        unknown_capability: 0,
        bounding_before: WITHOUT_SETPCAP.to_owned(),
        bounding_after: WITHOUT_SETPCAP.to_owned(),
        residual: vec!["chown".to_owned()],
        bounding_namespace: None,
        workload: None,
        dropping_thread: None,
        effective: WITHOUT_SETPCAP.to_owned(),
        user_namespace: Namespace::default(),
        fate: Fate::Exit,
        exit: Some(Exit {
            code: Some(1),
            signal: None,
        }),
        first_refused: Some("chown".to_owned()),
        not_the_cause: Vec::new(),
        duration_seconds: 0.000_076,
        explanation: String::new(),
    }
}

fn sentence(failed: &Episode, reason: Reason) -> String {
    let rules = Rules::load(None).unwrap();
    let supervisor = failed.supervisor.as_deref().unwrap_or_default();
    let rule = rules.by_basename(supervisor.as_bytes());
    let rule = rule.and_then(|rule| rules.get(rule.id));
    let refusal = Refusal {
        reason,
        rule,
        uid: None,
        launcher: None,
        is_program: failed.exe.as_deref() == Some(supervisor),
        release: rules.release(),
        failed_exec: None,
    };
    episode(failed, &refusal)
}

#[test]
fn what_was_not_requested_is_said_and_no_module_is_blamed() {
    let container = container(WITHOUT_SETPCAP, WITHOUT_SETPCAP);
    let failed = fatal("openshell", "commoncap", Some(container));
    let text = sentence(&failed, Reason::NotEffective);
    for words in [
        "in podman container web (image registry.example/openshell/supervisor:0.0.73)",
        "could not drop chown",
        "SETPCAP is not among the container's capabilities",
        "refused before asking AppArmor or SELinux, so there is no audit record",
        "exited 76 µs later with status 1, without running another program",
        "podman run --cap-add SETPCAP",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(
        !text.contains("AppArmor refused")
            && !text.contains("SELinux refused")
            && !text.contains("profile"),
        "{text}"
    );
    // Podman started it: there is one remedy.
    assert!(!text.contains("or stop it"), "{text}");
}

#[test]
fn an_exec_that_failed_after_the_drops_is_explained() {
    let ended = |code, before: &str, after: &str| {
        let mut dropped = fatal("setpriv", "commoncap", None);
        dropped.verdict = Verdict::Ok;
        dropped.refused_raised = 0;
        dropped.layer = None;
        before.clone_into(&mut dropped.bounding_before);
        after.clone_into(&mut dropped.bounding_after);
        dropped.exit = Some(Exit {
            code: Some(code),
            signal: None,
        });
        (dropped.is_explained(), sentence(&dropped, Reason::None))
    };
    let (is_explained, text) = ended(126, "0x1fffffffff", "0x1ffffffbff");
    assert!(is_explained);
    for words in [
        "could not be executed (inferred)",
        "net_bind_service just left that set",
        "`setcap -r FILE`",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let (_, text) = ended(126, "0x1fffffffff", "0x1fffffffff");
    assert!(
        text.contains("126") && !text.contains("setcap -r"),
        "{text}"
    );
    let (is_explained, text) = ended(127, "0x1fffffffff", "0x1ffffffbff");
    assert!(
        is_explained && text.contains("was not found") && !text.contains("setcap -r"),
        "{text}"
    );
    let (is_explained, text) = ended(1, "0x1fffffffff", "0x1ffffffbff");
    assert!(!is_explained && !text.contains("Exit status"), "{text}");
}

#[test]
fn what_was_requested_and_is_missing_is_distinguished() {
    let text_of = |bounding, effective| {
        let container = container(bounding, effective);
        let failed = fatal("openshell", "commoncap", Some(container));
        sentence(&failed, Reason::NotEffective)
    };
    let text = text_of(WITH_SETPCAP, "0x0");
    assert!(
        text.contains("in the bounding set, but gives it to no process"),
        "{text}"
    );
    let text = text_of(WITH_SETPCAP, WITH_SETPCAP);
    assert!(
        text.contains("or one above it, lost it (inferred)"),
        "{text}"
    );
    // To give it what it has changes nothing.
    assert!(text.contains("Have it drop first"), "{text}");
    assert!(!text.contains("cap-add"), "{text}");
}

#[test]
fn a_runtime_runs_outside_of_the_container_that_it_makes() {
    let container = container(WITHOUT_SETPCAP, WITHOUT_SETPCAP);
    let failed = fatal("crun", "commoncap", Some(container));
    let text = sentence(&failed, Reason::NotEffective);
    assert!(!text.contains("among the container's"), "{text}");
    assert!(
        text.contains("crun drops what the container must not have"),
        "{text}"
    );
}

#[test]
fn the_note_on_a_program_does_not_apply_to_its_workload() {
    let mut failed = fatal("crun", "commoncap", None);
    assert!(sentence(&failed, Reason::NotEffective).contains("Note: "));
    failed.role = Some("workload".to_owned());
    assert!(!sentence(&failed, Reason::NotEffective).contains("Note: "));
}

/// An episode of a process below a supervisor that is that supervisor's only by what it was.
fn replaced(supervisor: &str, comm: &str, exe: &str) -> Episode {
    let mut failed = fatal(supervisor, "commoncap", None);
    failed.role = Some("workload".to_owned());
    failed.comm = comm.to_owned();
    failed.exe = Some(exe.to_owned());
    failed.chain = vec![Link {
        pid: failed.pid,
        comm: comm.to_owned(),
    }];
    failed
}

#[test]
fn who_it_was_fits_what_the_process_runs_now() {
    for (supervisor, comm, begins) in [
        (
            "setpriv",
            "perl",
            "Process perl (pid 7), launched by setpriv,",
        ),
        (
            "bwrap",
            "perl",
            "perl (pid 7), a workload of supervisor bwrap,",
        ),
        (
            "bwrap",
            "bwrap",
            "Supervisor bwrap, below another one, process bwrap (pid 7),",
        ),
    ] {
        let text = sentence(&replaced(supervisor, comm, comm), Reason::NotEffective);
        assert!(text.starts_with(begins), "{text}");
    }
}

#[test]
fn another_namespace_and_a_modules_refusal() {
    let failed = fatal("openshell", "commoncap", None);
    let text = sentence(&failed, Reason::Namespace);
    assert!(
        text.contains("no authority over that user namespace"),
        "{text}"
    );
    assert!(!text.contains("--cap-add"), "{text}");
    let failed = fatal("openshell", "apparmor", None);
    let text = sentence(&failed, Reason::None);
    assert!(
        text.contains(r#"AppArmor profile "p\"q" refused CAP_SETPCAP, which it holds"#),
        "{text}"
    );
    let failed = fatal("openshell", "lsm", None);
    assert!(sentence(&failed, Reason::None).contains("inferred"));
}

#[test]
fn each_manager_of_containers_has_its_own_remedy() {
    for (runtime, remedy) in [
        ("docker", "docker run --cap-add SETPCAP"),
        ("systemd-nspawn", "--capability=CAP_SETPCAP"),
        ("systemd", "AmbientCapabilities="),
        ("containerd", "ctr run --cap-add CAP_SETPCAP"),
    ] {
        let mut container = container(WITHOUT_SETPCAP, WITHOUT_SETPCAP);
        runtime.clone_into(&mut container.runtime);
        let failed = fatal("openshell", "commoncap", Some(container));
        let text = sentence(&failed, Reason::NotEffective);
        assert!(text.contains(remedy), "{runtime}: {text}");
    }
}

#[test]
fn hostile_names_can_not_speak_for_the_sentence() {
    let mut container = container(WITHOUT_SETPCAP, WITHOUT_SETPCAP);
    container.name = Some("x, which AppArmor refused\n\u{1b}[31m\u{202e}".to_owned());
    container.image = Some("i\"mage".to_owned());
    let mut failed = fatal("openshell", "commoncap", Some(container));
    failed.comm = "sixteen bytes 16".to_owned();
    let text = sentence(&failed, Reason::NotEffective);
    assert!(!text.chars().any(char::is_control), "{text:?}");
    assert!(
        text.contains(r#""x, which AppArmor refused\n\u{1b}[31m"#),
        "{text}"
    );
    assert!(text.contains(r#"(image "i\"mage")"#), "{text}");
    assert!(text.contains(r#"process "sixteen bytes 16""#), "{text}");
}

/// A refused check of a supervisor.
fn refused(capability: &str, number: u32, audited: &str, via: &str) -> Denial {
    let stamp = Stamp(0);
    Denial {
        scope: crate::finding::Scope::Host,
        supervisor: Some("openshell".to_owned()),
        role: Some("supervisor".to_owned()),
        container: None,
        comm: "openshell-sandb".to_owned(),
        exe: None,
        pid: None,
        chain: Vec::new(),
        capability: capability.to_owned(),
        number,
        layer: "commoncap".to_owned(),
        reason: Some("not_effective".to_owned()),
        profile: None,
        namespace: None,
        target_namespace: None,
        audited: audited.to_owned(),
        expected: false,
        own_credentials: true,
        via: via.to_owned(),
        count: 1,
        exact: true,
        logged: None,
        leftover: None,
        first: stamp,
        last: stamp,
        explanation: String::new(),
    }
}

#[test]
fn nobody_is_advised_to_grant_what_memory_accounting_asks_for() {
    let text_of = |audited: &str| {
        denial(
            &refused("sys_admin", 21, audited, "unknown"),
            None,
            None,
            Release::Other,
        )
    };
    assert!(text_of("yes").contains("--cap-add SYS_ADMIN"));
    let unknown = text_of("unknown");
    assert!(unknown.contains("memory accounting"), "{unknown}");
    assert!(!unknown.contains("--cap-add"), "{unknown}");
}

#[test]
fn nobody_is_advised_to_grant_what_the_kernel_asks_in_passing() {
    for (capability, number, via, is_passing) in [
        ("setpcap", 8, "direct", true),
        ("setpcap", 8, "security_capable", false),
        ("setpcap", 8, "unknown", false),
        ("fsetid", 4, "security_capable", true),
        ("chown", 0, "security_capable", false),
    ] {
        let one = refused(capability, number, "yes", via);
        let text = denial(&one, None, None, Release::Other);
        assert_eq!(one.is_notable(), !is_passing, "{text}");
        assert_eq!(text.contains("Give it"), !is_passing, "{text}");
        // Whether a call failed for what it asked is not seen.
        assert_eq!(text.contains("undecided"), !is_passing, "{text}");
        assert_eq!(text.contains("the kernel asks"), is_passing, "{text}");
    }
    // A module refuses what commoncap granted.
    let mut one = refused("setpcap", 8, "yes", "direct");
    one.layer = "apparmor".to_owned();
    assert!(one.is_notable());
}

#[test]
fn for_a_file_its_owner_and_mode_come_first() {
    for (capability, number) in [("dac_override", 1), ("dac_read_search", 2)] {
        let one = refused(capability, number, "yes", "security_capable");
        let text = denial(&one, None, None, Release::Other);
        assert!(one.is_notable());
        assert!(!text.contains("Give it"), "{text}");
        assert!(text.contains("owner or the mode"), "{text}");
        assert!(text.contains("undecided"), "{text}");
    }
}

fn caddy() -> RuleRefusal {
    RuleRefusal {
        call: "exec".to_owned(),
        rule: "file_beyond_bounding".to_owned(),
        missing: vec!["net_bind_service".to_owned()],
        errno: 1,
        count: 1,
        pid: Some(7),
        comm: "setpriv".to_owned(),
        exe: Some("caddy".to_owned()),
        path: Some("/usr/bin/caddy".to_owned()),
        ..RuleRefusal::default()
    }
}

#[test]
fn a_refused_exec_says_which_capability_and_what_to_do() {
    let text = rule_refusal(&caddy());
    assert_eq!(
        text,
        "Process setpriv (pid 7) could not execute /usr/bin/caddy: the file's capabilities take \
         effect at once and need net_bind_service, which is not in the process's bounding set (a \
         rule of the kernel: no check, no LSM, no log). Keep net_bind_service in the bounding \
         set, or remove it from the file (`setcap -r /usr/bin/caddy`), or clear the effective bit."
    );
    let contained = RuleRefusal {
        container: Some(container(WITHOUT_SETPCAP, WITHOUT_SETPCAP)),
        ..caddy()
    };
    let text = rule_refusal(&contained);
    assert!(text.contains("(--cap-add NET_BIND_SERVICE)"), "{text}");
}

#[test]
fn a_users_manager_has_no_capability_for_its_units() {
    let mut unit = Container {
        runtime: "systemd".to_owned(),
        id: "ambient.service".to_owned(),
        ..Container::default()
    };
    let text_of = |rule: &str, unit: &Container| {
        rule_refusal(&RuleRefusal {
            call: "capset".to_owned(),
            rule: rule.to_owned(),
            missing: vec!["net_bind_service".to_owned(), "net_raw".to_owned()],
            container: Some(unit.clone()),
            ..caddy()
        })
    };
    // The system's manager has every capability: the order of the calls is wrong there.
    unit.vouch(0);
    let text = text_of("inheritable_beyond_permitted", &unit);
    assert!(text.contains("still permitted"), "{text}");
    unit.vouch(1000);
    let text = text_of("inheritable_beyond_permitted", &unit);
    assert!(
        text.ends_with(
            "Run it in a system unit with User= and AmbientCapabilities=CAP_NET_BIND_SERVICE \
             CAP_NET_RAW: ambient.service belongs to uid 1000, whose manager has no capability \
             to give."
        ),
        "{text}"
    );
    let text = text_of("effective_beyond_permitted", &unit);
    assert!(text.contains("Lower the effective set first"), "{text}");
}

#[test]
fn an_episode_says_that_what_it_dropped_was_needed() {
    let refusal = caddy();
    let dropped = Episode {
        verdict: Verdict::Ok,
        exit: Some(Exit {
            code: Some(126),
            signal: None,
        }),
        bounding_before: "0x400".to_owned(),
        bounding_after: "0x0".to_owned(),
        ..fatal("setpriv", "commoncap", None)
    };
    let known = Refusal {
        reason: Reason::None,
        rule: None,
        uid: None,
        launcher: None,
        is_program: true,
        release: Release::default(),
        failed_exec: Some(&refusal),
    };
    let text = episode(&dropped, &known);
    assert!(
        text.ends_with(
            "It dropped net_bind_service, then could not execute /usr/bin/caddy, whose file \
             capabilities need it: keep net_bind_service in the bounding set, or remove \
             it from the file (`setcap -r /usr/bin/caddy`), or clear the effective bit."
        ),
        "{text}"
    );
    assert!(!text.contains("inferred"), "{text}");
}

#[test]
fn every_rule_has_a_sentence_of_its_own() {
    let calls = Call::ALL.iter().skip(1).map(|call| call.as_str());
    for call in calls {
        for rule in Broken::ALL.iter().skip(1).map(|rule| rule.as_str()) {
            let refusal = RuleRefusal {
                call: call.to_owned(),
                rule: rule.to_owned(),
                ..caddy()
            };
            if call != "exec" && rule.starts_with("lost_") {
                continue;
            }
            let text = rule_refusal(&refusal);
            assert!(!text.contains("docs/events.md"), "{call} {rule}: {text}");
            assert!(!text.contains("  "), "{text}");
        }
    }
}
