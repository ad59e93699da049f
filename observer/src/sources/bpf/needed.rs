//! Which hooks are missed where they are not attached.

use super::mechanism::{HookStatus, Mechanism};

const COMMONCAP: &str = "cap_capable";
const DROPS: &str = "cap_task_prctl";
/// Only names depend on it, and of most cgroups they are looked up in time.
const CGROUPS: &str = "cgroup_mkdir";
const VERDICT: &str = "security_capable";
/// Modules that refuse capabilities too.
const REFUSE_TOO: [&str; 3] = ["apparmor", "selinux", "safesetid"];

/// Where the tracepoint shows the same, a hook that is not attached is not
/// missed: it recognises drops by the check of SETPCAP, refusals as long as no
/// module refuses besides commoncap.
pub fn mark(hooks: &mut [HookStatus], lsms: &[String]) {
    let tracepoint = hooks.iter().any(|hook| {
        let by = hook.mechanism == Some(Mechanism::Tracepoint);
        hook.hook == COMMONCAP && hook.attached && by
    });
    let alone = !lsms.iter().any(|lsm| REFUSE_TOO.contains(&lsm.as_str()));
    // Whether commoncap's own is needed was decided where it was left out.
    let others = hooks.iter_mut().filter(|hook| hook.hook != COMMONCAP);
    for hook in others.filter(|hook| !hook.attached) {
        let superseded = hook.hook == DROPS || (hook.hook == VERDICT && alone);
        // The tracepoint does not see what rules refuse, and is not expected to.
        hook.needed = hook.hook != CGROUPS && !(tracepoint && (superseded || hook.watches_rules()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(hook: &str, mechanism: Mechanism, attached: bool) -> HookStatus {
        HookStatus {
            hook: hook.to_owned(),
            mechanism: Some(mechanism),
            attached,
            needed: true,
            reason: None,
        }
    }

    fn missed(hooks: &[HookStatus]) -> Vec<&str> {
        let missed = hooks.iter().filter(|hook| hook.is_missed());
        missed.map(|hook| hook.hook.as_str()).collect()
    }

    #[test]
    fn what_the_tracepoint_reports_needs_no_other_hook() {
        let mut hooks = [
            status("cap_capable", Mechanism::Tracepoint, true),
            status("security_capable", Mechanism::Kprobe, false),
            status("cap_task_prctl", Mechanism::Kprobe, false),
        ];
        mark(&mut hooks, &["landlock".to_owned(), "yama".to_owned()]);
        assert!(missed(&hooks).is_empty());
        mark(&mut hooks, &["apparmor".to_owned()]);
        assert_eq!(missed(&hooks), ["security_capable"]);
        hooks[0].attached = false;
        mark(&mut hooks, &[]);
        assert_eq!(
            missed(&hooks),
            ["cap_capable", "security_capable", "cap_task_prctl"]
        );
    }
}
