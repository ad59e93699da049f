//! What `/proc` knows of processes.

use std::{fs, path::Path};

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

use crate::{
    caps::CapSet,
    open,
    time::{Stamp, seconds},
};

/// A process as `/proc` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Process id of its parent.
    pub ppid: u32,
    /// When it started, in nanoseconds since boot, to a clock tick.
    pub start: u64,
    /// Basename of its executable; none for a kernel thread or without
    /// `CAP_SYS_PTRACE`.
    pub exe: Option<Vec<u8>>,
}

/// One process; `None` where it is gone.
pub fn read(pid: u32) -> Option<Process> {
    let folder = Path::new("/proc").join(pid.to_string());
    let (ppid, start) = parse_stat(&open::bytes(folder.join("stat")).ok()?)?;
    let exe = fs::read_link(folder.join("exe")).ok();
    Some(Process {
        pid,
        ppid,
        start,
        exe: exe.as_deref().and_then(basename),
    })
}

/// When a process started, in nanoseconds since boot to a clock tick; `None` where
/// it is gone, or has ended and waits for its parent.
pub fn start(pid: u32) -> Option<u64> {
    let stat = open::bytes(format!("/proc/{pid}/stat")).ok()?;
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    // ` Z`: a zombie runs nothing.
    if matches!(stat.get(end + 2), Some(b'Z' | b'X')) {
        return None;
    }
    parse_stat(&stat).map(|(_, start)| start)
}

/// Whether the process of this number is the one that the kernel side reported:
/// also where it has just ended, since nobody else has its number yet.
pub fn is_same(pid: u32, start: u64) -> bool {
    let Ok(stat) = open::bytes(format!("/proc/{pid}/stat")) else {
        return true;
    };
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    let tick = 1_000_000_000 / per_second;
    parse_stat(&stat).is_none_or(|(_, began)| began.abs_diff(start) < 2 * tick)
}

/// What the status of a process shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Name of its main thread.
    pub comm: String,
    /// Its real user; `/proc`'s own owner is root's for one that can't be dumped.
    pub uid: u32,
    /// Its bounding set.
    pub bounding: CapSet,
}

/// The status of a process; `None` where it is gone.
pub fn status(pid: u32) -> Option<Status> {
    // A name may hold bytes that are no text, and a line's end is escaped in it.
    let bytes = open::bytes(format!("/proc/{pid}/status")).ok()?;
    let status = String::from_utf8_lossy(&bytes);
    let field = |name: &str| {
        let mut lines = status.lines();
        lines.find_map(|line| Some(line.strip_prefix(name)?.trim()))
    };
    let uid = field("Uid:")?.split_ascii_whitespace().next()?;
    Some(Status {
        comm: field("Name:")?.to_owned(),
        uid: uid.parse().ok()?,
        bounding: CapSet(u64::from_str_radix(field("CapBnd:")?, 16).ok()?),
    })
}

/// User id of the owner of a process's executable, as the kernel has it by now: a file
/// system in user space is not asked, which might never answer.
pub fn owner_of_exe(pid: u32) -> Option<u32> {
    let path = format!("/proc/{pid}/exe");
    let found = statx(CWD, path, AtFlags::STATX_DONT_SYNC, StatxFlags::UID).ok()?;
    Some(found.stx_uid)
}

/// The name as the kernel's dentry has it: `/proc` adds a slash to a memfd's
/// name, and ` (deleted)` to that of a file without a link.
pub fn basename(exe: &Path) -> Option<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt;

    let bytes = exe.as_os_str().as_bytes();
    let bytes = bytes.strip_suffix(b" (deleted)").unwrap_or(bytes);
    if let Some(memfd) = bytes.strip_prefix(b"/")
        && memfd.starts_with(b"memfd:")
    {
        return Some(memfd.to_vec());
    }
    bytes
        .rsplit(|byte| *byte == b'/')
        .next()
        .map(<[u8]>::to_vec)
}

