//! What maintainers ask for by hand: kernel, modules, sysctls, and the process's
//! label, sets, flags, maps and mounts.

use std::fmt::Write;

use anyhow::Context as _;

use crate::{agent::host, caps::CapSet, finding::Host, open};

/// The sysctls that decide whether sandboxes work.
const SYSCTLS: [&str; 8] = [
    "kernel.apparmor_restrict_unprivileged_userns",
    "kernel.apparmor_restrict_unprivileged_unconfined",
    "kernel.apparmor_restrict_unprivileged_io_uring",
    "kernel.unprivileged_userns_clone",
    "user.max_user_namespaces",
    "kernel.unprivileged_bpf_disabled",
    "net.ipv4.ip_unprivileged_port_start",
    "kernel.yama.ptrace_scope",
];
/// Lines of a process's status.
const STATUS: [&str; 7] = [
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
    "NoNewPrivs",
    "Seccomp",
];
/// Mount points that are everybody's, so their names say nothing of anyone.
const PUBLIC: [&str; 14] = [
    "/",
    "/dev",
    "/dev/shm",
    "/home",
    "/opt",
    "/proc",
    "/root",
    "/run",
    "/srv",
    "/sys",
    "/tmp",
    "/usr",
    "/usr/local",
    "/var/tmp",
];

/// Everything that is shown besides findings.
#[derive(Debug, Default)]
pub struct Facts {
    /// Kernel and modules.
    pub host: Host,
    /// Distribution and its version.
    pub distribution: String,
    /// Each sysctl, and its value where the kernel has it.
    pub sysctls: Vec<(&'static str, Option<String>)>,
    /// Whether the process is this one, for want of another.
    pub own: bool,
    /// The security modules' label with its mode.
    pub label: Option<String>,
    /// Fields of the status.
    pub status: Vec<(&'static str, String)>,
    /// The id maps, a line each.
    pub maps: [String; 2],
    /// Mount points of everybody's with nosuid.
    pub nosuid: Vec<&'static str>,
    /// How many others have it.
    pub other_nosuid: usize,
}

impl Facts {
    /// Reads them, of this process where none is named.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn read(pid: Option<u32>) -> anyhow::Result<Self> {
        let folder = pid.map_or_else(|| "/proc/self".to_owned(), |pid| format!("/proc/{pid}"));
        let of = |name: &str| open::text(format!("{folder}/{name}"));
        let status = of("status").with_context(|| {
            format!("cannot read {folder}/status: has the process ended? leave out --pid")
        })?;
        let label = ["attr/apparmor/current", "attr/current"]
            .iter()
            .find_map(|name| of(name).ok())
            .map(|label| label.trim_matches(['\n', '\0']).to_owned());
        let (nosuid, other_nosuid) = nosuid(&of("mountinfo").unwrap_or_default());
        let map = |name: &str| {
            let text = of(name).unwrap_or_default();
            let lines: Vec<_> = text
                .lines()
                .take(8)
                .map(|line| line.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
                .collect();
            lines.join(", ")
        };
        Ok(Self {
            host: host(),
            distribution: distribution(&open::text("/etc/os-release").unwrap_or_default()),
            sysctls: SYSCTLS.map(|name| (name, sysctl(name))).to_vec(),
            own: pid.is_none(),
            label: label.filter(|label| !label.is_empty()),
            status: fields(&status),
            maps: [map("uid_map"), map("gid_map")],
            nosuid,
            other_nosuid,
        })
    }

    /// Writes them as Markdown.
    pub fn write(&self, out: &mut impl Write) -> std::fmt::Result {
        writeln!(out, "### capwatch report\n")?;
        writeln!(
            out,
            "- capwatch {}; kernel {} {}; {}",
            env!("CARGO_PKG_VERSION"),
            self.host.kernel,
            std::env::consts::ARCH,
            self.distribution
        )?;
        let lsm = if self.host.lsm.is_empty() {
            "unknown (securityfs is not mounted)".to_owned()
        } else {
            self.host.lsm.join(", ")
        };
        writeln!(out, "- LSMs: {lsm}\n")?;
        writeln!(out, "| sysctl | value |\n|---|---|")?;
        for (name, value) in &self.sysctls {
            writeln!(out, "| {name} | {} |", value.as_deref().unwrap_or("absent"))?;
        }
        let whose = if self.own {
            "capwatch's own, as it was started (`--pid` names another)"
        } else {
            "the one that `--pid` names"
        };
        writeln!(out, "\n**Process**: {whose}\n")?;
        let label = self.label.as_deref().unwrap_or("none");
        writeln!(out, "- label: `{}`", label.replace('`', "'"))?;
        for (name, value) in &self.status {
            writeln!(out, "- {name}: {value}{}", named(name, value))?;
        }
        let [uid, gid] = &self.maps;
        writeln!(out, "- uid_map: {uid}; gid_map: {gid}")?;
        let nosuid = if self.nosuid.is_empty() {
            "none of the usual ones".to_owned()
        } else {
            self.nosuid.join(" ")
        };
        writeln!(
            out,
            "- nosuid mounts: {nosuid}, and {} others",
            self.other_nosuid
        )
    }
}

/// The names of a set, where it is neither empty nor long.
fn named(name: &str, value: &str) -> String {
    let bits = u64::from_str_radix(value, 16).ok();
    match bits.filter(|_| name.starts_with("Cap")).map(CapSet) {
        Some(set) if (1..=14).contains(&set.0.count_ones()) => {
            let names: Vec<_> = set.names().collect();
            format!(" ({})", names.join(" "))
        }
        _ => String::new(),
    }
}

fn fields(status: &str) -> Vec<(&'static str, String)> {
    let value = |name: &'static str| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some((name, line.trim().to_owned()))
    };
    STATUS.into_iter().filter_map(value).collect()
}

fn sysctl(name: &str) -> Option<String> {
    let text = open::text(format!("/proc/sys/{}", name.replace('.', "/"))).ok()?;
    Some(text.trim().to_owned())
}

/// `ID VERSION_ID`, which show nothing of the host.
fn distribution(text: &str) -> String {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim_matches('"').to_owned())
    };
    let id = field("ID=").unwrap_or_else(|| "unknown distribution".to_owned());
    format!("{id} {}", field("VERSION_ID=").unwrap_or_default())
        .trim_end()
        .to_owned()
}

