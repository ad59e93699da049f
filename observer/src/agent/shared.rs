//! What outputs share with the agent.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use observer_ebpf::RowKey;
use tokio::sync::broadcast;

use crate::{
    correlate::Tally,
    finding::{Event, EventKind, LossEvent},
    ledger::Ledger,
    outputs::metrics::Latency,
    sources::bpf::Kernel,
    time::{Clock, Stamp},
};

/// Events that a slow subscriber may lag behind before it misses some.
const EVENTS: usize = 1_024;
/// Rows in the kernel beyond which those of ended supervisors are forgotten.
const FOLD_ABOVE: usize = 8_192;

/// What outputs share with the agent.
pub struct Shared {
    ledger: Mutex<Ledger>,
    kernel: Mutex<Option<Kernel>>,
    events: broadcast::Sender<Arc<Event>>,
    latency: Mutex<Latency>,
    started: Stamp,
    ready: AtomicBool,
}

impl Shared {
    pub(super) fn new(ledger: Ledger, kernel: Option<Kernel>) -> Self {
        Self {
            ledger: Mutex::new(ledger),
            kernel: Mutex::new(kernel),
            events: broadcast::Sender::new(EVENTS),
            latency: Mutex::new(Latency::default()),
            started: Stamp::now(),
            ready: AtomicBool::new(false),
        }
    }

    /// The ledger. A panic elsewhere leaves it readable.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The kernel side; none where it can't be had.
    pub fn kernel(&self) -> MutexGuard<'_, Option<Kernel>> {
        self.kernel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long findings took from the kernel to the ledger.
    pub fn latency(&self) -> MutexGuard<'_, Latency> {
        self.latency.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the agent started.
    pub const fn started(&self) -> Stamp {
        self.started
    }

    /// Why the agent is not ready: it still attaches, or it sees nothing at all.
    pub fn unready(&self) -> Option<&'static str> {
        if !self.ready.load(Ordering::Relaxed) {
            return Some("hooks are being attached");
        }
        let ledger = self.ledger();
        let sees = ledger.hooks.iter().any(|hook| hook.attached);
        let hears = ledger.sources.iter().any(|source| source.up);
        (!sees && !hears).then_some("no hook is attached and no audit source is heard")
    }

    /// Says that every hook and source has been tried.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    /// Findings from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.events.subscribe()
    }

    /// Takes over the kernel's counts as they stand now.
    pub fn refresh(&self) {
        let mut kernel = self.kernel();
        let Some(kernel) = kernel.as_mut() else {
            return;
        };
        let clock = Clock::sample();
        let tallied = |(key, count): (RowKey, observer_ebpf::Count)| {
            let tally = Tally {
                count: count.count,
                first: clock.stamp(count.first),
                last: clock.stamp(count.last),
            };
            (key, tally)
        };
        let mut rows: Vec<_> = kernel.rows().into_iter().map(tallied).collect();
        let totals = kernel.totals();
        let mut ledger = self.ledger();
        if rows.len() > FOLD_ABOVE {
            let gone = split_gone(kernel, &mut rows);
            let keys: Vec<_> = gone.iter().map(|(key, _)| *key).collect();
            ledger.denials.fold(&gone);
            kernel.forget_rows(&keys);
        }
        ledger.denials.set(rows, totals);
    }

    /// Enters a loss, and tells it.
    pub fn lose(&self, stage: &str, reason: &str, count: u64) {
        let loss = LossEvent {
            stage: stage.to_owned(),
            reason: reason.to_owned(),
            count,
        };
        self.ledger().lose(stage, reason, count);
        self.tell(Event::new(Stamp::now(), EventKind::Loss(loss)));
    }

    pub(super) fn tell(&self, event: Event) {
        // Nobody listening is no loss: the ledger has it.
        let _ = self.events.send(Arc::new(event));
    }
}

/// Takes out the rows of supervisors of which no process is left, so that
/// nobody counts in them any more.
fn split_gone(kernel: &Kernel, rows: &mut Vec<(RowKey, Tally)>) -> Vec<(RowKey, Tally)> {
    let owners: HashSet<_> = kernel
        .tasks()
        .iter()
        .map(|(_, task)| (task.owner.tgid, task.owner.start))
        .collect();
    let gone =
        |key: &RowKey| key.owner.tgid != 0 && !owners.contains(&(key.owner.tgid, key.owner.start));
    let (gone, live) = rows.drain(..).partition(|(key, _)| gone(key));
    *rows = live;
    gone
}
