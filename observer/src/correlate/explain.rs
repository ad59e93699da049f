//! One sentence for a person: who, what, which layer and why it refused, what
//! became of it, and what to change. Only from facts at hand; what is inferred
//! is said to be.

use observer_ebpf::Reason;

use crate::{
    config::{Expectation, Supervisor},
    finding::{Container, Denial, Episode, Fate, Verdict},
};

/// What is known of a refused drop beyond the episode.
pub struct Refusal<'a> {
    /// Why commoncap refused.
    pub reason: Reason,
    /// The rule of the supervisor.
    pub rule: Option<&'a Supervisor>,
}

/// The sentence of an episode.
pub fn episode(episode: &Episode, refusal: &Refusal<'_>) -> String {
    let who = who(
        episode.supervisor.as_deref(),
        episode.role.as_deref(),
        &episode.comm,
        Some(episode.pid),
        episode.container.as_ref(),
    );
    let sentence = match episode.verdict {
        Verdict::Ok if episode.retried => format!(
            "{who} was refused drops from its bounding set at first and lowered every bit in the end: nothing to do."
        ),
        Verdict::Ok if episode.unknown_capability == episode.drops => format!(
            "{who} asked to drop capability numbers that this kernel does not know: nothing to do."
        ),
        Verdict::Ok => format!(
            "{who} dropped from its bounding set and was refused nothing ({} calls).",
            episode.drops
        ),
        Verdict::Harmless => format!(
            "{who} was refused drops of bits that were lowered already ({} calls): nothing was left raised.",
            episode.refused_lowered
        ),
        Verdict::Pending | Verdict::Degraded | Verdict::Fatal => {
            format!(
                "{who} {}; {}. {}",
                refused(episode, refusal),
                became(episode),
                remedy(episode)
            )
        }
    };
    match refusal.rule.and_then(|rule| rule.note.as_deref()) {
        Some(note) if episode.verdict >= Verdict::Pending => format!("{sentence} Note: {note}."),
        _ => sentence,
    }
}

fn refused(episode: &Episode, refusal: &Refusal<'_>) -> String {
    let capability = episode.first_refused.as_deref().unwrap_or("a capability");
    let what = format!("could not drop {capability} from its bounding set: ");
    let why = match (episode.layer.as_deref(), episode.profile.as_deref()) {
        (Some("commoncap"), _) if refusal.reason == Reason::Namespace => {
            "commoncap refused, since its credential has no power over that user namespace; \
             no LSM was asked"
                .to_owned()
        }
        (Some("commoncap"), _) => "commoncap refused, since CAP_SETPCAP is not in its effective \
                                   set; no LSM was asked and nothing was logged"
            .to_owned(),
        (Some("apparmor"), Some(profile)) => {
            format!("AppArmor profile \"{profile}\" refused CAP_SETPCAP, which it holds")
        }
        (Some("apparmor"), None) => {
            "AppArmor refused CAP_SETPCAP, which it holds; the profile is not told".to_owned()
        }
        (Some("selinux"), domain) => {
            let domain = domain.map_or(String::new(), |domain| format!(" in domain {domain}"));
            format!("SELinux refused CAP_SETPCAP, which it holds,{domain}")
        }
        (Some("seccomp"), _) => "a seccomp filter refused the call".to_owned(),
        _ => "it holds CAP_SETPCAP, so a security module refused (inferred: it is not told which)"
            .to_owned(),
    };
    what + &why
}

fn became(episode: &Episode) -> String {
    let left = list(&episode.residual);
    let after = duration(episode.duration_seconds);
    match episode.fate {
        Fate::Exec => format!(
            "it went on to exec after {after}, and its workload runs with {left} still raised"
        ),
        Fate::Running => format!("it is still running after {after} with {left} still raised"),
        Fate::Exit => {
            let how = match episode.exit {
                Some(exit) => match (exit.code, exit.signal) {
                    (Some(code), _) => format!("with code {code}"),
                    (None, Some(signal)) => format!("by signal {signal}"),
                    (None, None) => "in an unknown way".to_owned(),
                },
                None => "in an unknown way".to_owned(),
            };
            format!("it ended without exec after {after}, {how}")
        }
    }
}

