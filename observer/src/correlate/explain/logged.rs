//! The sentence of an episode that a log alone tells of.

use super::{
    module,
    remedy::{Case, give},
    words::{list, shown, who},
};
use crate::{
    config::Release,
    finding::{Episode, Fate, Verdict},
};

/// The sentence of such an episode.
pub fn logged_episode(episode: &Episode) -> String {
    let who = who(
        episode.supervisor.as_deref(),
        episode.role.as_deref(),
        &episode.comm,
        Some(episode.pid),
        episode.container.as_ref(),
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
    if episode.verdict == Verdict::Harmless {
        return format!(
            "{who} was refused drops of capabilities that are gone from its set already ({} \
             {calls}): nothing to do.",
            episode.refused_lowered
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
        (Some("lsm"), _) => {
            "its program was executed with CAP_SETPCAP, by the record of that exec, so that a \
             security module or a seccomp filter refused without a record (inferred)"
                .to_owned()
        }
        _ if !episode.effective.is_empty() => {
            "its program was executed without CAP_SETPCAP, by the record of that exec".to_owned()
        }
        _ => {
            "no module's record stands beside it, so that CAP_SETPCAP is not in its effective set \
              (inferred: commoncap writes no records, nor does AppArmor of a denial like its last one)"
                .to_owned()
        }
    };
    let program = episode
        .workload
        .as_ref()
        .and_then(|workload| workload.exe.as_deref());
    let became = match (episode.fate, program) {
        (Fate::Exec, Some(program)) => {
            format!("It executed a program afterwards ({})", shown(program))
        }
        (Fate::Exec, None) => "It executed a program afterwards".to_owned(),
        (Fate::CarriedOn, _) => "It carried on in spite of that".to_owned(),
        (Fate::Exit, _) if episode.verdict == Verdict::Fatal => {
            "It has ended, and the log tells of no exec before".to_owned()
        }
        (Fate::Exit, _) => {
            "It has ended since; whether it executed a program before, only an audit rule for \
             execve would tell"
                .to_owned()
        }
        (Fate::Running, _) => "The log does not tell what became of it".to_owned(),
    };
    let still = match episode.fate {
        Fate::Exit => "",
        _ => "; what of these was in its set still is",
    };
    let left = list(&episode.residual);
    let remedy = remedy(episode);
    format!(
        "{who} could not drop {left} from its bounding set ({} of {} {calls} failed): {why}. {became}{still}. \
         {remedy}",
        episode.refused_raised, episode.drops
    )
}

/// What to change, by the layer that refused.
fn remedy(episode: &Episode) -> String {
    match episode.layer.as_deref() {
        Some("apparmor") => module::apparmor(
            "setpcap",
            episode.profile.as_deref(),
            None,
            &episode.comm,
            Release::default(),
        ),
        Some("selinux") => {
            module::selinux("setpcap", crate::caps::SETPCAP, episode.profile.as_deref())
        }
        Some("seccomp") => "Allow prctl in its seccomp profile.".to_owned(),
        Some("lsm") => "See `capwatch doctor` for the security modules of that host.".to_owned(),
        _ => {
            let case = Case {
                capability: "setpcap",
                container: episode.container.as_ref(),
                ..Case::default()
            };
            format!("{}.", give(&case))
        }
    }
}
