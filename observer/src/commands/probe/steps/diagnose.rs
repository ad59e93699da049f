//! Which layer or rule refused a step, from its errno, the process's own
//! status, and the host's settings.

use super::{attempt::Account, order::Step};
use crate::open;

/// What of the host decides about namespaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `kernel.unprivileged_userns_clone`, where there is one.
    pub userns_clone: Option<u64>,
    /// `user.max_user_namespaces`.
    pub max_user: Option<u64>,
    /// `kernel.apparmor_restrict_unprivileged_userns`.
    pub apparmor_restricts: bool,
}

impl Settings {
    /// This host's.
    pub fn read() -> Self {
        let number = |name: &str| -> Option<u64> {
            let text = open::text(format!("/proc/sys/{name}")).ok()?;
            text.trim().parse().ok()
        };
        Self {
            userns_clone: number("kernel/unprivileged_userns_clone"),
            max_user: number("user/max_user_namespaces"),
            apparmor_restricts: number("kernel/apparmor_restrict_unprivileged_userns")
                .is_some_and(|value| value != 0),
        }
    }
}

/// The layer, and the sentence.
pub fn diagnose(
    step: Step,
    errno: i32,
    account: &Account,
    settings: &Settings,
) -> (&'static str, String) {
    let (layer, why) = reason(step, errno, account, settings);
    let error = std::io::Error::from_raw_os_error(errno);
    (layer, format!("{} failed ({error}): {why}", step.as_str()))
}

fn reason(
    step: Step,
    errno: i32,
    account: &Account,
    settings: &Settings,
) -> (&'static str, String) {
    match step {
        Step::UserNamespace => user_namespace(errno, account, settings),
        Step::NestedNamespace | Step::NetworkNamespace | Step::MountNamespace => {
            namespace(errno, account)
        }
        Step::UidMapZero | Step::UidMap | Step::GidMap | Step::NestedUidMap => {
            map(step, errno, account)
        }
        Step::Tun if matches!(errno, libc::ENOENT | libc::ENODEV | libc::ENXIO) => (
            "device",
            "/dev/net/tun is absent; add `--device /dev/net/tun`".to_owned(),
        ),
        Step::Tun if errno == libc::EACCES => (
            "device",
            "the kernel refuses to open /dev/net/tun (its mode, or the cgroup's device rules); \
             add `--device /dev/net/tun`"
                .to_owned(),
        ),
        Step::ProcMount if errno == libc::EPERM && account.proc_mounts > 0 => (
            "masked_proc",
            format!(
                "{} mounts hide parts of /proc, and the kernel makes no new proc that would show \
                 them; no capability helps. Docker: `--security-opt systempaths=unconfined`; \
                 Podman: `--security-opt unmask=ALL`",
                account.proc_mounts
            ),
        ),
        Step::Setgroups
        | Step::NestedSetgroups
        | Step::LoopbackAddress
        | Step::LoopbackLink
        | Step::Tun
        | Step::SlaveMount
        | Step::BindMount
        | Step::ProcMount => within(account),
    }
}

fn user_namespace(errno: i32, account: &Account, settings: &Settings) -> (&'static str, String) {
    if matches!(errno, libc::ENOSPC | libc::EUSERS) {
        let value = settings
            .max_user
            .map_or("?".to_owned(), |max| max.to_string());
        return (
            "sysctl",
            format!(
                "the limit is reached: user.max_user_namespaces is {value}; raise it (sysctl -w user.max_user_namespaces=15000)"
            ),
        );
    }
    if matches!(errno, libc::EINVAL | libc::ENOSYS) {
        return ("kernel", "this kernel has no user namespaces".to_owned());
    }
    if settings.userns_clone == Some(0) && account.uid != 0 {
        return (
            "sysctl",
            "kernel.unprivileged_userns_clone is 0; run sysctl -w kernel.unprivileged_userns_clone=1".to_owned(),
        );
    }
    if account.chroot {
        return (
            "rule",
            "the process is in a chroot, where the kernel makes no user namespace; enter the tree \
             with pivot_root instead"
                .to_owned(),
        );
    }
    if account.seccomp {
        return seccomp();
    }
    match confined(account.label.as_deref()) {
        Some(found) => found,
        None if settings.apparmor_restricts => (
            "apparmor",
            "AppArmor restricts user namespaces \
             (kernel.apparmor_restrict_unprivileged_userns is 1); give the program a profile for \
             its path with `userns,`"
                .to_owned(),
        ),
        None => unknown(),
    }
}

fn namespace(errno: i32, account: &Account) -> (&'static str, String) {
    if matches!(errno, libc::ENOSPC | libc::EUSERS) {
        return (
            "sysctl",
            "the limit of these namespaces is reached (`sysctl user | grep max_`), or they are \
             nested too deep"
                .to_owned(),
        );
    }
    within(account)
}

