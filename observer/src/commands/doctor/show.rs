//! The diagnosis for a person.

use std::io::{self, Write};

use super::{
    Diagnosis,
    facts::Inside,
    findings::{Finding, Level},
};
use crate::clean::clean;

/// Writes it.
pub fn show(out: &mut impl Write, diagnosis: &Diagnosis) -> io::Result<()> {
    let Diagnosis {
        schema: _,
        verdict,
        host,
        facts,
        hooks,
        sources,
        capabilities,
        self_test: _,
        self_tests,
        pins,
        sandbox,
        sight,
        findings,
    } = diagnosis;
    let lsm = if host.lsm.is_empty() {
        "unknown (mount securityfs: mount -t securityfs securityfs /sys/kernel/security)".to_owned()
    } else {
        host.lsm.join(",")
    };
    let yes = |value: bool| if value { "yes" } else { "no" };
    writeln!(out, "verdict       {verdict}")?;
    writeln!(out, "kernel        {}", clean(&host.kernel))?;
    writeln!(out, "lsm           {}", clean(&lsm))?;
    writeln!(
        out,
        "lockdown      {}",
        clean(facts.lockdown.as_deref().unwrap_or("unknown"))
    )?;
    writeln!(out, "btf           {}", yes(facts.btf))?;
    writeln!(out, "kprobes       {}", yes(facts.kprobes))?;
    writeln!(out, "cgroup        {}", facts.cgroup)?;
    writeln!(out, "inside        {}", inside(&facts.inside))?;
    writeln!(out, "privileges    held {}", capabilities.held.join(","))?;
    for (name, value) in &facts.settings {
        if let Some(value) = value {
            writeln!(out, "setting       {name} = {value}")?;
        }
    }
    match (&facts.audit.status, &facts.audit.reason) {
        (Some(status), _) => writeln!(
            out,
            "audit         enabled {}, rate limit {}, backlog {} of {}, lost {}",
            status.enabled, status.rate_limit, status.backlog, status.backlog_limit, status.lost
        )?,
        (None, reason) => writeln!(
            out,
            "audit         unknown: {}",
            clean(reason.as_deref().unwrap_or("no reason given"))
        )?,
    }
    for hook in hooks {
        let mechanism = hook
            .mechanism
            .map_or("none", |mechanism| mechanism.as_str());
        let state = match (hook.attached, hook.needed) {
            (true, _) => "attached",
            (false, true) => "missing ",
            (false, false) => "not used",
        };
        writeln!(out, "hook          {state} {:<20} {mechanism}", hook.hook)?;
    }
    for source in sources {
        let state = if source.up { "connected" } else { "missing  " };
        writeln!(out, "audit source  {state} {}", source.name)?;
    }
    if let Some(pins) = pins {
        pins.show(out)?;
    }
    writeln!(out, "sandbox       {}", clean(&sandbox.to_string()))?;
    let lapses = sight.reasons.iter().map(|lapse| lapse.reason.as_str());
    let words: Vec<_> = std::iter::once(sight.word()).chain(lapses).collect();
    writeln!(out, "sight         {}", words.join(" "))?;
    for test in self_tests {
        let result = match (test.seen, test.after_seconds, &test.why_not) {
            (Some(true), Some(after), _) => format!("found after {after:.6} s"),
            (Some(false), _, Some(why)) => format!("NOT found: {why}"),
            (_, _, Some(why)) => format!("not provoked: {why}"),
            _ => "unknown".to_owned(),
        };
        writeln!(
            out,
            "self-test     {:<6} {:<20} {}",
            test.kind,
            test.name,
            clean(&result)
        )?;
    }
    for finding in findings {
        show_finding(out, finding)?;
    }
    Ok(())
}

fn show_finding(out: &mut impl Write, finding: &Finding) -> io::Result<()> {
    let Finding {
        level,
        what,
        remedy,
    } = finding;
    let level = match level {
        Level::Problem => "",
        Level::Note => "note: ",
    };
    writeln!(out, "\n{level}{}\n    {}", clean(what), clean(remedy))
}

fn inside(inside: &Inside) -> String {
    let machine = inside.virtual_machine.as_ref();
    let mut words = vec![
        inside.container.unwrap_or("no container").to_owned(),
        machine.map_or("no virtual machine".to_owned(), |machine| {
            format!("a virtual machine ({})", clean(machine))
        }),
    ];
    for (other, name) in [
        (Some(inside.user_namespace), "another user namespace"),
        (inside.network_namespace, "another network namespace"),
        (Some(inside.seccomp), "a seccomp filter"),
    ] {
        if other == Some(true) {
            words.push(name.to_owned());
        }
    }
    words.join(", ")
}
