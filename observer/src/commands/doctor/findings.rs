//! Findings of doctor: each problem with its remedy.

mod log;

use log::audit;

use serde::Serialize;

use super::{facts::Facts, selftest::SelfTest};
use crate::{
    caps::{self, CapSet},
    finding::Mechanism,
    finding::{HookReport, SourceReport},
    privileges::{self, Privilege},
    sandbox::{self, ReportedLapse},
    sight::{self, Sight},
};

const SYS_RESOURCE: u32 = 24;
const PERFMON: u32 = 38;
const BPF: u32 = 39;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Something is not seen.
    Problem,
    /// Good to know.
    Note,
}

/// One finding.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub level: Level,
    /// What was found.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

/// What findings are made from.
pub struct Seen<'a> {
    /// Facts about the host.
    pub facts: &'a Facts,
    /// Kernel release.
    pub kernel: &'a str,
    /// Active security modules.
    pub lsm: &'a [String],
    /// The effective set.
    pub held: CapSet,
    /// What came of every hook.
    pub hooks: &'a [HookReport],
    /// What came of every source.
    pub sources: &'a [SourceReport],
    /// What came of the self-tests.
    pub tests: &'a [SelfTest],
    /// What was not seen meanwhile.
    pub sight: &'a Sight,
    /// What came of trying out the sandbox.
    pub sandbox: &'a sandbox::Report,
}

#[derive(Default)]
struct List(Vec<Finding>);

impl List {
    fn problem(&mut self, what: impl Into<String>, remedy: impl Into<String>) {
        self.add(Level::Problem, what, remedy);
    }

    fn note(&mut self, what: impl Into<String>, remedy: impl Into<String>) {
        self.add(Level::Note, what, remedy);
    }

    fn add(&mut self, level: Level, what: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(Finding {
            level,
            what: what.into(),
            remedy: remedy.into(),
        });
    }
}

/// All findings, problems first.
pub fn find(seen: &Seen<'_>) -> Vec<Finding> {
    let mut list = List::default();
    privileges(&mut list, seen);
    kernel(&mut list, seen);
    hooks(&mut list, seen);
    rules(&mut list, seen);
    audit(&mut list, seen);
    tests(&mut list, seen);
    lapses(&mut list, seen);
    sandbox(&mut list, seen);
    surroundings(&mut list, seen);
    list.0.sort_by_key(|finding| finding.level == Level::Note);
    list.0
}

fn privileges(list: &mut List, seen: &Seen<'_>) {
    for Privilege { number, lost, .. } in privileges::missing(seen.held) {
        let name = caps::name(*number).to_uppercase();
        list.problem(
            format!("CAP_{name} is missing: {lost}"),
            format!("run as root, or grant it (systemd: AmbientCapabilities=CAP_{name})"),
        );
    }
}

