//! The process that drops, then executes: what a supervisor's child does.

use std::{
    ffi::CString,
    fs::File,
    io::{self, Write as _},
    os::fd::AsRawFd as _,
};

use super::{attempt::Attempt, behaviour::OnRefusal};
use crate::{
    caps::{self, CapSet},
    open,
    sources::proc::effective_capabilities,
};

/// Drops, reports, and executes this program again as the workload, with `out`
/// as its stdout. Returns only where that fails, or it stopped: its exit code.
pub fn run(name: &str, on_refusal: OnRefusal, last: u32, mut out: File) -> i32 {
    let attempt = match drop_all(name, on_refusal, last) {
        Ok(attempt) => attempt,
        Err(error) => {
            eprintln!("capwatch: the trial's process cannot read its own sets: {error}");
            return 1;
        }
    };
    let written = serde_json::to_vec(&attempt).map_err(io::Error::from);
    let written = written.and_then(|line| {
        out.write_all(&line)?;
        out.write_all(b"\n")
    });
    if written.is_err() || attempt.gave_up {
        return 1;
    }
    let error = execute(&out);
    // The parent has the words, and the code says that it never ran.
    let _ = writeln!(out, "cannot execute the workload: {error}");
    126
}

/// What the workload does: it prints its bounding set.
pub fn workload() -> io::Result<()> {
    let last = crate::sources::bpf::last_cap();
    writeln!(io::stdout(), "{}", bounding(last).0)
}

fn drop_all(name: &str, on_refusal: OnRefusal, last: u32) -> io::Result<Attempt> {
    // By which the hooks' word is found: process ids differ inside a pid namespace.
    rustix::thread::set_name(&CString::new(name)?)?;
    // Not capget(2): AppArmor takes from its answer what the profile refuses
    // (`apparmor_capget`, security/apparmor/lsm.c, 6.1 to 7.3).
    let setpcap = effective_capabilities().contains(caps::SETPCAP);
    let before = bounding(last);
    let mut attempt = Attempt {
        setpcap,
        before: before.0,
        label: label(),
        seccomp: seccomp(),
        ..Attempt::default()
    };
    // One beyond the last, as capctl does, which finds the end by EINVAL.
    let numbers = match on_refusal {
        OnRefusal::AskFirst if !setpcap => 0..0,
        OnRefusal::Read => 0..last + 2,
        _ => 0..last + 1,
    };
    for number in numbers {
        attempt.drops += 1;
        if drop_bit(number) {
            continue;
        }
        if number > last {
            attempt.unknown_capability += 1;
            continue;
        }
        let raised = is_raised(number);
        if raised {
            attempt.refused |= 1 << number;
            attempt.refused_raised += 1;
            attempt.first_refused = attempt.first_refused.or(Some(number));
        } else {
            attempt.refused_lowered += 1;
        }
        attempt.gave_up = match on_refusal {
            OnRefusal::Read => raised,
            OnRefusal::GiveUp => true,
            OnRefusal::Ignore | OnRefusal::AskFirst => false,
        };
        if attempt.gave_up {
            break;
        }
    }
    attempt.after = bounding(last).0;
    Ok(attempt)
}

/// `PR_CAPBSET_DROP`: whether it was granted.
fn drop_bit(number: u32) -> bool {
    let zero: libc::c_ulong = 0;
    // SAFETY: this option takes numbers only.
    unsafe { libc::prctl(libc::PR_CAPBSET_DROP, u64::from(number), zero, zero, zero) == 0 }
}

/// `PR_CAPBSET_READ`, which nobody refuses.
fn is_raised(number: u32) -> bool {
    let zero: libc::c_ulong = 0;
    // SAFETY: this option takes numbers only.
    unsafe { libc::prctl(libc::PR_CAPBSET_READ, u64::from(number), zero, zero, zero) == 1 }
}

fn bounding(last: u32) -> CapSet {
    let mut set = CapSet::EMPTY;
    for number in (0..=last).filter(|number| is_raised(*number)) {
        set.insert(number);
    }
    set
}

/// The confinement, as the security module reports it; none where there is none.
pub fn label() -> Option<String> {
    let paths = [
        "/proc/self/attr/apparmor/current",
        "/proc/self/attr/current",
    ];
    let text = paths.iter().find_map(|path| open::text(path).ok())?;
    let text = text.trim_end_matches(['\n', '\0']);
    let unconfined = text.is_empty() || text == "unconfined" || text.ends_with("(unconfined)");
    (!unconfined).then(|| text.to_owned())
}

/// Whether a seccomp filter is on.
pub fn seccomp() -> bool {
    let status = open::text("/proc/self/status").unwrap_or_default();
    let mode = status
        .lines()
        .find_map(|line| line.strip_prefix("Seccomp:"));
    mode.is_some_and(|mode| mode.trim() != "0")
}

fn execute(out: &File) -> io::Error {
    // SAFETY: both descriptors are open; the process is single-threaded.
    if unsafe { libc::dup2(out.as_raw_fd(), libc::STDOUT_FILENO) } < 0 {
        return io::Error::last_os_error();
    }
    let argv = [
        c"capwatch".as_ptr(),
        c"probe-trial".as_ptr(),
        c"--workload".as_ptr(),
        std::ptr::null(),
    ];
    // SAFETY: the array ends with a null, and its strings are static.
    unsafe { libc::execv(c"/proc/self/exe".as_ptr(), argv.as_ptr()) };
    io::Error::last_os_error()
}
