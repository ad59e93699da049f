use super::*;

fn findings(change: impl FnOnce(&mut Facts, &mut Vec<SourceReport>)) -> Vec<Finding> {
    let mut facts = Facts::gather();
    facts.audit.off_at_boot = false;
    facts.audit.owner = None;
    facts.audit.status = None;
    facts.lockdown = None;
    let mut sources = Vec::new();
    change(&mut facts, &mut sources);
    find(&Seen {
        facts: &facts,
        kernel: "6.12.1",
        lsm: &["capability".to_owned()],
        held: CapSet(u64::MAX),
        hooks: &[],
        sources: &sources,
        tests: &[],
        sight: &Sight::default(),
        sandbox: &sandbox::Report::default(),
    })
}

#[test]
fn lockdown_leaves_what_is_attached_without_kprobes() {
    let mut facts = Facts::gather();
    facts.lockdown = Some("confidentiality".to_owned());
    let lost = |hooks: &[HookReport]| {
        let found = find(&Seen {
            facts: &facts,
            kernel: "6.12.1",
            lsm: &["capability".to_owned()],
            held: CapSet(u64::MAX),
            hooks,
            sources: &[],
            tests: &[],
            sight: &Sight::default(),
            sandbox: &sandbox::Report::default(),
        });
        let mut found = found.into_iter().map(|finding| finding.what);
        found.find(|what| what.contains("confidentiality"))
    };
    let mut hook = HookReport {
        hook: "security_capable".to_owned(),
        mechanism: Some(Mechanism::Fexit),
        attached: true,
        needed: true,
        reason: None,
    };
    let kept = lost(std::slice::from_ref(&hook)).unwrap();
    assert!(kept.contains("counts and layers are complete"), "{kept}");
    hook.attached = false;
    let blind = lost(&[hook]).unwrap();
    assert!(blind.contains("only from the audit log"), "{blind}");
}

fn level_of(findings: &[Finding], word: &str) -> Option<Level> {
    let found = findings.iter().find(|finding| finding.what.contains(word));
    found.map(|finding| finding.level)
}

fn source(name: &str) -> SourceReport {
    SourceReport {
        name: name.to_owned(),
        up: true,
        records: 0,
        lost: 0,
        malformed: 0,
        reason: None,
    }
}

#[test]
fn who_owns_the_records_matters_where_the_log_is_all_there_is() {
    let owner = || {
        Some(super::super::facts::Owner {
            pid: 7,
            comm: Some("auditd".to_owned()),
        })
    };
    let beside = findings(|facts, sources| {
        facts.audit.owner = owner();
        sources.push(source("netlink"));
    });
    assert_eq!(level_of(&beside, "auditd (pid 7)"), Some(Level::Note));
    let alone = findings(|facts, sources| {
        facts.audit.owner = owner();
        sources.push(source("kmsg"));
    });
    assert_eq!(level_of(&alone, "auditd (pid 7)"), Some(Level::Problem));
}

#[test]
fn limits_of_audit_and_lockdown_are_problems() {
    let found = findings(|facts, _| {
        facts.lockdown = Some("confidentiality".to_owned());
        facts.audit.off_at_boot = true;
        facts.audit.status = Some(crate::sources::audit::AuditStatus {
            rate_limit: 5,
            lost: 3,
            backlog: 60,
            backlog_limit: 64,
            ..Default::default()
        });
    });
    for word in [
        "confidentiality",
        "audit=0",
        "beyond 5",
        "lost 3",
        "60 of 64",
    ] {
        assert_eq!(level_of(&found, word), Some(Level::Problem), "{word}");
    }
    assert!(found.iter().all(|finding| !finding.remedy.is_empty()));
}

