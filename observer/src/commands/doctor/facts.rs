//! Facts about the host: settings, security modules, audit, and where this
//! process runs.

use std::{collections::BTreeMap, io, path::Path};

use serde::Serialize;

use crate::sources::{
    audit::{AuditStatus, audit_sockets, audit_status, netlink::in_initial_network_namespace},
    bpf::has_kprobes,
    proc::{has_seccomp_filter, in_initial_user_namespace},
};

/// The sysctls that decide what can be seen.
const SETTINGS: [&str; 9] = [
    "kernel.perf_event_paranoid",
    "kernel.unprivileged_bpf_disabled",
    "kernel.dmesg_restrict",
    "kernel.printk_ratelimit",
    "kernel.printk_ratelimit_burst",
    "kernel.unprivileged_userns_clone",
    "kernel.apparmor_restrict_unprivileged_userns",
    "kernel.apparmor_restrict_unprivileged_unconfined",
    "user.max_user_namespaces",
];

/// Facts about the host.
#[derive(Serialize)]
pub struct Facts {
    /// Whether the kernel shows its types.
    pub btf: bool,
    /// Whether kprobes can be made.
    pub kprobes: bool,
    /// The lockdown mode; none where securityfs is not mounted.
    pub lockdown: Option<String>,
    /// Sysctls; null where the kernel does not have it.
    pub settings: BTreeMap<&'static str, Option<i64>>,
    /// `v2`, `hybrid`, `v1` or `none`.
    pub cgroup: &'static str,
    /// The audit log.
    pub audit: Audit,
    /// Where this process runs.
    pub inside: Inside,
    /// Bytes that may be locked: what maps may take before 5.11; null for no limit.
    pub locked_memory: Option<u64>,
}

/// The audit log.
#[derive(Serialize)]
pub struct Audit {
    /// Whether `audit=0` was given at boot.
    pub off_at_boot: bool,
    /// Its state in the kernel.
    pub status: Option<AuditStatus>,
    /// Why the state is unknown.
    pub reason: Option<String>,
    /// The process that receives the records.
    pub owner: Option<Owner>,
}

/// A process that receives the records.
#[derive(Serialize)]
pub struct Owner {
    /// Its process id.
    pub pid: u32,
    /// Its name.
    pub comm: Option<String>,
}

/// Where this process runs.
#[derive(Serialize)]
pub struct Inside {
    /// The container engine.
    pub container: Option<&'static str>,
    /// Whether in another user namespace than the host's.
    pub user_namespace: bool,
    /// Whether in another network namespace than the host's; null where that can't be known.
    pub network_namespace: Option<bool>,
    /// The hypervisor.
    pub virtual_machine: Option<String>,
    /// Whether a seccomp filter is on.
    pub seccomp: bool,
}

impl Facts {
    /// Reads all of them.
    pub fn gather() -> Self {
        let settings = SETTINGS.into_iter().map(|name| (name, setting(name)));
        Self {
            btf: Path::new("/sys/kernel/btf/vmlinux").exists(),
            kprobes: has_kprobes(),
            lockdown: lockdown(),
            settings: settings.collect(),
            cgroup: cgroup(),
            audit: audit(),
            inside: inside(),
            locked_memory: rustix::process::getrlimit(rustix::process::Resource::Memlock).current,
        }
    }

    /// One setting.
    pub fn setting(&self, name: &str) -> Option<i64> {
        self.settings.get(name).copied().flatten()
    }
}

fn read(path: &str) -> Option<String> {
    let text = crate::open::text(path).ok()?;
    Some(text.trim_end_matches(['\n', '\0']).to_owned())
}

fn setting(name: &str) -> Option<i64> {
    read(&format!("/proc/sys/{}", name.replace('.', "/")))?
        .parse()
        .ok()
}

/// The mode in brackets.
fn lockdown() -> Option<String> {
    let modes = read("/sys/kernel/security/lockdown")?;
    Some(modes.split(['[', ']']).nth(1)?.to_owned())
}