fn map(step: Step, errno: i32, account: &Account) -> (&'static str, String) {
    if errno == libc::EACCES {
        return within(account);
    }
    let zero = account.uid == 0 && step != Step::GidMap && step != Step::NestedUidMap;
    if zero && !account.setfcap {
        return (
            "rule",
            "CAP_SETFCAP was not effective when the user namespace was created, so the kernel \
             refuses a map of the parent's id 0; add SETFCAP (`--cap-add SETFCAP`), or run as \
             another user; do not grant SYS_ADMIN for this"
                .to_owned(),
        );
    }
    if step == Step::UidMapZero && account.uid != 0 {
        return (
            "rule",
            "a process may map only its own id; use newuidmap with a range in /etc/subuid for others".to_owned(),
        );
    }
    within(account)
}

/// What refuses within the new namespace, in which all capabilities are held:
/// a module's profile, also one that it was moved into, or a filter.
fn within(account: &Account) -> (&'static str, String) {
    if let Some(found) = confined(account.label_after.as_deref()) {
        return found;
    }
    if account.seccomp {
        return seccomp();
    }
    unknown()
}

fn seccomp() -> (&'static str, String) {
    (
        "seccomp",
        "probably the active seccomp filter (Seccomp: 2): no module confines the process, and \
         no rule refuses it; allow the call in the container's profile"
            .to_owned(),
    )
}

fn confined(label: Option<&str>) -> Option<(&'static str, String)> {
    let label = label?;
    // SELinux writes user:role:type:level, AppArmor `profile (mode)`.
    let apparmor = label.ends_with(')') || label.matches(':').count() < 3;
    if apparmor {
        if label.ends_with("(complain)") {
            return None;
        }
        return Some((
            "apparmor",
            format!(
                "AppArmor's profile {label} refuses it; give the program a profile for its own \
                 path"
            ),
        ));
    }
    Some((
        "selinux",
        format!("SELinux refuses it in {label}; `ausearch -m AVC -ts recent` shows the record"),
    ))
}

fn unknown() -> (&'static str, String) {
    (
        "lsm",
        "no setting, filter or label explains it: probably a security module without a label, or BPF"
            .to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(step: Step, errno: i32, account: &Account, settings: Settings) -> &'static str {
        let (layer, sentence) = diagnose(step, errno, account, &settings);
        assert!(sentence.contains(step.as_str()), "{sentence}");
        layer
    }

    #[test]
    fn each_layer_is_identified_by_what_only_it_does() {
        let plain = Account {
            uid: 1000,
            ..Account::default()
        };
        let none = Settings::default();
        let eperm = libc::EPERM;
        let filtered = Account {
            seccomp: true,
            ..plain.clone()
        };
        let restricted = Account {
            label_after: Some("unprivileged_userns (enforce)".to_owned()),
            ..filtered.clone()
        };
        let off = Settings {
            userns_clone: Some(0),
            ..none
        };
        let masked = Account {
            proc_mounts: 3,
            ..restricted.clone()
        };
        let chroot = Account {
            chroot: true,
            ..filtered.clone()
        };
        for (expected, step, errno, account, settings) in [
            ("sysctl", Step::UserNamespace, libc::ENOSPC, &plain, none),
            ("sysctl", Step::UserNamespace, eperm, &plain, off),
            ("seccomp", Step::UserNamespace, eperm, &filtered, none),
            ("rule", Step::UserNamespace, eperm, &chroot, none),
            ("lsm", Step::UserNamespace, eperm, &plain, none),
            ("apparmor", Step::Setgroups, libc::EACCES, &restricted, none),
            ("apparmor", Step::LoopbackAddress, eperm, &restricted, none),
            ("masked_proc", Step::ProcMount, eperm, &masked, none),
            ("apparmor", Step::ProcMount, libc::EACCES, &masked, none),
            ("device", Step::Tun, libc::ENOENT, &plain, none),
            ("rule", Step::UidMapZero, eperm, &plain, none),
        ] {
            assert_eq!(layer(step, errno, account, settings), expected, "{step:?}");
        }
    }

    #[test]
    fn a_map_of_id_0_wants_setfcap_of_the_creator() {
        let mut root = Account::default();
        let sentence = diagnose(Step::UidMap, libc::EPERM, &root, &Settings::default());
        assert_eq!(sentence.0, "rule");
        assert!(sentence.1.contains("SETFCAP"), "{}", sentence.1);
        root.setfcap = true;
        root.seccomp = true;
        let diagnosis = diagnose(Step::UidMap, libc::EPERM, &root, &Settings::default());
        assert_eq!(diagnosis.0, "seccomp");
    }

    #[test]
    fn labels_are_distinguished() {
        let layer_of = |label| confined(Some(label)).map(|(layer, _)| layer);
        assert_eq!(layer_of("bwrap//&unpriv_bwrap (enforce)"), Some("apparmor"));
        assert_eq!(
            layer_of("system_u:system_r:container_t:s0:c1,c2"),
            Some("selinux")
        );
        assert_eq!(layer_of("test (complain)"), None);
        assert_eq!(confined(None), None);
    }
}
