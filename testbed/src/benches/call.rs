//! One kind of system call, over and over.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use libc::c_ulong;

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Call {
    /// `reboot(2)` with no magic number: one check, granted, then EINVAL
    Allowed,
    /// The same without the capability: one check, refused
    Denied,
    /// `prctl(PR_GET_KEEPCAPS)`, which asks for no capability
    Prctl,
    /// `getppid(2)`, which has nothing to do with any of it
    Getppid,
    /// fork, exec and exit of a child
    Spawn,
}

/// Time one kind of call, in this process
#[derive(clap::Args)]
pub struct Args {
    /// What is called
    #[arg(value_enum)]
    call: Call,
    /// Calls in a loop
    #[arg(long, default_value_t = 20_000)]
    count: u32,
    /// Loops, of which the fastest counts: the others were disturbed
    #[arg(long, default_value_t = 25)]
    loops: u32,
}

/// Prints the nanoseconds of one call.
pub fn run(args: &Args) -> Result<()> {
    if args.call == Call::Denied {
        let mut state = capctl::CapState::get_current().context("capget")?;
        state.effective.clear();
        state.set_current().context("capset")?;
    }
    stay_on_one_processor();
    let count = args.count.max(1);
    let mut best = f64::INFINITY;
    // One loop more, to warm what is cold.
    for warm in 0..=args.loops {
        let begin = Instant::now();
        repeat(args.call, count)?;
        let each = begin.elapsed().as_secs_f64() * 1e9 / f64::from(count);
        if warm > 0 {
            best = best.min(each);
        }
    }
    println!("{best}");
    Ok(())
}

fn repeat(call: Call, count: u32) -> Result<()> {
    let expected = match call {
        Call::Allowed => libc::EINVAL,
        Call::Denied => libc::EPERM,
        Call::Prctl | Call::Getppid => 0,
        Call::Spawn => return spawn(count),
    };
    for _ in 0..count {
        let result = match call {
            // SAFETY: numbers that are no command for this call.
            Call::Allowed | Call::Denied => unsafe { libc::syscall(libc::SYS_reboot, 0, 0, 0, 0) },
            // SAFETY: numbers only.
            Call::Prctl => unsafe { libc::prctl(libc::PR_GET_KEEPCAPS, 0 as c_ulong).into() },
            // SAFETY: no arguments.
            Call::Getppid | Call::Spawn => unsafe { libc::syscall(libc::SYS_getppid) },
        };
        let error = if result < 0 { errno() } else { 0 };
        ensure!(
            error == expected,
            "the call failed with {error}, not {expected}"
        );
    }
    Ok(())
}

fn spawn(count: u32) -> Result<()> {
    let program = std::env::current_exe().context("no path of this program")?;
    for _ in 0..count {
        let mut child = Command::new(&program);
        // Misuse, reported before anything else happens.
        child.arg("do").stdout(Stdio::null()).stderr(Stdio::null());
        child.status().context("cannot start a child")?;
    }
    Ok(())
}

fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// Pins the calling process, so no measurement moves between processors.
fn stay_on_one_processor() {
    // SAFETY: a set of the size given, on the stack; without success it only measures worse.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(0, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set);
    }
}
