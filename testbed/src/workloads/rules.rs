//! Calls that the kernel refuses by a rule, each once.

mod ids;
mod lost;

use ids::{
    chroot, denied, depth, limit, map, no_gid_map, no_setfcap, not_own_gid, not_own_uid,
    other_opener, unmapped_group, unmapped_user, written_before,
};
use lost::{lost_foreign_mount, lost_no_new_privs, lost_nosuid, lost_traced};

use std::{
    ffi::CString,
    fs, io,
    os::unix::fs::PermissionsExt as _,
    process::{ExitCode, exit},
};

use anyhow::{Context as _, Result, ensure};
use capctl::{Cap, CapSet, CapState, ambient, bounding};
use libc::c_ulong;

use super::steps::sys;

/// Have the kernel refuse one call by a rule, or succeed with each of them
#[derive(clap::Args)]
pub struct Args {
    /// Which: `CALL.RULE`, `list`, `self`, or `succeed`
    what: String,
    /// How often
    #[arg(long, default_value_t = 1)]
    count: u32,
}

/// `EPERM`, `EINVAL` or whatever it should be.
type Attempt = fn() -> io::Result<()>;

/// Every rule that can be provoked here: its name, what breaks it, and the error; 0 where
/// the call succeeds, and gives less than it might.
const ALL: [(&str, Attempt, i32); 26] = [
    ("exec.file_beyond_bounding", exec, libc::EPERM),
    ("capset.permitted_beyond_permitted", permitted, libc::EPERM),
    ("capset.effective_beyond_permitted", effective, libc::EPERM),
    (
        "capset.inheritable_beyond_permitted",
        inheritable,
        libc::EPERM,
    ),
    ("capset.inheritable_beyond_bounding", unbounded, libc::EPERM),
    ("capset.other_process", other_process, libc::EPERM),
    ("ambient.not_permitted", not_permitted, libc::EPERM),
    ("ambient.not_inheritable", not_inheritable, libc::EPERM),
    ("ambient.locked", ambient_locked, libc::EPERM),
    ("securebits.locked", securebits_locked, libc::EPERM),
    ("uid_map.creator_lacks_setfcap", no_setfcap, libc::EPERM),
    ("uid_map.not_own_id", not_own_uid, libc::EPERM),
    ("uid_map.written_before", written_before, libc::EPERM),
    ("uid_map.other_opener", other_opener, libc::EPERM),
    ("gid_map.not_own_id", not_own_gid, libc::EPERM),
    ("setgroups.no_gid_map", no_gid_map, libc::EPERM),
    ("setgroups.denied_in_namespace", denied, libc::EPERM),
    ("setgroups.unmapped", unmapped_group, libc::EINVAL),
    ("userns.unmapped", unmapped_user, libc::EPERM),
    ("userns.chroot", chroot, libc::EPERM),
    ("userns.limit", limit, libc::ENOSPC),
    ("userns.depth", depth, libc::ENOSPC),
    ("exec.lost_no_new_privs", lost_no_new_privs, 0),
    ("exec.lost_nosuid", lost_nosuid, 0),
    ("exec.lost_foreign_mount", lost_foreign_mount, 0),
    ("exec.lost_traced", lost_traced, 0),
];

