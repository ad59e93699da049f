//! Sentences on what a rule of the kernel's refuses.

use super::{WITHOUT_SETPCAP, container, fatal};
use crate::{
    config::Release,
    correlate::explain::{Refusal, episode, rule_refusal},
    finding::{Container, Episode, Exit, RuleRefusal, Verdict},
    words::{Broken, Call, Reason},
};

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
        "Process setpriv (pid 7) could not execute /usr/bin/caddy: its file capabilities have the \
         effective bit and include net_bind_service, which is not in the process's bounding set (a \
         rule of the kernel: no check, no LSM, no log). Keep net_bind_service in the bounding \
         set, or remove the file's capabilities (`setcap -r /usr/bin/caddy`)."
    );
    let contained = RuleRefusal {
        container: Some(container(WITHOUT_SETPCAP, WITHOUT_SETPCAP).into()),
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
            container: Some(unit.clone().into()),
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
    assert!(
        text.contains("Remove it from the effective set first"),
        "{text}"
    );
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
             capabilities need it: keep net_bind_service in the bounding set, or remove the \
             file's capabilities (`setcap -r /usr/bin/caddy`)."
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