fn kernel(list: &mut List, seen: &Seen<'_>) {
    let facts = seen.facts;
    if !facts.btf {
        list.problem(
            "this kernel has no BTF (/sys/kernel/btf/vmlinux), so no hook can be attached",
            "boot a kernel with CONFIG_DEBUG_INFO_BTF. Until then capwatch reads only the audit log; to log drops there: auditctl -a always,exit -F arch=b64 -S prctl -F a0=24 (docs/kernels.md)",
        );
    }
    if facts.lockdown.as_deref() == Some("confidentiality") {
        let mut others = [Mechanism::Fexit, Mechanism::Tracepoint].into_iter();
        list.problem(
            if others.any(|other| mechanism(seen, other)) {
                "lockdown=confidentiality forbids reading the kernel's memory: kprobes, profile \
                 names and long executable names are missing; counts and layers are complete"
            } else {
                "lockdown=confidentiality forbids kprobes, and no other hook for denials is \
                 attached: denials come only from the audit log"
            },
            "boot with lockdown=integrity on the kernel command line: that mode forbids nothing that capwatch needs",
        );
    }
    if seen.lsm.is_empty() {
        list.problem(
            "cannot list active LSMs (securityfs is not mounted), so their hooks were skipped",
            "mount securityfs: mount -t securityfs securityfs /sys/kernel/security",
        );
    }
    let paranoid = facts.setting("kernel.perf_event_paranoid").unwrap_or(0);
    if paranoid > 2 && !seen.held.contains(caps::SYS_ADMIN) && !mechanism(seen, Mechanism::Fexit) {
        list.problem(
            format!("kernel.perf_event_paranoid is {paranoid}: kprobes need CAP_SYS_ADMIN"),
            "grant CAP_SYS_ADMIN (systemd: AmbientCapabilities=CAP_SYS_ADMIN), or use a kernel with trampolines, which do not need it",
        );
    }
    if is_short_of_locked_memory(seen) {
        list.problem(
            "before Linux 5.11 BPF maps count as locked memory, and this process cannot raise its limit",
            "set LimitMEMLOCK=infinity in the unit (shell: ulimit -l unlimited)",
        );
    }
    if facts.setting("kernel.unprivileged_bpf_disabled") == Some(0) {
        list.note(
            "kernel.unprivileged_bpf_disabled is 0: any user may load some types of BPF programs",
            "sysctl -w kernel.unprivileged_bpf_disabled=2 (capwatch still works, with CAP_BPF)",
        );
    }
    if facts.setting("kernel.apparmor_restrict_unprivileged_userns") == Some(1) {
        list.note(
            "AppArmor restricts unprivileged user namespaces: a program that enters one without \
             its own profile gets `unprivileged_userns`, which refuses every capability",
            "run `capwatch probe --check`; if it fails, add a profile with `userns,` for the path \
             of the supervisor",
        );
    }
    let off = [
        ("kernel.unprivileged_userns_clone", 1),
        ("user.max_user_namespaces", 15000),
    ];
    let off = off
        .into_iter()
        .filter(|(name, _)| facts.setting(name) == Some(0));
    let off: Vec<_> = off.map(|(name, value)| format!("{name}={value}")).collect();
    if !off.is_empty() {
        list.note(
            "unprivileged user namespaces are off: rootless containers can't start",
            format!("if you need them: sysctl -w {}", off.join(" ")),
        );
    }
}

fn hooks(list: &mut List, seen: &Seen<'_>) {
    for hook in seen.hooks.iter().filter(|hook| hook.is_missed()) {
        let reason = hook.reason.as_deref().unwrap_or("unknown reason");
        list.problem(
            format!("{} is not attached: {reason}", hook.hook),
            hook_remedy(&hook.hook, seen),
        );
    }
}

/// Notes only: the host is not at fault if a mechanism can't show refusals by a rule.
fn rules(list: &mut List, seen: &Seen<'_>) {
    let unseen = |hook: &HookReport| hook.watches_rules() && !hook.attached && !hook.needed;
    if !seen.hooks.iter().any(unseen) {
        return;
    }
    let locked = seen.facts.lockdown.as_deref() == Some("confidentiality");
    let (cause, remedy) = if locked || !mechanism(seen, Mechanism::Tracepoint) {
        (
            "lockdown=confidentiality forbids the reads that show them",
            "boot with lockdown=integrity on the kernel command line",
        )
    } else {
        (
            "the tracepoint does not show them",
            "use a kernel with trampolines or kprobes",
        )
    };
    list.note(
        format!(
            "refusals by a rule of the kernel (exec of a file with capabilities, capset, id maps, \
             setgroups) are missing or incomplete: {cause}"
        ),
        format!("{remedy}; until then `capwatch probe FILE` checks whether a file can be executed"),
    );
}

/// Whether a capability is missing without which no hook can be attached.
fn lacks_bpf(seen: &Seen<'_>) -> bool {
    let mut missing = privileges::missing(seen.held);
    missing.any(|one| matches!(one.number, BPF | PERFMON))
}

fn is_short_of_locked_memory(seen: &Seen<'_>) -> bool {
    let old = version(seen.kernel) < (5, 11);
    old && seen.facts.locked_memory.is_some() && !seen.held.contains(SYS_RESOURCE)
}

