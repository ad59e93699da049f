//! The sentence of an episode that a log alone tells of.

use super::{
    module,
    remedy::{Case, give},
    words::{list, who},
};
use crate::finding::{Episode, Verdict};

/// The sentence of such an episode.
pub fn logged_episode(episode: &Episode) -> String {
    let who = who(
        episode.supervisor.as_deref(),
        episode.role.as_deref(),
        &episode.comm,
        Some(episode.pid),
        None,
    );
    let calls = if episode.drops == 1 { "call" } else { "calls" };
    if episode.verdict == Verdict::Ok && episode.refused_raised == 0 {
        return format!(
            "{who} dropped from its bounding set and was refused nothing ({} {calls}).",
            episode.drops
        );
    }
    if episode.verdict == Verdict::Ok {
        return format!(
            "{who} was refused drops from its bounding set at first, and dropped the same \
             capabilities later: nothing to do."
        );
    }
    let profile = episode.profile.as_deref();
    let why = match (episode.layer.as_deref(), profile) {
        (Some("apparmor"), Some(profile)) => {
            format!(
                "AppArmor profile {profile:?} refused CAP_SETPCAP, by the record of the same call"
            )
        }
        (Some("selinux"), Some(domain)) => {
            format!(
                "SELinux refused CAP_SETPCAP in domain {domain:?}, by the record of the same call"
            )
        }
        (Some("seccomp"), _) => {
            "a seccomp filter refused the call, by the record of the same call".to_owned()
        }
        _ => {
            "no module's record stands beside it, so that CAP_SETPCAP is not in its effective set \
              (inferred; commoncap writes no records)"
                .to_owned()
        }
    };
    let became = match episode.verdict {
        Verdict::Degraded => "It executed a program afterwards",
        _ => "The log does not tell what became of it",
    };
    let left = list(&episode.residual);
    let remedy = match episode.layer.as_deref() {
        Some("apparmor") => module::apparmor("setpcap", profile, None, &episode.comm),
        Some("selinux") => module::selinux("setpcap", crate::caps::SETPCAP, profile),
        Some("seccomp") => "Allow prctl in its seccomp profile.".to_owned(),
        _ => {
            let case = Case {
                capability: "setpcap",
                ..Case::default()
            };
            format!("{}.", give(&case))
        }
    };
    format!(
        "{who} could not drop {left} from its bounding set ({} of {} {calls} failed): {why}. {became}; \
         what of these was in its set still is. {remedy}",
        episode.refused_raised, episode.drops
    )
}