fn cgroup() -> &'static str {
    let own = read("/proc/self/cgroup").unwrap_or_default();
    let unified = own.lines().any(|line| line.starts_with("0::"));
    let legacy = own.lines().any(|line| !line.starts_with("0::"));
    match (unified, legacy) {
        (true, false) => "v2",
        // Every kernel has the unified hierarchy; what matters is whether it is mounted.
        (true, true) if Path::new("/sys/fs/cgroup/unified/cgroup.procs").exists() => "hybrid",
        (_, true) => "v1",
        (false, false) => "none",
    }
}

fn audit() -> Audit {
    let command_line = read("/proc/cmdline").unwrap_or_default();
    let off = |word: &str| word == "audit=0" || word == "audit=off";
    let status = audit_status();
    let reported = status.as_ref().ok().map(|status| status.pid);
    let owner = reported.filter(|pid| *pid != 0).or_else(|| {
        // The port of a socket is usually its process's id, so compare the name.
        let ports = audit_sockets().into_iter();
        let mut daemons = ports.filter(|port| comm(*port).is_some_and(|comm| comm == "auditd"));
        daemons.next()
    });
    Audit {
        off_at_boot: command_line.split_whitespace().any(off),
        reason: status.as_ref().err().map(why),
        status: status.ok(),
        owner: owner.map(|pid| Owner {
            pid,
            comm: comm(pid),
        }),
    }
}

fn why(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EPERM) => "CAP_AUDIT_CONTROL is missing (the agent does not need it)".to_owned(),
        Some(libc::EPROTONOSUPPORT) => {
            "there is no audit socket: audit=0, or a kernel without CONFIG_AUDIT".to_owned()
        }
        Some(libc::ECONNREFUSED) => {
            "the kernel does not answer: audit is off, or this is another namespace".to_owned()
        }
        _ => error.to_string(),
    }
}

fn comm(pid: u32) -> Option<String> {
    read(&format!("/proc/{pid}/comm"))
}

fn inside() -> Inside {
    Inside {
        container: container(),
        user_namespace: !in_initial_user_namespace(),
        network_namespace: in_initial_network_namespace().map(|initial| !initial),
        virtual_machine: virtual_machine(),
        seccomp: has_seccomp_filter(),
    }
}

/// The engine, by the files that it leaves or the name of the cgroup. capwatch reads
/// no environment.
fn container() -> Option<&'static str> {
    for (file, engine) in [
        ("/run/.containerenv", "podman"),
        ("/.dockerenv", "docker"),
        ("/run/host/container-manager", "systemd-nspawn"),
    ] {
        if Path::new(file).exists() {
            return Some(engine);
        }
    }
    let own = read("/proc/self/cgroup")?;
    let marks = [
        ("libpod-", "podman"),
        ("docker-", "docker"),
        ("cri-containerd-", "containerd"),
        ("crio-", "cri-o"),
        ("kubepods", "kubernetes"),
    ];
    let mut marks = marks.into_iter();
    marks.find_map(|(mark, engine)| own.contains(mark).then_some(engine))
}

fn virtual_machine() -> Option<String> {
    let firmware = ["sys_vendor", "product_name"]
        .iter()
        .find_map(|file| read(&format!("/sys/class/dmi/id/{file}")))
        .filter(|name| {
            let known = [
                "QEMU",
                "KVM",
                "VMware",
                "VirtualBox",
                "innotek",
                "Xen",
                "Amazon EC2",
            ];
            known.iter().any(|known| name.contains(known))
        });
    let hypervisor = || {
        let flags = read("/proc/cpuinfo")?;
        let mut lines = flags.lines().filter(|line| line.starts_with("flags"));
        let guest = lines
            .next()?
            .split_whitespace()
            .any(|flag| flag == "hypervisor");
        guest.then(|| "unknown".to_owned())
    };
    // QEMU's board for arm64, where no firmware shows it.
    let board = || {
        let compatible = read("/proc/device-tree/compatible")?;
        compatible.contains("dummy-virt").then(|| "QEMU".to_owned())
    };
    firmware
        .or_else(board)
        .or_else(|| read("/sys/hypervisor/type"))
        .or_else(|| read("/proc/device-tree/hypervisor/compatible"))
        .or_else(hypervisor)
}
