//! One trial, in a separate process: takes on a profile, a user namespace
//! and fewer privileges, then forks the child that drops and executes.
//!
//! Runs before any thread is started, since a process with threads can't enter
//! a user namespace.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    process::ExitCode,
};

use rustix::{
    process::{WaitOptions, waitpid},
    thread::{CapabilitySet, UnshareFlags, capabilities, set_capabilities, unshare_unsafe},
};
use serde::{Deserialize, Serialize};

use super::{attempt::Attempt, behaviour::As, child};

/// `capwatch probe-trial`, which `capwatch probe` runs for each trial.
#[derive(Clone, Debug, clap::Args)]
pub struct Trial {
    /// Name of the process that drops
    #[arg(long, default_value = "capwatch-probe")]
    pub name: String,
    /// Enter a user namespace first
    #[arg(long)]
    pub new_namespace: bool,
    /// Give SETPCAP up first
    #[arg(long)]
    pub without_setpcap: bool,
    /// Take on this profile first
    #[arg(long)]
    pub profile: Option<String>,
    /// The program whose place it takes
    #[arg(long = "as", value_enum, default_value_t)]
    pub program: As,
    /// Only print the bounding set
    #[arg(long)]
    pub workload: bool,
}

/// What came of a trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Came {
    /// It could not be made, for this reason.
    NotTried(String),
    /// It was made.
    Tried {
        /// The account of the process that dropped.
        attempt: Attempt,
        /// The workload's bounding set; none where it never ran.
        workload: Option<u64>,
        /// Exit code of the process that dropped, or of its workload.
        code: Option<i32>,
        /// What went wrong at exec.
        error: Option<String>,
    },
}

/// Runs it, and prints the result as JSON.
pub fn run(trial: &Trial) -> anyhow::Result<ExitCode> {
    if trial.workload {
        child::workload()?;
        return Ok(ExitCode::SUCCESS);
    }
    let came = prepare(trial).map_or_else(
        |why| Ok(Came::NotTried(why)),
        |()| fork(trial).map_err(anyhow::Error::from),
    )?;
    let mut out = io::stdout();
    serde_json::to_writer(&mut out, &came)?;
    out.write_all(b"\n")?;
    Ok(ExitCode::SUCCESS)
}

fn prepare(trial: &Trial) -> Result<(), String> {
    if let Some(profile) = &trial.profile {
        change_profile(profile)?;
    }
    if trial.new_namespace {
        // SAFETY: no descriptor or memory is shared with another thread: there is none.
        unsafe { unshare_unsafe(UnshareFlags::NEWUSER) }.map_err(|error| {
            format!(
                "cannot create a user namespace: {error} (user.max_user_namespaces, \
                 kernel.unprivileged_userns_clone, a security module or a seccomp filter)"
            )
        })?;
    }
    if trial.without_setpcap {
        let lowered = capabilities(None).and_then(|mut sets| {
            sets.effective.remove(CapabilitySet::SETPCAP);
            sets.permitted.remove(CapabilitySet::SETPCAP);
            set_capabilities(None, sets)
        });
        lowered.map_err(|error| format!("cannot drop SETPCAP: {error}"))?;
    }
    Ok(())
}

/// At once, for this process and its children (`aa_change_profile`).
fn change_profile(profile: &str) -> Result<(), String> {
    // Its own directory is for hosts with several security modules.
    let paths = [
        "/proc/self/attr/apparmor/current",
        "/proc/self/attr/current",
    ];
    let text = format!("changeprofile {profile}");
    if fs::metadata("/sys/module/apparmor").is_err() {
        return Err("this kernel has no AppArmor".to_owned());
    }
    let mut failure = None;
    for path in paths {
        match crate::open::write_kernel_file(path, &text) {
            Ok(()) => return Ok(()),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    let error = failure.map_or_else(String::new, |error| error.to_string());
    Err(format!(
        "cannot change to profile {profile}: {error} (is it loaded? `aa-status` lists profiles)"
    ))
}

fn fork(trial: &Trial) -> io::Result<Came> {
    let (read, write) = rustix::pipe::pipe()?;
    let last = crate::sources::bpf::last_cap();
    // SAFETY: this process has one thread, so its child may do anything.
    let pid = unsafe { libc::fork() };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    if pid == 0 {
        drop(read);
        let code = child::run(
            &trial.name,
            trial.program.on_refusal(),
            last,
            File::from(write),
        );
        // SAFETY: ends the child without what its parent wants done at exit.
        unsafe { libc::_exit(code) };
    }
    drop(write);
    let mut output = String::new();
    File::from(read).read_to_string(&mut output)?;
    let waited = waitpid(rustix::process::Pid::from_raw(pid), WaitOptions::empty())?;
    let code = waited.and_then(|(_, status)| status.exit_status());
    let mut lines = output.lines();
    let attempt = lines.next().unwrap_or_default();
    let attempt = serde_json::from_str(attempt).map_err(io::Error::from)?;
    let rest = lines.next();
    let workload = rest.and_then(|line| line.parse().ok());
    let error = rest.filter(|_| workload.is_none()).map(str::to_owned);
    Ok(Came::Tried {
        attempt,
        workload,
        code,
        error,
    })
}