#[test]
fn remedies_fit_what_is_known_of_the_host() {
    let mut facts = Facts::gather();
    facts.lockdown = None;
    facts.inside.user_namespace = false;
    facts.locked_memory = Some(65_536);
    facts.audit.status = Some(crate::sources::audit::AuditStatus {
        backlog: 8_000,
        backlog_limit: 8_192,
        ..Default::default()
    });
    let settings = [
        ("kernel.unprivileged_userns_clone", None),
        ("user.max_user_namespaces", Some(0)),
    ];
    facts.settings.extend(settings);
    let missed = HookReport {
        hook: "security_capable".to_owned(),
        mechanism: None,
        attached: false,
        needed: true,
        reason: None,
    };
    let remedies = |kernel: &str, lacking: &[u32]| {
        let lacking = lacking.iter().fold(0, |set, number| set | 1_u64 << number);
        let found = find(&Seen {
            facts: &facts,
            kernel,
            lsm: &["capability".to_owned()],
            held: CapSet(!lacking),
            hooks: std::slice::from_ref(&missed),
            sources: &[],
            tests: &[],
            sight: &Sight::default(),
            sandbox: &sandbox::Report::default(),
        });
        move |what: &str| {
            let mut of = found.iter().filter(|finding| finding.what.contains(what));
            of.next().unwrap().remedy.clone()
        }
    };
    let hook = |kernel, lacking| remedies(kernel, lacking)("security_capable is not attached");
    assert!(hook("6.12.1", &[]).starts_with("boot a kernel"));
    let without_bpf = hook("6.12.1", &[caps::SYS_ADMIN, BPF]);
    assert!(without_bpf.starts_with("grant the cap"), "{without_bpf}");
    let short = hook("5.10.1", &[SYS_RESOURCE]);
    assert!(short.starts_with("raise the limit"), "{short}");
    let of = remedies("6.12.1", &[]);
    assert_eq!(
        of("user namespaces are off"),
        "if you need them: sysctl -w user.max_user_namespaces=15000"
    );
    let larger = of("records are queued");
    assert!(larger.starts_with("auditctl -b 32768,"), "{larger}");
}

#[test]
fn hidden_refusals_by_a_rule_name_what_hides_them() {
    let hook = |name: &str, mechanism, attached| HookReport {
        hook: name.to_owned(),
        mechanism: Some(mechanism),
        attached,
        needed: attached,
        reason: None,
    };
    let finding = |lockdown: Option<&str>, mechanism| {
        let mut facts = Facts::gather();
        facts.lockdown = lockdown.map(str::to_owned);
        let found = find(&Seen {
            facts: &facts,
            kernel: "6.18.1",
            lsm: &["capability".to_owned()],
            held: CapSet(u64::MAX),
            hooks: &[
                hook("cap_capable", mechanism, true),
                hook("cap_capset", Mechanism::Kprobe, false),
            ],
            sources: &[],
            tests: &[],
            sight: &Sight::default(),
            sandbox: &sandbox::Report::default(),
        });
        let mut found = found.into_iter();
        found
            .find(|finding| finding.what.starts_with("refusals by a rule"))
            .unwrap()
    };
    let tracepoint = finding(None, Mechanism::Tracepoint);
    assert!(
        tracepoint.what.contains(": the tracepoint"),
        "{tracepoint:?}"
    );
    assert!(tracepoint.remedy.contains("kprobes"), "{tracepoint:?}");
    // Securityfs, which names the mode, may be absent.
    for lockdown in [Some("confidentiality"), None] {
        let locked = finding(lockdown, Mechanism::Fexit);
        assert!(locked.what.contains(": lockdown"), "{locked:?}");
        assert!(locked.remedy.contains("lockdown=integrity"), "{locked:?}");
    }
    let both = finding(Some("confidentiality"), Mechanism::Tracepoint);
    assert!(both.what.contains(": lockdown"), "{both:?}");
}

#[test]
fn what_is_missed_is_a_finding_with_a_remedy() {
    let mut list = List::default();
    let facts = Facts::gather();
    let lapse = |reason: &str| sight::Lapse {
        reason: reason.to_owned(),
        since: crate::time::Stamp(0),
        until: None,
        count: 7,
    };
    let sight = Sight {
        complete: false,
        reasons: vec![lapse(sight::DROPS_MISSED), lapse(sight::HOOK_DOWN)],
    };
    lapses(
        &mut list,
        &Seen {
            facts: &facts,
            kernel: "7.3.4",
            lsm: &[],
            held: CapSet(u64::MAX),
            hooks: &[],
            sources: &[],
            tests: &[],
            sight: &sight,
            sandbox: &sandbox::Report::default(),
        },
    );
    assert_eq!(level_of(&list.0, "drops_missed, 7"), Some(Level::Problem));
    assert_eq!(list.0.len(), 1, "a missing hook has its own finding");
}

#[test]
fn releases_are_compared_by_number() {
    assert!(version("5.10.0-46-amd64") < (5, 11));
    assert!(version("6.12.117+deb13-amd64") > (5, 11));
}
