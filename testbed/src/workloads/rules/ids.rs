//! Refusals about ids, groups and user namespaces.

use std::{fs, io, path::Path, process::exit};

use capctl::Cap;

use super::{become_with, checked};
use crate::workloads::steps::sys;

pub(super) fn map(file: &str, text: &str) -> io::Result<()> {
    map_of("self", file, text)
}

fn map_of(process: &str, file: &str, text: &str) -> io::Result<()> {
    use io::Write as _;
    let path = Path::new("/proc").join(process).join(file);
    let mut file = fs::OpenOptions::new().write(true).open(path)?;
    file.write_all(text.as_bytes())
}

/// A new user namespace in which its own ids are mapped.
fn namespace() -> io::Result<()> {
    sys::unshare()?;
    map("setgroups", "deny")?;
    map("gid_map", "0 0 1")?;
    map("uid_map", "0 0 1")
}

pub(super) fn no_setfcap() -> io::Result<()> {
    become_with(|state| state.effective.drop(Cap::SETFCAP));
    sys::unshare()?;
    map("uid_map", "0 0 1")
}

pub(super) fn become_nobody() -> io::Result<()> {
    const NOBODY: u32 = 65_534;
    // SAFETY: numbers only.
    checked(unsafe { libc::setresgid(NOBODY, NOBODY, NOBODY) })?;
    // SAFETY: numbers only.
    checked(unsafe { libc::setresuid(NOBODY, NOBODY, NOBODY) })
}

/// Becomes nobody, in its own namespace.
fn nobody() -> io::Result<()> {
    become_nobody()?;
    // Else its files in /proc are root's.
    // SAFETY: numbers only.
    checked(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1) })?;
    sys::unshare()
}

pub(super) fn not_own_uid() -> io::Result<()> {
    nobody()?;
    map("uid_map", "0 1000 1")
}

pub(super) fn not_own_gid() -> io::Result<()> {
    nobody()?;
    // Its own id, but setgroups is not denied.
    map("gid_map", "0 65534 1")
}

pub(super) fn written_before() -> io::Result<()> {
    namespace()?;
    map("uid_map", "0 0 1")
}

/// Has a child do something, then wait; gives its process id.
fn beside(first: impl FnOnce() -> io::Result<()>) -> io::Result<i32> {
    let (ready, done) = sys::pipe()?;
    let child = sys::fork()?;
    if child == 0 {
        if first().is_err() {
            exit(3);
        }
        sys::close(done);
        sys::close(ready);
        std::thread::sleep(std::time::Duration::from_secs(5));
        exit(0);
    }
    sys::close(done);
    sys::drain(ready);
    Ok(child)
}

pub(super) fn other_opener() -> io::Result<()> {
    let child = beside(|| {
        namespace()?;
        sys::unshare()
    })?;
    let result = map_of(&child.to_string(), "uid_map", "0 0 1");
    // SAFETY: numbers only; the child is this process's own.
    unsafe { libc::kill(child, libc::SIGKILL) };
    result
}

pub(super) fn setgroups(group: libc::gid_t) -> io::Result<()> {
    // SAFETY: one group, which is read.
    let result = unsafe { libc::syscall(libc::SYS_setgroups, 1, &raw const group) };
    checked(result)
}

pub(super) fn no_gid_map() -> io::Result<()> {
    sys::unshare()?;
    setgroups(0)
}

pub(super) fn denied() -> io::Result<()> {
    sys::unshare()?;
    map("setgroups", "deny")?;
    map("gid_map", "0 0 1")?;
    setgroups(0)
}

pub(super) fn unmapped_group() -> io::Result<()> {
    let parent = std::process::id();
    let (ready, done) = sys::pipe()?;
    let child = sys::fork()?;
    if child == 0 {
        sys::close(done);
        // The namespace is made by then.
        sys::drain(ready);
        let mapped = map_of(&parent.to_string(), "gid_map", "0 0 1");
        sys::exit(i32::from(mapped.is_err()));
    }
    sys::unshare()?;
    sys::close(ready);
    sys::close(done);
    if sys::wait(child)? != 0 {
        exit(3);
    }
    setgroups(5)
}

pub(super) fn unmapped_user() -> io::Result<()> {
    sys::unshare()?;
    sys::unshare()
}

pub(super) fn chroot() -> io::Result<()> {
    std::os::unix::fs::chroot("/tmp")?;
    sys::unshare()
}

pub(super) fn limit() -> io::Result<()> {
    let path = "/proc/sys/user/max_user_namespaces";
    let before = fs::read_to_string(path)?;
    fs::write(path, "0")?;
    let result = sys::unshare();
    fs::write(path, before)?;
    result
}

pub(super) fn depth() -> io::Result<()> {
    for _ in 0..40 {
        namespace()?;
    }
    Ok(())
}
