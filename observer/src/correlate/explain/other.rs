//! The sentence of records that are no capability denials.

use super::words::shown;
use crate::finding::{Other, Sort};

/// The sentence of such a row.
pub fn other(row: &Other) -> String {
    let pid = row.pid.map_or(String::new(), |pid| format!(" (pid {pid})"));
    let who = match row.comm.as_deref() {
        Some(comm) => format!("{}{pid}", shown(comm)),
        None => format!("A process{pid}"),
    };
    let profile = row.profile.as_deref().unwrap_or("?");
    let capability = row.capability.as_deref().unwrap_or("a capability");
    let operation = row.operation.as_deref();
    match row.kind {
        Sort::Seccomp => seccomp(row, &who),
        Sort::Capset => capset(row, &who),
        Sort::UsernsCreate if row.verdict.as_deref() == Some("audit") => format!(
            "{who} created a user namespace. AppArmor moved the process into another profile, \
             which refuses capabilities there."
        ),
        Sort::UsernsCreate if row.lsm.as_deref() == Some("selinux") => format!(
            "SELinux refused {who} a new user namespace, in domain {profile:?}. If the program \
             needs one, load a module with only user_namespace create for that domain \
             (audit2allow -M writes modules, semodule -i loads them)."
        ),
        Sort::UsernsCreate if row.verdict.as_deref() == Some("allowed") => format!(
            "{who} created a user namespace under AppArmor profile {profile:?} in complain mode; \
             enforce mode would refuse it."
        ),
        Sort::UsernsCreate => format!(
            "AppArmor refused {who} a new user namespace (profile {profile:?}); sandboxes and \
             rootless containers need one. Fix: add a profile with \"userns,\" for the path of \
             the executed file (readlink -f FILE). Last resort: sysctl \
             kernel.apparmor_restrict_unprivileged_userns=0, which lifts the restriction for every \
             program."
        ),
        Sort::Complain => format!(
            "{who} requested {capability} under AppArmor profile {profile:?} in complain mode: \
             allowed, but would be refused in enforce mode."
        ),
        Sort::Permissive => format!(
            "{who} requested {capability} in SELinux domain {profile:?}, which is permissive: \
             allowed, but would be refused in enforcing mode."
        ),
        Sort::Granted => format!(
            "{who} requested {capability} under {profile:?}: granted, and logged because a rule \
             requires a record."
        ),
        Sort::Other => {
            let module = match row.lsm.as_deref() {
                Some("apparmor") => "AppArmor",
                Some("selinux") => "SELinux",
                _ => "A security module",
            };
            let what = operation.map_or_else(
                || "access to a file, a socket or the like".to_owned(),
                |name| shown(name).into(),
            );
            let verb = match row.verdict.as_deref() {
                Some("allowed") => "would refuse in enforce mode",
                _ => "refused",
            };
            format!("{module} {verb} {what}, which is no capability check.")
        }
    }
}

fn capset(row: &Other, who: &str) -> String {
    let profile = row.profile.as_deref().unwrap_or("?");
    match row.lsm.as_deref() {
        Some("apparmor") => {
            format!(
                "capset of {who} failed (EPERM): AppArmor profile {profile:?} refused CAP_SETPCAP."
            )
        }
        Some("selinux") => {
            format!("capset of {who} failed (EPERM): SELinux refused it in domain {profile:?}.")
        }
        Some("seccomp") => format!("capset of {who} failed: a seccomp filter refused the call."),
        _ => format!(
            "capset of {who} failed (EPERM): it probably requested capabilities that it does not \
             hold (inferred: no module logged this call)."
        ),
    }
}

fn seccomp(row: &Other, who: &str) -> String {
    let call = row.operation.as_deref();
    let call = call.map_or_else(|| "a system call".to_owned(), |call| shown(call).into());
    let drops = match row.operation.as_deref() {
        Some("prctl") => " (which drops from the bounding set, among other things)",
        Some("capset") => " (which sets a process's capabilities)",
        Some("unshare" | "clone" | "clone3" | "setns") => " (which makes or enters namespaces)",
        _ => "",
    };
    let did = match row.verdict.as_deref() {
        Some("killed") => format!("seccomp killed {who} for calling {call}{drops}"),
        _ => format!("seccomp refused {who} the system call {call}{drops}"),
    };
    format!(
        "{did}, before the kernel checked any capability. Capabilities do not help: allow the call \
         in the seccomp profile."
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Stamp;

    fn row(kind: Sort, verdict: &str) -> Other {
        Other {
            kind,
            lsm: Some("apparmor".to_owned()),
            verdict: Some(verdict.to_owned()),
            operation: Some("prctl".to_owned()),
            capability: Some("bpf".to_owned()),
            profile: Some("p".to_owned()),
            comm: Some("a b".to_owned()),
            pid: Some(7),
            count: 1,
            first: Stamp(0),
            last: Stamp(0),
            explanation: String::new(),
        }
    }

    #[test]
    fn each_sort_has_its_sentence_and_names_stay_in_their_quotes() {
        for (kind, verdict, words) in [
            (
                Sort::Seccomp,
                "denied",
                "seccomp refused \"a b\" (pid 7) the system call prctl",
            ),
            (
                Sort::Seccomp,
                "killed",
                "seccomp killed \"a b\" (pid 7) for calling prctl",
            ),
            (
                Sort::UsernsCreate,
                "denied",
                "refused \"a b\" (pid 7) a new user namespace",
            ),
            (
                Sort::UsernsCreate,
                "audit",
                "moved the process into another profile",
            ),
            (
                Sort::Complain,
                "allowed",
                "would be refused in enforce mode",
            ),
            (
                Sort::Permissive,
                "allowed",
                "would be refused in enforcing mode",
            ),
            (Sort::Granted, "audit", "granted, and logged"),
            (
                Sort::Other,
                "denied",
                "AppArmor refused prctl, which is no capability check",
            ),
        ] {
            let text = other(&row(kind, verdict));
            assert!(text.contains(words), "{words}: {text}");
        }
    }
}
