//! What `AppArmor` refuses. The profiles are those of `tests/vm/profiles`.

use super::Scenario;

pub fn scenarios() -> Vec<Scenario> {
    let one = "count(episodes[supervisor=testsup]) == 1";
    let fatal = "episodes[supervisor=testsup].verdict == fatal";
    let apparmor = "episodes[supervisor=testsup].layer == apparmor";
    vec![
        Scenario::new(
            "apparmor_refuses_a_drop",
            "testbed do profile unprivileged_userns exec testsup do fork clear",
        )
        .exits(1)
        .shows(&[
            one,
            fatal,
            apparmor,
            "episodes[supervisor=testsup].profile == unprivileged_userns",
            "episodes[supervisor=testsup].first_refused == chown",
            "episodes[supervisor=testsup].refused_raised == 1",
            "episodes[supervisor=testsup].explanation ~ unprivileged_userns",
            "denials[capability=setpcap].layer == apparmor",
            "denials[capability=setpcap].profile == unprivileged_userns",
            "denials[capability=setpcap].reason == null",
            "sum(denials[capability=setpcap].count) == 1",
            "audit.records >= 1",
            "audit.matched >= 1",
            "audit.audit_only == 0",
        ]),
        Scenario::new(
            "apparmor_refuses_in_a_user_namespace",
            "testbed do profile unprivileged_userns exec testsup do unshare drop setpcap exit 1",
        )
        .exits(1)
        .shows(&[
            one,
            fatal,
            apparmor,
            "episodes[supervisor=testsup].profile == unprivileged_userns",
            "episodes[supervisor=testsup].first_refused == setpcap",
            "episodes[supervisor=testsup].user_namespace.level == 1",
            "audit.audit_only == 0",
        ]),
        Scenario::new(
            "apparmor_refuses_quietly",
            "testbed do profile capwatch_quiet exec testsup do fork clear",
        )
        .exits(1)
        .shows(&[
            one,
            fatal,
            apparmor,
            "episodes[supervisor=testsup].profile == capwatch_quiet",
            "denials[capability=setpcap].layer == apparmor",
            "denials[capability=setpcap].profile == capwatch_quiet",
            "audit.records == 0",
            "audit.ebpf_only >= 1",
        ]),
        Scenario::new(
            "apparmor_refuses_then_exec",
            "testbed do profile capwatch_quiet exec testsup do fork drop all exec testload do exit 0",
        )
        .shows(&[
            one,
            "episodes[supervisor=testsup].verdict == degraded",
            apparmor,
            "episodes[supervisor=testsup].refused_raised == 41",
            "count(episodes[supervisor=testsup].residual) == 41",
        ]),
        Scenario::new("commoncap_refuses_beside_apparmor", "@chown fork clear").exits(1).shows(&[
            one,
            fatal,
            "episodes[supervisor=testsup].layer == commoncap",
            "episodes[supervisor=testsup].profile == null",
            "episodes[supervisor=testsup].explanation ~ commoncap",
            "audit.records == 0",
            "audit.ebpf_only == 0",
            "audit.audit_only == 0",
        ]),
        Scenario::new(
            "commoncap_refuses_under_a_profile",
            "testbed do drop except:chown profile unprivileged_userns exec testsup do fork clear",
        )
        .exits(1)
        .shows(&[
            one,
            fatal,
            "episodes[supervisor=testsup].layer == commoncap",
            "episodes[supervisor=testsup].profile == null",
            "audit.records == 0",
        ]),
    ]
}
