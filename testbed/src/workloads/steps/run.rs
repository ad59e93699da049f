//! Carries steps out.

use std::{
    fs, process,
    sync::{
        Arc, Barrier,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::{Step, sys};

/// Names given so far.
static NAMES: AtomicU32 = AtomicU32::new(0);

/// Does all steps, and ends the process.
pub fn run(steps: &[Step]) -> ! {
    match all(steps) {
        Ok(code) => sys::exit(code),
        Err(error) => fail(&error),
    }
}

/// A step that can't be done must not look like a program under test.
fn fail(error: &anyhow::Error) -> ! {
    eprintln!("testbed: {error:#}");
    sys::exit(99)
}

/// Does steps; returns the exit code of the last child.
fn all(steps: &[Step]) -> Result<i32> {
    let mut code = 0;
    for step in steps {
        if let Some(new) = one(step)? {
            code = new;
        }
    }
    Ok(code)
}

fn one(step: &Step) -> Result<Option<i32>> {
    match step {
        Step::Drop(capabilities) => capabilities.iter().copied().for_each(sys::drop),
        #[cfg(target_arch = "x86_64")]
        Step::Drop32(capabilities) => capabilities.iter().copied().for_each(sys::drop_by_int80),
        Step::Clear { fatal } => {
            if capctl::bounding::clear().is_err() && *fatal {
                sys::exit(1);
            }
        }
        Step::Effective { bits, raise } => effective(*bits, *raise)?,
        Step::Setuid(uid) => sys::setuid(*uid),
        Step::Rename => sys::rename(NAMES.fetch_add(1, Ordering::Relaxed)),
        Step::Unshare => sys::unshare().context("unshare")?,
        Step::Profile(name) => profile(name)?,
        Step::Fork(steps) => return fork(steps).map(Some),
        Step::Daemon { steps, wait } => daemon(steps, *wait)?,
        Step::Threads { count, steps, wait } => return threads(*count, steps, *wait),
        Step::Repeat(count, steps) => {
            let mut code = 0;
            for _ in 0..*count {
                code = all(steps)?;
            }
            return Ok(Some(code));
        }
        Step::Leave => sys::leave(),
        Step::Sleep(milliseconds) => thread::sleep(Duration::from_millis(*milliseconds)),
        Step::Kill(signal) => sys::kill(*signal),
        Step::Exit(code) => sys::exit(*code),
        Step::Spawn(argv) => {
            // std uses posix_spawn where nothing is to be done in the child.
            let status = process::Command::new(&argv[0]).args(&argv[1..]).status();
            let status = status.with_context(|| format!("spawn {}", argv[0]))?;
            return Ok(status.code());
        }
        Step::Exec(argv) => {
            let error = sys::exec(argv);
            return Err(error).with_context(|| format!("exec {}", argv[0]));
        }
    }
    Ok(None)
}

fn effective(bits: u64, raise: bool) -> Result<()> {
    let mut state = capctl::CapState::get_current().context("capget")?;
    for number in (0..64).filter(|number| bits >> number & 1 == 1) {
        let capability = capctl::Cap::iter().find(|known| *known as u64 == number);
        let capability = capability.with_context(|| format!("capctl does not know {number}"))?;
        state.effective.set_state(capability, raise);
    }
    state.set_current().context("capset")
}

fn profile(name: &str) -> Result<()> {
    // Its own directory came with stacked LSMs (5.1).
    let paths = ["/proc/self/attr/apparmor/exec", "/proc/self/attr/exec"];
    let text = format!("exec {name}");
    if fs::write(paths[0], &text).is_err() {
        fs::write(paths[1], &text).with_context(|| format!("profile {name}"))?;
    }
    Ok(())
}

fn fork(steps: &[Step]) -> Result<i32> {
    match sys::fork().context("fork")? {
        0 => run(steps),
        child => sys::wait(child).context("waitpid"),
    }
}

/// Double fork: the process between ends at once, so init, or the process that
/// reaps for it, becomes the parent.
fn daemon(steps: &[Step], wait: bool) -> Result<()> {
    let (read, write) = sys::pipe().context("pipe")?;
    let child = sys::fork().context("fork")?;
    if child == 0 {
        sys::close(read);
        sys::setsid();
        if sys::fork().context("fork")? != 0 {
            sys::exit(0);
        }
        if !wait {
            sys::close(write);
        }
        run(steps);
    }
    sys::close(write);
    sys::wait(child).context("waitpid")?;
    if wait {
        sys::drain(read);
    }
    sys::close(read);
    Ok(())
}

fn threads(count: u32, steps: &[Step], wait: bool) -> Result<Option<i32>> {
    let barrier = Arc::new(Barrier::new(count as usize));
    let start = |_| {
        let (barrier, steps) = (Arc::clone(&barrier), steps.to_vec());
        thread::Builder::new().spawn(move || {
            barrier.wait();
            all(&steps).unwrap_or_else(|error| fail(&error))
        })
    };
    let started: Vec<_> = (0..count).map(start).collect::<Result<_, _>>()?;
    if !wait {
        return Ok(None);
    }
    let mut code = None;
    for thread in started {
        code = Some(thread.join().unwrap_or_else(|_| process::abort()));
    }
    Ok(code)
}