fn hook_remedy(hook: &str, seen: &Seen<'_>) -> &'static str {
    let tracepoint = mechanism(seen, Mechanism::Tracepoint)
        && seen
            .hooks
            .iter()
            .any(|hook| hook.hook == "cap_capable" && hook.attached);
    match hook {
        "security_capable" if tracepoint => {
            "nothing to do: the tracepoint shows commoncap's denials. Denials by a security module come only from the audit log"
        }
        "cap_task_prctl" if tracepoint => {
            "nothing to do: the tracepoint shows drops through their SETPCAP check"
        }
        _ if seen.facts.inside.user_namespace => {
            "run it as root of the host, in the host's user namespace: the kernel accepts no capability of another one"
        }
        _ if lacks_bpf(seen) => "grant the capabilities named above",
        _ if is_short_of_locked_memory(seen) => "raise the limit of locked memory as shown above",
        _ => "boot a kernel with BTF, CONFIG_BPF_EVENTS and function tracing",
    }
}

fn tests(list: &mut List, seen: &Seen<'_>) {
    let netlink = seen
        .tests
        .iter()
        .any(|test| test.name == "netlink" && test.seen == Some(true));
    for test in seen.tests.iter().filter(|test| test.seen == Some(false)) {
        // Silent while a daemon receives the records, and not needed beside netlink.
        if test.name == "kmsg" && netlink {
            continue;
        }
        let why = test.why_not.as_deref().unwrap_or("unknown reason");
        let remedy = match test.kind {
            "source" if seen.facts.inside.network_namespace == Some(true) => {
                "run it in the host's network namespace (podman run --network=host)"
            }
            "source" => "run `auditctl -l` and remove rules that exclude records",
            _ => {
                "fix the problems of hooks listed above; `capwatch doctor -v` shows the \
                verifier's messages"
            }
        };
        list.problem(format!("self-test of {}: {why}", test.name), remedy);
    }
}

/// What was missed while the doctor looked; hooks, sources and privileges have
/// their own findings.
fn lapses(list: &mut List, seen: &Seen<'_>) {
    let covered = [
        sight::HOOK_DOWN,
        sight::SOURCE_DOWN,
        sight::PRIVILEGE_MISSING,
    ];
    let lapses = seen.sight.reasons.iter();
    for lapse in lapses.filter(|lapse| !covered.contains(&lapse.reason.as_str())) {
        let (what, remedy) = sight::advice(&lapse.reason);
        list.problem(
            format!(
                "capwatch may miss findings ({}, {}): {what}",
                lapse.reason, lapse.count
            ),
            remedy,
        );
    }
}

/// Notes only: the sandbox does not change what capwatch sees.
fn sandbox(list: &mut List, seen: &Seen<'_>) {
    for reported in &seen.sandbox.lapses {
        let ReportedLapse {
            lapse,
            what,
            remedy,
        } = reported;
        list.note(
            format!("the sandbox of `run` is incomplete ({lapse}): {what}"),
            remedy.clone(),
        );
    }
}

fn surroundings(list: &mut List, seen: &Seen<'_>) {
    let inside = &seen.facts.inside;
    if inside.user_namespace {
        list.problem(
            "capwatch runs in another user namespace than the host's, and the kernel does not accept its capabilities",
            "run it as root of the host (podman: as root, with --privileged and --userns=host)",
        );
    }
    if let Some(engine) = inside.container {
        list.note(
            format!("capwatch runs in a container ({engine}): names and paths are those of the container"),
            "start the container with --pid=host --network=host --cgroupns=host -v /sys/fs/cgroup:/sys/fs/cgroup:ro",
        );
    }
    if let Some(machine) = &inside.virtual_machine {
        list.note(
            format!("capwatch runs in a virtual machine (hypervisor: {machine}) and sees only its processes"),
            "run an agent in each machine, and one on their host",
        );
    }
    if matches!(seen.facts.cgroup, "v1" | "none") {
        list.problem(
            format!(
                "cgroup {}: capwatch cannot distinguish containers by their cgroup",
                seen.facts.cgroup
            ),
            "boot with systemd.unified_cgroup_hierarchy=1 on the kernel command line",
        );
    }
}

fn mechanism(seen: &Seen<'_>, mechanism: Mechanism) -> bool {
    let verdict = ["security_capable", "cap_capable"];
    seen.hooks.iter().any(|hook| {
        hook.attached && hook.mechanism == Some(mechanism) && verdict.contains(&hook.hook.as_str())
    })
}

fn version(release: &str) -> (u32, u32) {
    let mut numbers = release
        .split(['.', '-', '+'])
        .map(|word| word.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
#[path = "findings/tests.rs"]
mod unit;
