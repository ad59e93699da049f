//! The sentence of an episode that only a log reports.

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
        episode.container.as_deref(),
    );
    let calls = if episode.drops == 1 { "call" } else { "calls" };
    if episode.verdict == Verdict::Ok && episode.refused_raised == 0 {
        return format!(
            "{who} dropped from its bounding set without a refusal ({} {calls}).",
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
            "{who} was refused only capabilities already absent from its bounding set ({} \
             {calls}): nothing to do.",
            episode.refused_lowered
        );
    }
    let profile = episode.profile.as_deref();
    let why = match (episode.layer.as_deref(), profile) {
        (Some("apparmor"), Some(profile)) => {
            format!("AppArmor profile {profile:?} refused CAP_SETPCAP (record of the same call)")
        }
        (Some("selinux"), Some(domain)) => {
            format!("SELinux refused CAP_SETPCAP in domain {domain:?} (record of the same call)")
        }
        (Some("seccomp"), _) => {
            "a seccomp filter refused the call (record of the same call)".to_owned()
        }
        (Some("lsm"), _) => {
            "a security module or a seccomp filter refused without a record (inferred: the exec \
             record shows that the process had CAP_SETPCAP)"
                .to_owned()
        }
        _ if !episode.effective.is_empty() => {
            "the exec record shows that the process had no CAP_SETPCAP".to_owned()
        }
        _ => "CAP_SETPCAP is probably not in its effective set (inferred: no module logged this \
            call; but AppArmor leaves out repeated denials)"
            .to_owned(),
    };
    let program = episode
        .workload
        .as_ref()
        .and_then(|workload| workload.exe.as_deref());
    let became = match (episode.fate, program) {
        (Fate::Exec, Some(program)) => {
            format!("It then ran a program ({})", shown(program))
        }
        (Fate::Exec, None) => "It then ran a program".to_owned(),
        (Fate::CarriedOn, _) => "It carried on".to_owned(),
        (Fate::Exit, _) if episode.verdict == Verdict::Fatal => {
            "It exited, and the log shows no exec before that".to_owned()
        }
        (Fate::Exit, _) => {
            "It has exited. Only an audit rule shows whether it ran a program first: auditctl -a \
             always,exit -F arch=b64 -S execve"
                .to_owned()
        }
        (Fate::Running, _) => "The log does not show whether it exited or ran a program".to_owned(),
    };
    let still = match episode.fate {
        Fate::Exit => "",
        _ => "; these capabilities stay in its set",
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
        Some("seccomp") => "Allow prctl in the seccomp profile.".to_owned(),
        Some("lsm") => {
            "Run `capwatch doctor` on that host: it lists the security modules.".to_owned()
        }
        _ => {
            let case = Case {
                capability: "setpcap",
                container: episode.container.as_deref(),
                ..Case::default()
            };
            format!("{}.", give(&case))
        }
    }
}
