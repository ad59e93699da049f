//! What is wrong with the sources of audit records.

use super::{List, Seen};

pub(super) fn audit(list: &mut List, seen: &Seen<'_>) {
    let audit = &seen.facts.audit;
    if audit.off_at_boot {
        list.problem(
            "the kernel was booted with audit=0: no security module writes a record",
            "remove audit=0 from the kernel command line; until then layers and profiles come only from eBPF",
        );
    }
    let connected = |name: &str| {
        seen.sources
            .iter()
            .any(|source| source.up && source.name == name)
    };
    for source in seen.sources.iter().filter(|source| !source.up) {
        let reason = source.reason.as_deref().unwrap_or("unknown reason");
        let remedy = match source.name.as_str() {
            "kmsg" if seen.facts.setting("kernel.dmesg_restrict") == Some(1) => {
                "kernel.dmesg_restrict is 1: grant CAP_AUDIT_READ for netlink (systemd: AmbientCapabilities=CAP_AUDIT_READ)"
            }
            _ => {
                "fix the reason above, or name another source with --audit-source; where hooks \
                are attached, eBPF still identifies the layer"
            }
        };
        list.problem(
            format!("audit source {} is not connected: {reason}", source.name),
            remedy,
        );
    }
    if let Some(owner) = &audit.owner {
        let comm = owner.comm.as_deref().unwrap_or("a process");
        let what = format!(
            "{comm} (pid {}) receives the audit records, so the kernel's own log has none",
            owner.pid
        );
        if connected("netlink") {
            list.note(
                what,
                "nothing to do: capwatch uses the multicast group, which works next to it",
            );
        } else {
            list.problem(
                what,
                "grant CAP_AUDIT_READ for the multicast group (systemd: \
                AmbientCapabilities=CAP_AUDIT_READ)",
            );
        }
    } else if connected("kmsg") && seen.facts.setting("kernel.printk_ratelimit") != Some(0) {
        list.problem(
            format!(
                "records come through the kernel's log, {} lines in {} seconds at most",
                seen.facts
                    .setting("kernel.printk_ratelimit_burst")
                    .unwrap_or(10),
                seen.facts.setting("kernel.printk_ratelimit").unwrap_or(5),
            ),
            "grant CAP_AUDIT_READ for the multicast group (systemd: \
             AmbientCapabilities=CAP_AUDIT_READ); without it: sysctl -w kernel.printk_ratelimit=0",
        );
    }
    let Some(status) = &audit.status else {
        return;
    };
    if status.rate_limit > 0 {
        list.problem(
            format!("audit drops records beyond {} a second", status.rate_limit),
            "auditctl -r 0",
        );
    }
    if status.lost > 0 {
        list.problem(
            format!("audit has lost {} records since boot", status.lost),
            format!("auditctl -b {}", larger(status.backlog_limit)),
        );
    }
    if status.backlog_limit > 0
        && status.backlog.saturating_mul(4) >= status.backlog_limit.saturating_mul(3)
    {
        list.problem(
            format!(
                "{} of {} records are queued: audit is about to drop some",
                status.backlog, status.backlog_limit
            ),
            format!(
                "auditctl -b {}, and check why the audit daemon is slow (systemctl status auditd)",
                larger(status.backlog_limit)
            ),
        );
    }
}

/// The limit of queued records that a remedy names.
fn larger(limit: u32) -> u32 {
    limit.max(64).saturating_mul(4)
}
