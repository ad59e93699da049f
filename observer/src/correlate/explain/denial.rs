//! The sentence of a row of denials.

use super::{
    module,
    remedy::{Case, give},
    words::who,
};
use crate::{
    caps,
    config::{Expectation, Release, Supervisor},
    finding::{Container, Denial},
    time::Stamp,
};

/// The sentence of a row of denials that the audit log alone reports.
pub fn logged(denial: &Denial, release: Release) -> String {
    let who = who(
        denial.supervisor.as_deref(),
        denial.role.as_deref(),
        if denial.comm.is_empty() {
            "unknown"
        } else {
            &denial.comm
        },
        denial.pid,
        None,
    );
    let why = why(denial, None);
    let last = match (denial.count, denial.last) {
        (_, Stamp(0)) => String::new(),
        (1, time) => format!(" at {time}"),
        (_, time) => format!(", most recently at {time}"),
    };
    let mut text = format!(
        "{who} was refused {}{last} {why} (from the audit log only).",
        denial.capability
    );
    if let Some(remedy) = remedy(denial, None, release) {
        text = format!("{text} {remedy}");
    }
    text
}

/// The sentence of a row of denials.
pub fn denial(
    denial: &Denial,
    expected: Option<&Expectation>,
    rule: Option<&Supervisor>,
    release: Release,
) -> String {
    let who = who(
        denial.supervisor.as_deref(),
        denial.role.as_deref(),
        &denial.comm,
        None,
        denial.container.as_deref(),
    );
    let workload = denial.role.as_deref() == Some("workload");
    let inside = workload || !rule.is_some_and(|rule| rule.runtime);
    let container = denial.container.as_deref().filter(|_| inside);
    let why = why(denial, container);
    let mut text = format!("{who} was refused {} {why}", denial.capability);
    if let Some(expected) = expected {
        text += "; a rule expects this";
        if let Some(note) = &expected.note {
            text = format!("{text} ({note})");
        }
    } else if let Some(passing) = denial.in_passing() {
        text = format!("{text}; the kernel checks {passing}");
    } else if denial.audited == "no" {
        text += "; the kernel made this check without audit, so there is no record";
    } else if denial.audited == "unknown" && denial.number == caps::SYS_ADMIN {
        text += "; this is probably routine memory accounting, which can be ignored: do not grant \
                 SYS_ADMIN for it (the tracepoint cannot confirm it)";
    }
    if !denial.own_credentials {
        text += "; the check used credentials other than the process's own";
    }
    text.push('.');
    if denial.is_notable()
        && let Some(remedy) = remedy(denial, container, release)
    {
        text = format!("{text} {remedy}");
    }
    text
}

fn why(denial: &Denial, container: Option<&Container>) -> String {
    match (denial.layer.as_str(), denial.reason.as_deref()) {
        ("commoncap", Some("not_effective")) => {
            let lacks = container.is_some_and(|container| container.lacks(denial.number));
            let lacks = if lacks {
                ", nor among the container's capabilities"
            } else {
                ""
            };
            format!("by commoncap: it is not in the effective set{lacks}")
        }
        ("commoncap", Some("namespace")) => {
            "by commoncap: the process has no authority over the user namespace that owns the resource"
                .to_owned()
        }
        ("commoncap", _) => "by commoncap".to_owned(),
        ("apparmor", _) => match &denial.profile {
            Some(profile) => {
                let place = module::namespace(denial.namespace.as_deref());
                format!("by AppArmor profile {profile:?}{place}, though commoncap granted it")
            }
            None => "by AppArmor, though commoncap granted it".to_owned(),
        },
        ("selinux", _) => match &denial.profile {
            Some(domain) => format!("by SELinux in domain {domain:?}, though commoncap granted it"),
            None => "by SELinux, though commoncap granted it".to_owned(),
        },
        (layer, _) => format!("by {layer}, though commoncap granted it"),
    }
}

/// What to look at before anybody gives a capability to pass over a file's mode.
const FILE: &str = "The file's permissions forbid the access. The kernel then checks DAC_OVERRIDE \
    and DAC_READ_SEARCH, and answers EACCES without them. Many programs only try (a search along \
    PATH, access(2)), so this may be harmless. If the program fails: fix the owner or the mode of \
    the file (chown, chmod); do not grant a capability for it.";

/// What to change: for a module's denial, and for what a supervisor was
/// refused; what a workload is refused is often the sandbox at work.
fn remedy(denial: &Denial, container: Option<&Container>, release: Release) -> Option<String> {
    let capability = denial.capability.as_str();
    match (denial.layer.as_str(), denial.profile.as_deref()) {
        ("apparmor", profile) => Some(module::apparmor(
            capability,
            profile,
            denial.namespace.as_deref(),
            &denial.comm,
            release,
        )),
        ("selinux", domain) => Some(module::selinux(capability, denial.number, domain)),
        ("commoncap", _)
            if denial.role.as_deref() == Some("supervisor")
                && denial.reason.as_deref() == Some("not_effective") =>
        {
            if denial.is_of_file() {
                return Some(FILE.to_owned());
            }
            let case = Case {
                capability,
                container,
                ..Case::default()
            };
            Some(format!(
                "capwatch sees the check, not the result of the call, which may have succeeded. \
                 Act only if the program fails because of it. {}.",
                give(&case)
            ))
        }
        _ => None,
    }
}
