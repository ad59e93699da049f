//! The calls of the self-tests that are refused. Each one is made on a thread, or
//! in a child, that ends with the test.

use std::{
    io,
    os::fd::{AsRawFd as _, OwnedFd},
};

use rustix::{
    io::Errno,
    thread::{CapabilitySet, capabilities, set_capabilities},
};

use crate::open;

/// Name of the thread that commoncap refuses; no other has it.
pub const THREAD: &str = "capwatch-doctor";
/// Name of the thread that a security module refuses.
pub const LSM_THREAD: &str = "capwatch-lsm";
/// `CAP_SYS_CHROOT`: `chroot("/")` is harmless even if it is granted.
pub const PROVOKED: u32 = 18;
/// Profiles that are tried.
const PROFILES: usize = 8;

/// Has commoncap refuse `CAP_SYS_CHROOT`.
pub fn commoncap() -> Result<(), String> {
    on_thread(THREAD, || {
        without(CapabilitySet::all())?;
        chroot()
    })
}

/// Tries to drop a capability that no kernel has, without SETPCAP: refused by
/// commoncap, and nothing to lower.
pub fn drop_unknown() -> Result<(), String> {
    on_thread(THREAD, || {
        without(CapabilitySet::SETPCAP)?;
        let (number, zero): (libc::c_ulong, libc::c_ulong) = (63, 0);
        // SAFETY: this option takes numbers only.
        let result = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, zero, zero, zero) };
        if result == 0 {
            return Err("a capability that does not exist was dropped".to_owned());
        }
        Ok(())
    })
}

/// Asks for a capability that was dropped: refused by a rule, without a check.
pub fn raise_permitted() -> Result<(), String> {
    on_thread(THREAD, || {
        let mut sets = capabilities(None).map_err(|error| error.to_string())?;
        let held = sets.permitted;
        sets.permitted.remove(CapabilitySet::SYS_CHROOT);
        sets.effective.remove(CapabilitySet::SYS_CHROOT);
        set_capabilities(None, sets).map_err(|error| error.to_string())?;
        sets.permitted = held | CapabilitySet::SYS_CHROOT;
        match set_capabilities(None, sets) {
            Err(Errno::PERM) => Ok(()),
            Err(error) => Err(error.to_string()),
            Ok(()) => Err("a dropped capability came back".to_owned()),
        }
    })
}

/// Has `AppArmor` refuse `CAP_SYS_CHROOT`, by a profile that is loaded already.
pub fn apparmor() -> Result<(), String> {
    let loaded = open::text("/sys/kernel/security/apparmor/profiles");
    let loaded = loaded.map_err(|error| format!("cannot list the profiles: {error}"))?;
    let mut profiles: Vec<&str> = loaded
        .lines()
        .filter_map(|line| line.strip_suffix(" (enforce)"))
        .filter(|name| !name.contains("//"))
        .collect();
    // Ubuntu's allows no capability at all.
    profiles.sort_by_key(|name| *name != "unprivileged_userns");
    if profiles.is_empty() {
        return Err("no profile in enforce mode is loaded".to_owned());
    }
    let mut failure = String::new();
    for profile in profiles.into_iter().take(PROFILES) {
        match on_thread(LSM_THREAD, || confined(profile)) {
            Ok(()) => return Ok(()),
            Err(error) => failure = error,
        }
    }
    Err(format!("no profile refused: {failure}"))
}

fn confined(profile: &str) -> Result<(), String> {
    let held = capabilities(None).map_err(|error| error.to_string())?;
    if !held.effective.contains(CapabilitySet::SYS_CHROOT) {
        return Err("CAP_SYS_CHROOT is missing, so commoncap refuses first".to_owned());
    }
    let text = format!("changeprofile {profile}");
    let paths = [
        "/proc/thread-self/attr/apparmor/current",
        "/proc/thread-self/attr/current",
    ];
    if open::write_kernel_file(paths[0], &text).is_err() {
        open::write_kernel_file(paths[1], &text)
            .map_err(|error| format!("profile {profile}: {error}"))?;
    }
    chroot()
}

fn chroot() -> Result<(), String> {
    match rustix::process::chroot("/") {
        Err(Errno::PERM | Errno::ACCESS) => Ok(()),
        Err(error) => Err(error.to_string()),
        Ok(()) => Err("chroot(\"/\") was granted".to_owned()),
    }
}

/// Takes capabilities out of this thread's effective set.
fn without(set: CapabilitySet) -> Result<(), String> {
    let mut sets = capabilities(None).map_err(|error| error.to_string())?;
    sets.effective.remove(set);
    set_capabilities(None, sets).map_err(|error| error.to_string())
}

fn on_thread(name: &str, act: impl FnOnce() -> Result<(), String> + Send) -> Result<(), String> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(name.to_owned());
        let handle = thread
            .spawn_scoped(scope, act)
            .map_err(|error| error.to_string())?;
        handle.join().map_err(|_| "the thread died".to_owned())?
    })
}

/// A child that waits, and ends when it is asked to.
pub struct Child {
    pid: libc::pid_t,
    /// Closing it ends the child.
    leash: OwnedFd,
}

impl Child {
    /// Forks it.
    pub fn start() -> io::Result<Self> {
        let (read, leash) = rustix::pipe::pipe()?;
        let (read_fd, leash_fd) = (read.as_raw_fd(), leash.as_raw_fd());
        // SAFETY: the child makes system calls only, as one of a process with
        // threads must.
        let pid = unsafe { libc::fork() };
        if pid < 0 {
            return Err(io::Error::last_os_error());
        }
        if pid == 0 {
            let mut byte = 0_u8;
            // SAFETY: its own descriptors, and a local of one byte.
            unsafe {
                libc::close(leash_fd);
                libc::read(read_fd, (&raw mut byte).cast(), 1);
                libc::_exit(0)
            }
        }
        Ok(Self { pid, leash })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid.unsigned_abs()
    }

    /// Ends it.
    pub fn end(self) {
        let Self { pid, leash } = self;
        drop(leash);
        let pid = rustix::process::Pid::from_raw(pid);
        // It always ends, because its read returns.
        let _ = rustix::process::waitpid(pid, rustix::process::WaitOptions::empty());
    }
}
