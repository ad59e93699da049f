//! The system calls that the steps make, each just once.

use std::{ffi::CString, fs, io};

use anyhow::{Context as _, Result};
use libc::{c_int, c_ulong, pid_t};

/// The highest capability that the kernel knows.
///
/// # Errors
/// When the kernel doesn't report it.
pub fn last_capability() -> Result<u64> {
    let path = "/proc/sys/kernel/cap_last_cap";
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    Ok(text.trim().parse()?)
}

/// `prctl(PR_CAPBSET_DROP)`
pub fn drop(capability: u64) {
    let zero: c_ulong = 0;
    // SAFETY: this option takes numbers only.
    unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, zero, zero, zero) };
}

/// `prctl(PR_CAPBSET_DROP)` as a 32-bit task calls it: other numbers, other
/// registers, and 32 bits of the argument. The kernel takes such a call from
/// any task (`arch/x86/entry/entry_64_compat.S`, 5.10 to 7.3).
#[cfg(target_arch = "x86_64")]
pub fn drop_by_int80(capability: u64) {
    /// `arch/x86/entry/syscalls/syscall_32.tbl`
    const PRCTL: u32 = 172;
    // SAFETY: this option takes numbers only; all that the gate changes is reported.
    unsafe {
        std::arch::asm!(
            "push rbx",
            "mov ebx, {option:e}",
            "int 0x80",
            "pop rbx",
            option = in(reg) libc::PR_CAPBSET_DROP,
            inlateout("eax") PRCTL => _,
            in("ecx") (capability & 0xffff_ffff) as u32,
            in("edx") 0,
            in("esi") 0,
            in("edi") 0,
            lateout("r8") _,
            lateout("r9") _,
            lateout("r10") _,
            lateout("r11") _,
        );
    }
}

/// `setuid(2)` of the calling thread alone: glibc's would have every thread ask.
pub fn setuid(uid: u32) {
    // SAFETY: numbers only.
    unsafe { libc::syscall(libc::SYS_setuid, uid) };
}

/// Gives the thread the name of a number.
pub fn rename(number: u32) {
    let name = CString::new(format!("n{number}")).unwrap_or_default();
    // SAFETY: a string that ends with a zero, which the kernel copies.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

/// `unshare(CLONE_NEWUSER)`
pub fn unshare() -> io::Result<()> {
    // SAFETY: numbers only.
    check(unsafe { libc::unshare(libc::CLONE_NEWUSER) }).map(std::mem::drop)
}

/// `fork(2)`: 0 in the child.
pub fn fork() -> io::Result<pid_t> {
    // SAFETY: steps fork before they start threads, so no lock is held.
    check(unsafe { libc::fork() })
}

/// `setsid(2)`
pub fn setsid() {
    // SAFETY: no arguments.
    unsafe { libc::setsid() };
}

/// Waits for a child; its exit code, or 128 + its signal.
pub fn wait(pid: pid_t) -> io::Result<i32> {
    let mut status = 0;
    // SAFETY: the status is written to a local.
    check(unsafe { libc::waitpid(pid, &raw mut status, 0) })?;
    if libc::WIFSIGNALED(status) {
        Ok(128 + libc::WTERMSIG(status))
    } else {
        Ok(libc::WEXITSTATUS(status))
    }
}

/// A pipe's two ends, closed at exec.
pub fn pipe() -> io::Result<(c_int, c_int)> {
    let mut ends = [0; 2];
    // SAFETY: two descriptors are written to a local array.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), 0) })?;
    Ok((ends[0], ends[1]))
}

/// `close(2)`
pub fn close(descriptor: c_int) {
    // SAFETY: the callers own the descriptor.
    unsafe { libc::close(descriptor) };
}

/// Waits until nobody holds a pipe's other end.
pub fn drain(descriptor: c_int) {
    let mut byte = 0_u8;
    // SAFETY: one byte is written to a local.
    while unsafe { libc::read(descriptor, (&raw mut byte).cast(), 1) } > 0 {}
}

/// Ends the calling thread alone.
pub fn leave() -> ! {
    // SAFETY: ends this thread; nothing of it is waited for.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    unreachable!("exit(2) does not return")
}

/// Ends the process without ceremony.
pub fn exit(code: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(code) }
}

/// Sends a signal to the process itself.
pub fn kill(signal: i32) {
    // SAFETY: numbers only.
    unsafe { libc::kill(libc::getpid(), signal) };
}

/// `execvp(3)`: returns only where it failed.
pub fn exec(argv: &[String]) -> io::Error {
    let Ok(words) = argv
        .iter()
        .map(|word| CString::new(word.as_str()))
        .collect::<Result<Vec<_>, _>>()
    else {
        return io::Error::from(io::ErrorKind::InvalidInput);
    };
    let mut pointers: Vec<_> = words.iter().map(|word| word.as_ptr()).collect();
    pointers.push(std::ptr::null());
    // SAFETY: the array ends with a null, and its strings outlive the call.
    unsafe { libc::execvp(pointers[0], pointers.as_ptr()) };
    io::Error::last_os_error()
}

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
