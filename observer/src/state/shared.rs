//! What outputs share with the agent.

mod counts;
mod streams;

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

use tokio::sync::broadcast;

use super::{
    Latency,
    kept::{Entry, Programs, State},
    stream::{Recorder, Recording},
};
use crate::{
    correlate::Finding,
    finding::{Event, EventKind, LossEvent},
    ledger::Ledger,
    sources::bpf::{Kernel, Runs},
    time::{Stamp, monotonic, seconds},
    who::{Names, Scopes},
    words::Note,
};

/// Events that a slow subscriber may lag behind before it misses some.
const EVENTS: usize = 1_024;
/// Rows in the kernel beyond which those of ended supervisors are forgotten.
const FOLD_ABOVE: usize = 8_192;

/// Rows in the kernel beyond which those of nobody in which nothing was counted
/// for a while are forgotten.
const FOLD_IDLE_ABOVE: usize = 1_024;
/// That while.
const IDLE_NS: u64 = 60_000_000_000;

/// For so many nanoseconds the kernel's counts are fresh enough for readers.
const FRESH_NS: u64 = 250_000_000;

/// What outputs share with the agent.
pub struct Shared {
    ledger: Mutex<Ledger>,
    kernel: RwLock<Option<Kernel>>,
    events: broadcast::Sender<Arc<Event>>,
    recorder: Mutex<Option<Recorder>>,
    recording: Mutex<Option<Recording>>,
    latency: Mutex<Latency>,
    started: Stamp,
    ready: AtomicBool,
    /// When the kernel's counts were taken over last, monotonic; 0 before.
    refreshed: AtomicU64,
    /// Held by who takes them over.
    counting: Mutex<()>,
    /// Rows that the kernel had then.
    rows: AtomicUsize,
    names: Arc<Names>,
    scopes: Arc<Scopes>,
    /// What is kept over restarts; none where nothing is.
    state: Option<Arc<State>>,
    /// What programs had counted before they were loaded again.
    before: Mutex<Before>,
}

/// What the kernel counted for an agent before, and counts no more.
#[derive(Debug, Default)]
pub(crate) struct Before {
    /// Runs of programs.
    pub(crate) programs: Programs,
    /// What the kernel side noted of itself.
    pub(crate) notes: Vec<u64>,
}

impl Shared {
    pub(crate) fn new(ledger: Ledger, kernel: Option<Kernel>, state: Option<Arc<State>>) -> Self {
        Self {
            state,
            before: Mutex::default(),
            ledger: Mutex::new(ledger),
            kernel: RwLock::new(kernel),
            events: broadcast::Sender::new(EVENTS),
            recorder: Mutex::new(None),
            recording: Mutex::new(None),
            latency: Mutex::new(Latency::default()),
            started: Stamp::now(),
            ready: AtomicBool::new(false),
            refreshed: AtomicU64::new(0),
            counting: Mutex::new(()),
            rows: AtomicUsize::new(0),
            names: Arc::default(),
            scopes: Arc::default(),
        }
    }

    /// The ledger. A panic elsewhere leaves it readable.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The kernel side; none where it can't be had.
    pub fn kernel(&self) -> RwLockReadGuard<'_, Option<Kernel>> {
        self.kernel.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same to enter processes into its tree: nobody else has it meanwhile.
    pub fn kernel_mut(&self) -> RwLockWriteGuard<'_, Option<Kernel>> {
        self.kernel.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is kept over restarts.
    pub(crate) const fn state(&self) -> Option<&Arc<State>> {
        self.state.as_ref()
    }

    pub(crate) fn before(&self) -> MutexGuard<'_, Before> {
        self.before.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs of the programs, with those for an agent before.
    pub fn runs(&self) -> Vec<Runs> {
        let mut runs = self.kernel().as_ref().map(Kernel::runs).unwrap_or_default();
        let before = self.before();
        for run in &mut runs {
            if let Some((count, nanoseconds, misses)) = before.programs.get(&run.program) {
                run.runs += count;
                run.seconds += seconds(*nanoseconds);
                run.misses += misses;
            }
        }
        runs
    }

    /// How often the kernel side noted something of itself, for an agent before too.
    pub fn note(&self, note: Note) -> u64 {
        let count = self.kernel().as_ref().map_or(0, |kernel| kernel.note(note));
        count
            + self
                .before()
                .notes
                .get(note as usize)
                .copied()
                .unwrap_or_default()
    }

    /// Keeps what is about to be shown and nobody else knows: no counter falls.
    pub fn note_shown(&self) -> Latency {
        let latency = self.latency().clone();
        if let Some(state) = &self.state {
            state.note(&Entry::Latency(Box::new(latency.clone())));
        }
        latency
    }

    /// Which supervisors are named by another rule than the kernel side reported.
    pub fn names(&self) -> &Arc<Names> {
        &self.names
    }

    /// How far from the recorded command what happens is.
    pub fn scopes(&self) -> &Arc<Scopes> {
        &self.scopes
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
        let has_hook = ledger.hooks.iter().any(|hook| hook.attached);
        let has_source = ledger.sources.iter().any(|source| source.up);
        (!has_hook && !has_source).then_some("no hook is attached and no audit source is connected")
    }

    /// Says that every hook and source has been tried.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    /// Findings from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.events.subscribe()
    }

    /// Takes over the kernel's counts, unless that was done a moment ago: however
    /// many read the metrics and the page, the rows are read four times a second
    /// at most.
    pub fn refresh_for_readers(&self) {
        let refreshed = self.refreshed.load(Ordering::Relaxed);
        if refreshed == 0 || monotonic().saturating_sub(refreshed) >= FRESH_NS {
            // Where somebody reads them now, those are fresh enough.
            if let Ok(_turn) = self.counting.try_lock() {
                self.take_counts(false);
            }
        }
    }

    /// Takes over the kernel's counts as they stand now, and gives rows back that
    /// nobody counts in any more.
    pub fn refresh(&self) {
        let _turn = self.counting.lock().unwrap_or_else(PoisonError::into_inner);
        self.take_counts(true);
    }

    /// Whether there are so many rows that some should be given back.
    pub fn is_crowded(&self) -> bool {
        self.rows.load(Ordering::Relaxed) > FOLD_IDLE_ABOVE
    }

    /// Enters a loss, and reports it.
    pub fn lose(&self, stage: &str, reason: &str, count: u64) {
        let loss = LossEvent {
            stage: stage.to_owned(),
            reason: reason.to_owned(),
            count,
        };
        if let Some(state) = &self.state {
            state.note(&Entry::Lost(stage.to_owned(), reason.to_owned(), count));
        }
        self.ledger().lose(stage, reason, count);
        self.publish(Finding::lost(Stamp::now(), loss));
    }

    pub(crate) fn publish(&self, finding: Finding) {
        let is_loss = matches!(finding.event.kind, EventKind::Loss(_));
        if let Some(recorder) = self.recorder().as_mut() {
            // That a line was lost is no line to lose: it would be counted for ever.
            if !(is_loss && recorder.fails()) {
                recorder.finding(&finding);
            }
        }
        if let (EventKind::Loss(loss), Some(recording)) =
            (&finding.event.kind, self.recording().as_ref())
        {
            recording.loss(loss);
        }
        // Nobody listening is no loss: the ledger has it.
        let _ = self.events.send(Arc::new(finding.event));
    }

    fn recorder(&self) -> MutexGuard<'_, Option<Recorder>> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recording(&self) -> MutexGuard<'_, Option<Recording>> {
        let recording = self.recording.lock();
        recording.unwrap_or_else(PoisonError::into_inner)
    }
}
