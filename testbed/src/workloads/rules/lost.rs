//! Executions that succeed and give less than the file or the caller says.

use std::{ffi::CString, fs, io, os::unix::fs::PermissionsExt as _};

use capctl::Cap;

use super::{checked, file_with, ids::become_nobody};
use crate::workloads::steps::sys;

/// Executes a file that says the process id.
fn execute(file: &str) -> io::Error {
    sys::exec(&[file.to_owned(), "rules".to_owned(), "self".to_owned()])
}

pub(super) fn lost_no_new_privs() -> io::Result<()> {
    let file = file_with(Cap::CHOWN, "testbed-lost")?;
    become_nobody()?;
    // SAFETY: numbers only.
    checked(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
    Err(execute(&file))
}

/// Itself, with root's set-user-id bit.
fn set_id(file: &str) -> io::Result<()> {
    fs::copy("/proc/self/exe", file)?;
    fs::set_permissions(file, fs::Permissions::from_mode(0o4755))
}

fn own_mounts() -> io::Result<()> {
    // SAFETY: a number only.
    checked(unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
    let flags = libc::MS_REC | libc::MS_PRIVATE;
    let (no_text, no_data) = (std::ptr::null(), std::ptr::null());
    // SAFETY: a string that ends with a zero; the kernel reads no other.
    checked(unsafe { libc::mount(no_text, c"/".as_ptr(), no_text, flags, no_data) })
}

pub(super) fn lost_nosuid() -> io::Result<()> {
    let folder = "/tmp/testbed-nosuid";
    fs::create_dir_all(folder)?;
    own_mounts()?;
    let (kind, path) = (c"tmpfs".as_ptr(), CString::new(folder)?);
    // SAFETY: strings that end with a zero.
    checked(unsafe { libc::mount(kind, path.as_ptr(), kind, libc::MS_NOSUID, std::ptr::null()) })?;
    let file = format!("{folder}/testbed-lost");
    set_id(&file)?;
    become_nobody()?;
    Err(execute(&file))
}

pub(super) fn lost_foreign_mount() -> io::Result<()> {
    let file = "/tmp/testbed-set-id";
    set_id(file)?;
    let path = CString::new(file)?;
    // SAFETY: a string that ends with a zero.
    let open = unsafe { libc::open(path.as_ptr(), libc::O_PATH) };
    checked(open)?;
    own_mounts()?;
    become_nobody()?;
    Err(execute(&format!("/proc/self/fd/{open}")))
}

pub(super) fn lost_traced() -> io::Result<()> {
    let file = "/tmp/testbed-set-id";
    set_id(file)?;
    become_nobody()?;
    let child = sys::fork()?;
    if child == 0 {
        let nothing: *mut libc::c_void = std::ptr::null_mut();
        // SAFETY: numbers only.
        unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, nothing, nothing) };
        execute(file);
        sys::exit(1);
    }
    let mut status = 0;
    // SAFETY: the status is this function's; the child stops at its exec.
    checked(unsafe { libc::waitpid(child, &raw mut status, 0) })?;
    let nothing: *mut libc::c_void = std::ptr::null_mut();
    // SAFETY: numbers only.
    let gone_on = unsafe { libc::ptrace(libc::PTRACE_CONT, child, nothing, nothing) };
    checked(gone_on)?;
    if sys::wait(child)? != 0 {
        return Err(io::Error::other("the traced program failed"));
    }
    Ok(())
}