/// Does it.
///
/// # Errors
/// When the call was not refused, or in another way.
pub fn run(args: &Args) -> Result<ExitCode> {
    if args.what == "list" {
        for (name, ..) in ALL {
            println!("{name}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    if args.what == "self" {
        println!("{}", std::process::id());
        return Ok(ExitCode::SUCCESS);
    }
    if args.what == "succeed" {
        return succeed(args.count).map(|()| ExitCode::SUCCESS);
    }
    let found = ALL.iter().find(|(name, ..)| *name == args.what);
    let (name, attempt, errno) = found.with_context(|| format!("no rule {}", args.what))?;
    let short = name.split('.').next_back().unwrap_or(name);
    let comm = CString::new(short.get(..15).unwrap_or(short))?;
    // SAFETY: a string that ends with a zero, which the kernel copies.
    unsafe { libc::prctl(libc::PR_SET_NAME, comm.as_ptr()) };
    if *errno == 0 {
        // What it executes says the process id.
        attempt()?;
        return Ok(ExitCode::SUCCESS);
    }
    for _ in 0..args.count {
        let error = attempt().err().context("it was granted")?;
        ensure!(
            error.raw_os_error() == Some(*errno),
            "it was refused with {error}"
        );
    }
    println!("{}", std::process::id());
    Ok(ExitCode::SUCCESS)
}

/// Calls that no rule refuses, many times: an exec of a file with capabilities, of one
/// without, capset, the ambient set, and id maps.
fn succeed(count: u32) -> Result<()> {
    let file = file_with(Cap::CHOWN, "testbed-granted")?;
    for _ in 0..count {
        let child = sys::fork()?;
        if child == 0 {
            let state = CapState::get_current();
            let set = state.and_then(|mut state| {
                state.inheritable.add(Cap::CHOWN);
                state.set_current()?;
                ambient::raise(Cap::CHOWN)
            });
            let mapped = set.is_ok() && sys::unshare().is_ok() && map("uid_map", "0 0 1").is_ok();
            let argv = [file.clone(), "rules".to_owned(), "list".to_owned()];
            if mapped {
                // SAFETY: the descriptors are standard output's.
                unsafe { libc::close(1) };
                sys::exec(&argv);
            }
            sys::exit(1);
        }
        // Without a standard output it fails to print, which is as good as any end.
        let code = sys::wait(child)?;
        ensure!(code != 1, "a call that should be granted failed");
    }
    fs::remove_file(file)?;
    Ok(())
}

/// Itself, with a capability that takes effect at once.
fn file_with(capability: Cap, name: &str) -> io::Result<String> {
    let file = format!("/tmp/{name}");
    fs::copy("/proc/self/exe", &file)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
    // `struct vfs_cap_data` (`include/uapi/linux/capability.h`), revision 2, effective.
    let mut value = [0_u8; 20];
    value[..4].copy_from_slice(&0x0200_0001_u32.to_le_bytes());
    let bits = 1_u64 << capability as u32;
    value[4..8].copy_from_slice(&u32::try_from(bits & 0xffff_ffff).unwrap_or(0).to_le_bytes());
    value[12..16].copy_from_slice(&u32::try_from(bits >> 32).unwrap_or(0).to_le_bytes());
    let (path, key) = (CString::new(file.as_str())?, c"security.capability");
    // SAFETY: two strings that end with a zero, and a value of the length given.
    let result = unsafe {
        libc::setxattr(
            path.as_ptr(),
            key.as_ptr(),
            value.as_ptr().cast(),
            value.len(),
            0,
        )
    };
    checked(result).map(|()| file)
}

fn checked(result: impl Into<i64>) -> io::Result<()> {
    if result.into() < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn of(error: &capctl::Error) -> io::Error {
    io::Error::from_raw_os_error(error.code())
}

fn exec() -> io::Result<()> {
    let file = file_with(Cap::NET_BIND_SERVICE, "testbed-beyond")?;
    bounding::drop(Cap::NET_BIND_SERVICE).map_err(|error| of(&error))?;
    let error = sys::exec(&[file.clone(), "rules".to_owned(), "list".to_owned()]);
    fs::remove_file(file)?;
    Err(error)
}

/// Changes its sets, which must succeed.
fn become_with(change: impl FnOnce(&mut CapState)) {
    if ask(change).is_err() {
        exit(3);
    }
}

fn ask(change: impl FnOnce(&mut CapState)) -> io::Result<()> {
    let mut state = CapState::get_current().map_err(|error| of(&error))?;
    change(&mut state);
    state.set_current().map_err(|error| of(&error))
}

fn permitted() -> io::Result<()> {
    become_with(|state| {
        state.effective.drop(Cap::CHOWN);
        state.permitted.drop(Cap::CHOWN);
    });
    ask(|state| {
        state.permitted.add(Cap::CHOWN);
    })
}

fn effective() -> io::Result<()> {
    ask(|state| state.permitted.drop(Cap::CHOWN))
}

fn inheritable() -> io::Result<()> {
    become_with(|state| {
        state.effective = CapSet::empty();
        state.permitted.drop(Cap::CHOWN);
    });
    ask(|state| state.inheritable.add(Cap::CHOWN))
}

fn unbounded() -> io::Result<()> {
    bounding::drop(Cap::CHOWN).map_err(|error| of(&error))?;
    ask(|state| state.inheritable.add(Cap::CHOWN))
}

fn raise() -> io::Result<()> {
    ambient::raise(Cap::CHOWN).map_err(|error| of(&error))
}

fn other_process() -> io::Result<()> {
    // `_LINUX_CAPABILITY_VERSION_3`, and the first process.
    let header = [0x2008_0522_u32, 1];
    let data = [0_u32; 6];
    // SAFETY: both are as long as the kernel reads.
    let result = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) };
    checked(result)
}

fn not_permitted() -> io::Result<()> {
    become_with(|state| {
        state.effective.drop(Cap::CHOWN);
        state.permitted.drop(Cap::CHOWN);
    });
    raise()
}

fn not_inheritable() -> io::Result<()> {
    become_with(|state| state.inheritable.drop(Cap::CHOWN));
    raise()
}

fn securebits(bits: c_ulong) -> io::Result<()> {
    // SAFETY: numbers only.
    checked(unsafe { libc::prctl(libc::PR_SET_SECUREBITS, bits) })
}

fn ambient_locked() -> io::Result<()> {
    become_with(|state| state.inheritable.add(Cap::CHOWN));
    // SECBIT_NO_CAP_AMBIENT_RAISE
    securebits(1 << 6)?;
    raise()
}

fn securebits_locked() -> io::Result<()> {
    // SECBIT_NOROOT and its lock.
    securebits(0b11)?;
    securebits(0)
}