/// Mounts with nosuid: those of everybody's by name, the others counted, since
/// a mount point may be named after a person or a customer.
fn nosuid(mountinfo: &str) -> (Vec<&'static str>, usize) {
    let mut known = Vec::new();
    let mut others = 0;
    for line in mountinfo.lines() {
        let mut words = line.split(' ').skip(4);
        let (Some(point), Some(options)) = (words.next(), words.next()) else {
            continue;
        };
        if !options.split(',').any(|option| option == "nosuid") {
            continue;
        }
        match PUBLIC.iter().find(|public| **public == point) {
            Some(public) if !known.contains(public) => known.push(*public),
            Some(_) => {}
            None => others += 1,
        }
    }
    (known, others)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_people_are_only_counted() {
        let text = "1 0 0:1 / /tmp rw,nosuid - tmpfs t rw\n\
                    2 0 0:1 / /home/alice/acme rw,nosuid - fuse x rw\n\
                    3 0 0:1 / / rw,relatime - ext4 /dev/vda rw\n";
        assert_eq!(nosuid(text), (vec!["/tmp"], 1));
    }

    #[test]
    fn a_distribution_is_its_id() {
        let text = "PRETTY_NAME=\"Acme Linux of alice\"\nID=debian\nVERSION_ID=\"12\"\n";
        assert_eq!(distribution(text), "debian 12");
        assert_eq!(distribution(""), "unknown distribution");
    }

    #[test]
    fn sets_are_named_where_that_is_short() {
        assert_eq!(named("CapEff", "0000000000000100"), " (setpcap)");
        assert_eq!(named("CapEff", "000001ffffffffff"), "");
        assert_eq!(named("Seccomp", "2"), "");
    }

    #[test]
    fn a_process_that_has_ended_is_said() {
        let error = Facts::read(Some(u32::MAX)).unwrap_err();
        assert!(format!("{error:#}").contains("--pid"));
        assert_eq!(Facts::read(None).unwrap().status.len(), STATUS.len());
    }
}
