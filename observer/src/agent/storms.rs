//! Looks for storms in which the kernel skips programs, on a separate thread:
//! what is late here is missed for good.

use std::{
    io,
    sync::{Arc, Weak},
    thread::{Builder, sleep},
    time::Duration,
};

use crate::{
    sandbox::{self, Room},
    sources::bpf::{Kernel, preempts_programs},
    state::Shared,
};

/// How often it is looked where the kernel preempts programs: a storm of ten seconds
/// is to be counted to within one in a hundred.
const LOOK: Duration = Duration::from_millis(25);
/// The same where programs are hardly ever skipped.
const SELDOM: Duration = Duration::from_millis(500);

/// Follows storms until nobody holds the agent any more.
///
/// # Errors
/// When no thread can be started.
pub fn follow(shared: &Arc<Shared>) -> io::Result<()> {
    let may_come = shared.kernel().as_ref().is_some_and(Kernel::has_storms);
    if !may_come {
        return Ok(());
    }
    let shared = Arc::downgrade(shared);
    Builder::new()
        .name("storms".to_owned())
        .spawn(move || watch(&shared))?;
    Ok(())
}

fn watch(shared: &Weak<Shared>) {
    come_first();
    sandbox::enter(Room::Storms);
    if let Some(shared) = shared.upgrade()
        && let Some(kernel) = shared.kernel_mut().as_mut()
    {
        kernel.prepare_for_storms();
    }
    let pause = if preempts_programs() { LOOK } else { SELDOM };
    loop {
        sleep(pause);
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let due = shared.kernel().as_ref().is_some_and(Kernel::storm_is_due);
        if !due {
            continue;
        }
        let hooks = shared.kernel_mut().as_mut().and_then(|kernel| {
            let changed = kernel.follow_storm();
            changed.then(|| kernel.hooks().to_vec())
        });
        if let Some(hooks) = hooks {
            shared.ledger().hooks = hooks;
        }
    }
}

/// A storm takes all processors: this thread, which runs for microseconds, comes
/// before it. Without the privilege (`CAP_SYS_NICE`) it comes in its turn.
fn come_first() {
    // SAFETY: numbers, and a local that is read.
    let result = unsafe {
        let priority = libc::sched_param { sched_priority: 1 };
        libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const priority)
    };
    if result != 0 {
        tracing::debug!(
            "the storm watcher runs without real-time priority: {}",
            io::Error::last_os_error()
        );
    }
}
