//! Sentences on facts at hand.

mod denials;
mod episodes;
mod rules;

use super::{Refusal, episode};
use crate::{
    config::Rules,
    finding::{Container, Episode, Exit, Fate, Namespace, Requested, Verdict},
    words::Reason,
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
        container: container.map(Into::into),
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