fn remedy(episode: &Episode) -> String {
    match (episode.layer.as_deref(), episode.profile.as_deref()) {
        (Some("commoncap"), _) if episode.container.is_some() => {
            "Add SETPCAP to the container's capabilities (podman run --cap-add SETPCAP), \
             or have the supervisor not drop what it may not."
                .to_owned()
        }
        (Some("commoncap"), _) => {
            "Give it CAP_SETPCAP (in a container: --cap-add SETPCAP; under systemd: \
             AmbientCapabilities=), or have it not drop what it may not."
                .to_owned()
        }
        (Some("apparmor"), Some(profile)) => {
            format!(
                "Allow \"capability setpcap,\" in profile \"{profile}\", or run it under another profile."
            )
        }
        (Some("selinux"), _) => {
            "Allow cap_userns or capability setpcap for its domain (audit2allow shows the rule)."
                .to_owned()
        }
        (Some("seccomp"), _) => "Allow prctl in the seccomp profile.".to_owned(),
        _ => "See the audit log and the LSMs in `capwatch doctor` for who refused.".to_owned(),
    }
}

/// The sentence of a row of denials.
pub fn denial(denial: &Denial, expected: Option<&Expectation>) -> String {
    let who = who(
        denial.supervisor.as_deref(),
        denial.role.as_deref(),
        &denial.comm,
        None,
        denial.container.as_ref(),
    );
    let why = match (denial.layer.as_str(), denial.reason.as_deref()) {
        ("commoncap", Some("not_effective")) => {
            "by commoncap: it is not in the effective set".to_owned()
        }
        ("commoncap", Some("namespace")) => {
            "by commoncap: the resource belongs to a user namespace that its credential has no power over"
                .to_owned()
        }
        ("commoncap", _) => "by commoncap".to_owned(),
        ("apparmor", _) => match &denial.profile {
            Some(profile) => format!("by AppArmor profile \"{profile}\", though commoncap granted it"),
            None => "by AppArmor, though commoncap granted it".to_owned(),
        },
        ("selinux", _) => "by SELinux, though commoncap granted it".to_owned(),
        (layer, _) => format!("by {layer}, though commoncap granted it"),
    };
    let mut text = format!("{who} was refused {} {why}", denial.capability);
    if let Some(expected) = expected {
        text += "; a rule expects this";
        if let Some(note) = &expected.note {
            text = format!("{text} ({note})");
        }
    } else if denial.audited == "no" {
        text += "; the kernel asked without wanting a record, so nothing is logged";
    } else if denial.audited == "unknown" && denial.number == crate::caps::SYS_ADMIN {
        text += "; most likely memory accounting, which every process asks for (the tracepoint can't tell)";
    }
    if !denial.own_credentials {
        text += "; the check was made with other credentials than the task's own";
    }
    text + "."
}

fn who(
    supervisor: Option<&str>,
    role: Option<&str>,
    comm: &str,
    pid: Option<u32>,
    container: Option<&Container>,
) -> String {
    let pid = pid.map_or(String::new(), |pid| format!(" (pid {pid})"));
    let place = container.map_or(String::new(), |container| {
        let name = container.name.as_deref().unwrap_or(&container.id);
        let image = container.image.as_deref();
        let image = image.map_or(String::new(), |image| format!(" (image {image})"));
        format!(" in {} container {name}{image}", container.runtime)
    });
    match (supervisor, role) {
        (Some(supervisor), Some("workload")) => {
            format!("{comm}{pid}, a workload of supervisor {supervisor}{place},")
        }
        (Some(supervisor), _) => format!("Supervisor {supervisor}, process {comm}{pid}{place},"),
        (None, _) => format!("Process {comm}{pid}{place}"),
    }
}

fn list(names: &[String]) -> String {
    const SHOWN: usize = 3;
    match names.len() {
        0 => "nothing".to_owned(),
        count if count <= SHOWN + 1 => names.join(", "),
        count => format!("{} and {} more", names[..SHOWN].join(", "), count - SHOWN),
    }
}

/// A duration in the unit that suits it.
fn duration(seconds: f64) -> String {
    if seconds < 0.001 {
        format!("{:.0} µs", seconds * 1e6)
    } else if seconds < 1.0 {
        format!("{:.1} ms", seconds * 1e3)
    } else {
        format!("{seconds:.1} s")
    }
}