/// Parent and start time. The name in parentheses may hold anything, so what
/// follows is counted from the last one.
fn parse_stat(stat: &[u8]) -> Option<(u32, u64)> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&stat[end + 1..]).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let ppid = fields.nth(1)?.parse().ok()?;
    let ticks: u64 = fields.nth(17)?.parse().ok()?;
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Some((ppid, ticks.saturating_mul(1_000_000_000 / per_second)))
}

/// Inode number of the initial user namespace (`PROC_USER_INIT_INO`,
/// `include/linux/proc_ns.h`, 3.8 to 7.3).
const INITIAL_USER_NAMESPACE: &str = "user:[4026531837]";

/// Whether this process is in the host's user namespace; also where `/proc` can't show it.
pub fn in_initial_user_namespace() -> bool {
    let link = fs::read_link("/proc/self/ns/user");
    link.map_or(true, |link| link.as_os_str() == INITIAL_USER_NAMESPACE)
}

/// The effective set of this process; empty where `/proc` can't be read.
pub fn effective_capabilities() -> CapSet {
    let bits = own_status("CapEff:").and_then(|bits| u64::from_str_radix(&bits, 16).ok());
    CapSet(bits.unwrap_or_default())
}

/// Whether a seccomp filter is on this thread.
pub fn has_seccomp_filter() -> bool {
    own_status("Seccomp:").is_some_and(|mode| mode != "0")
}

fn own_status(key: &str) -> Option<String> {
    let status = open::text("/proc/thread-self/status").ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(key))?;
    Some(value.trim().to_owned())
}

/// What the agent itself uses.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// User and system time.
    pub cpu_seconds: f64,
    /// Resident memory.
    pub resident_bytes: u64,
    /// Virtual memory.
    pub virtual_bytes: u64,
    /// Open file descriptors.
    pub open_fds: u64,
    /// When it started, in seconds since the epoch.
    pub start_seconds: f64,
}

/// What the agent itself uses; `None` where `/proc` can't be read.
pub fn usage() -> Option<Usage> {
    let (_, start) = parse_stat(&open::bytes("/proc/self/stat").ok()?)?;
    let statm = open::text("/proc/self/statm").ok()?;
    let mut pages = statm.split_ascii_whitespace().map(str::parse::<u64>);
    let page = rustix::param::page_size() as u64;
    let virtual_bytes = pages.next()?.ok()? * page;
    let resident_bytes = pages.next()?.ok()? * page;
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let cpu = u64::try_from(cpu.tv_sec).ok()? * 1_000_000_000 + u64::try_from(cpu.tv_nsec).ok()?;
    let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let boot =
        u64::try_from(boot.tv_sec).ok()? * 1_000_000_000 + u64::try_from(boot.tv_nsec).ok()?;
    let age = boot.saturating_sub(start);
    Some(Usage {
        cpu_seconds: seconds(cpu),
        resident_bytes,
        virtual_bytes,
        open_fds: fs::read_dir("/proc/self/fd").ok()?.count() as u64,
        start_seconds: Stamp(Stamp::now().0.saturating_sub(age)).as_seconds(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_does_not_shift_the_fields() {
        let stat = b"7 (a) b) S 3 1 1 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 250 0";
        let per_second = rustix::param::clock_ticks_per_second();
        assert_eq!(
            parse_stat(stat),
            Some((3, 250 * (1_000_000_000 / per_second)))
        );
        assert_eq!(parse_stat(b"garbage"), None);
    }

    #[test]
    fn names_are_those_of_the_kernel() {
        let name = |path: &str| basename(Path::new(path)).unwrap();
        assert_eq!(name("/usr/bin/crun"), b"crun");
        assert_eq!(name("/usr/bin/crun (deleted)"), b"crun");
        let memfd = "/memfd:runc_cloned:/proc/self/exe (deleted)";
        assert_eq!(name(memfd), b"memfd:runc_cloned:/proc/self/exe");
    }

    #[test]
    fn this_process_is_found() {
        let own = read(std::process::id()).unwrap();
        assert!(own.start > 0 && own.exe.is_some());
        let own = status(std::process::id()).unwrap();
        assert_eq!(own.uid, rustix::process::getuid().as_raw());
        assert!(status(u32::MAX).is_none());
        assert!(read(u32::MAX).is_none());
    }
}
