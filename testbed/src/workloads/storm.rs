//! A storm of refused checks: each call asks for one capability just once.

use std::thread;

use anyhow::{Context as _, Result, bail, ensure};
use libc::{c_int, c_ulong, syscall};

use super::steps::sys;

/// Provoke refused checks, as fast as may be, from many threads
#[derive(clap::Args)]
pub struct Args {
    /// Threads; each is its own process with --processes
    #[arg(long, default_value_t = 4)]
    threads: u32,
    /// Calls of each thread
    #[arg(long, default_value_t = 1_000)]
    count: u64,
    /// What is asked for: `setuid`, `setpcap`, `sys_admin`, `sys_boot`, `sys_chroot`,
    /// `sys_module`, `sys_pacct`, `sys_time` or `sys_tty_config`
    #[arg(long, default_value = "sys_chroot")]
    capability: String,
    /// Processes instead of threads
    #[arg(long)]
    processes: bool,
}

/// Runs the storm.
///
/// # Errors
/// When it can't be started, or a call is granted.
pub fn run(args: &Args) -> Result<()> {
    let call = call(&args.capability)?;
    ensure!(args.threads > 0, "no thread, no storm");
    weaken()?;
    let count = args.count;
    let worker = move || (0..count).filter(|_| call() >= 0).count();
    let granted = if args.processes {
        processes(args.threads, &worker)?
    } else {
        let threads: Vec<_> = (0..args.threads).map(|_| thread::spawn(worker)).collect();
        let join = |thread: thread::JoinHandle<usize>| thread.join().unwrap_or(1);
        threads.into_iter().map(join).sum()
    };
    ensure!(granted == 0, "{granted} calls were granted");
    Ok(())
}

fn processes(count: u32, worker: &dyn Fn() -> usize) -> Result<usize> {
    let mut children = Vec::new();
    for _ in 0..count {
        match sys::fork().context("fork")? {
            0 => sys::exit(i32::from(worker() > 0)),
            child => children.push(child),
        }
    }
    let mut failed = 0;
    for child in children {
        failed += usize::from(sys::wait(child).context("waitpid")? != 0);
    }
    Ok(failed)
}

/// The capabilities that a call is known for which asks for it just once, but for `sys_admin`,
/// which the kernel's own accounting of memory asks for too, and `sys_module`,
/// of which a kernel without modules knows nothing.
pub const CAPABILITIES: [&str; 7] = [
    "setuid",
    "setpcap",
    "sys_boot",
    "sys_chroot",
    "sys_pacct",
    "sys_time",
    "sys_tty_config",
];

/// Empties the effective set; the permitted one stays, since nothing asks for it.
///
/// # Errors
/// When the kernel refuses.
pub fn weaken() -> Result<()> {
    let mut state = capctl::CapState::get_current().context("capget")?;
    state.effective.clear();
    state.set_current().context("capset")
}

/// System calls whose first deed is the check.
///
/// # Errors
/// When there is none for this capability.
pub fn call(capability: &str) -> Result<fn() -> c_int> {
    Ok(match capability {
        // SAFETY: numbers only.
        "setuid" => || as_int(unsafe { syscall(libc::SYS_setuid, 4_000_000_u32) }),
        // SAFETY: numbers only.
        "setpcap" => || unsafe { libc::prctl(libc::PR_CAPBSET_DROP, 0 as c_ulong, 0, 0, 0) },
        // SAFETY: a static string of the length given.
        "sys_admin" => || unsafe { libc::sethostname(c"x".as_ptr(), 1) },
        // SAFETY: numbers only; without the capability it does nothing.
        "sys_boot" => || unsafe { libc::reboot(libc::RB_DISABLE_CAD) },
        // SAFETY: a static string.
        "sys_chroot" => || unsafe { libc::chroot(c"/".as_ptr()) },
        // SAFETY: a static string, of no module.
        "sys_module" => || as_int(unsafe { syscall(libc::SYS_delete_module, c"-".as_ptr(), 0) }),
        // SAFETY: null turns accounting off.
        "sys_pacct" => || unsafe { libc::acct(std::ptr::null()) },
        "sys_time" => || {
            let time = libc::timespec {
                tv_sec: 1_800_000_000,
                tv_nsec: 0,
            };
            // SAFETY: reads a local.
            unsafe { libc::clock_settime(libc::CLOCK_REALTIME, &raw const time) }
        },
        // SAFETY: no arguments.
        "sys_tty_config" => || unsafe { libc::vhangup() },
        _ => bail!("no call is known that asks for {capability:?} just once"),
    })
}

fn as_int(result: libc::c_long) -> c_int {
    if result < 0 { -1 } else { 0 }
}
