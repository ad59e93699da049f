//! What to change, so an episode ends otherwise.

use super::{Refusal, has_given_it_up, has_setpcap};
use crate::{
    caps,
    correlate::explain::{
        module,
        remedy::{self, Case},
    },
    finding::Episode,
    words::Reason,
};

/// What is known of the process that should be given SETPCAP.
pub(super) fn case<'a>(episode: &'a Episode, refusal: &Refusal<'a>) -> Case<'a> {
    Case {
        capability: "setpcap",
        container: episode.container.as_deref(),
        is_outside: is_outside(refusal, episode),
        uid: refusal.uid,
        in_bounding: Some(has_setpcap(&episode.bounding_before)),
        launcher: refusal.launcher.or_else(|| became_it(episode, refusal)),
    }
}

/// The launcher that became the process, outside of any container.
fn became_it<'a>(episode: &Episode, refusal: &Refusal<'a>) -> Option<&'a str> {
    let is_workload = episode.role.as_deref() == Some("workload");
    let rule = refusal.rule.filter(|rule| rule.launcher && is_workload);
    let name = rule.map(|rule| &*rule.name);
    name.filter(|_| episode.container.is_none() && !is_nested(episode, refusal))
}

pub(super) fn advice(episode: &Episode, refusal: &Refusal<'_>) -> String {
    match (episode.layer.as_deref(), episode.profile.as_deref()) {
        (Some("commoncap"), _) if refusal.reason == Reason::Namespace => {
            "Make it drop capabilities before it enters another user namespace.".to_owned()
        }
        (Some("commoncap"), _) if of_rule(episode, refusal).is_some() => {
            format!("{}.", of_rule(episode, refusal).unwrap_or_default())
        }
        (Some("commoncap"), _) if has_given_it_up(episode, refusal) => {
            format!("{}.", remedy::keep(&case(episode, refusal)))
        }
        (Some("commoncap"), _) => format!(
            "{}{}.",
            remedy::give(&case(episode, refusal)),
            // Where it is known who started it, there is one remedy.
            if is_placed(episode, refusal) {
                ""
            } else {
                ", or stop it from dropping capabilities that it is not allowed to drop"
            }
        ),
        (Some("apparmor"), Some(profile)) => module::apparmor(
            "setpcap",
            Some(profile),
            None,
            &episode.comm,
            refusal.release,
        ),
        (Some("selinux"), domain) => module::selinux("setpcap", caps::SETPCAP, domain),
        (Some("seccomp"), _) => "Allow prctl in the seccomp profile.".to_owned(),
        _ => "To find the module that refused: ausearch -m AVC -ts recent, and the list of LSMs \
            in `capwatch doctor`."
            .to_owned(),
    }
}

/// Whether it is known what started the process, and so where it gets its capabilities.
fn is_placed(episode: &Episode, refusal: &Refusal<'_>) -> bool {
    let Case {
        container,
        launcher,
        ..
    } = case(episode, refusal);
    container.is_some() || launcher.is_some()
}

/// What the rule of a supervisor itself says to change.
fn of_rule<'a>(episode: &Episode, refusal: &Refusal<'a>) -> Option<&'a str> {
    let own = episode.role.as_deref() == Some("supervisor");
    let rule = refusal.rule.filter(|_| own)?;
    rule.remedy.as_deref()
}

/// Whether it is a runtime's own program, which runs outside of the container.
pub(super) fn is_outside(refusal: &Refusal<'_>, episode: &Episode) -> bool {
    let workload = episode.role.as_deref() == Some("workload") && !is_nested(episode, refusal);
    refusal.rule.is_some_and(|rule| rule.runtime) && !workload
}

/// Whether it is a supervisor's own process, though a workload to the one above:
/// the chain begins with the owner.
pub(super) fn is_nested(episode: &Episode, refusal: &Refusal<'_>) -> bool {
    refusal.is_program
        && episode.role.as_deref() == Some("workload")
        && matches!(&episode.chain[..], [only] if only.pid == episode.pid)
}
