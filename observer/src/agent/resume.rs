//! Going on from what an agent before left: pins in the kernel, counters in a folder.

use std::{
    collections::HashSet,
    io::{Read as _, Seek as _, SeekFrom},
    path::Path,
    sync::Arc,
};

use super::{
    Agent,
    held::Item,
    look::{self, drops_are_hooked},
};
use crate::{
    correlate::Finding,
    finding::{Event, EventKind, Scope},
    ledger::{self, Ledger},
    open,
    sight::AGENT_AWAY,
    sources::bpf::{Kernel, KernelEvent, Runs, decode},
    state::{
        Shared,
        kept::{Counts, Entry, Left, Snapshot, State},
    },
    time::{Stamp, seconds, seconds_to_nanoseconds},
    words::Note,
};

/// Bytes at the end of a stream in which it is looked for what was reported.
const TAIL: u64 = 8 << 20;
/// Ticks that a snapshot waits for what is under way.
const PATIENT_TICKS: u32 = 4;

/// What an agent before had read from the kernel and not counted yet, and what it
/// had reported it.
#[derive(Default)]
pub(super) struct Resumed {
    states: Vec<KernelEvent>,
    /// Episodes that it had counted.
    counted: Vec<Finding>,
    /// What the ring may report a second time: the last that was written down.
    pub(super) last: Option<Vec<u8>>,
    known: HashSet<Known>,
    restored: bool,
    /// Ticks that a snapshot has waited.
    pub(super) waited: u32,
}

/// A state of an episode, or what a rule refused, as it was reported.
#[derive(PartialEq, Eq, Hash)]
enum Known {
    Episode(String, &'static str, &'static str, u32),
    Refusal(Stamp, [String; 3], u64),
}

fn known(event: &Event) -> Option<Known> {
    match &event.kind {
        EventKind::Episode(episode) => {
            let (fate, verdict) = (episode.fate.as_str(), episode.verdict.as_str());
            let id = episode.id.clone();
            Some(Known::Episode(id, fate, verdict, episode.drops))
        }
        EventKind::RuleRefusal(refusal) => {
            let names = [&refusal.call, &refusal.rule, &refusal.comm].map(Clone::clone);
            Some(Known::Refusal(refusal.last, names, refusal.count))
        }
        _ => None,
    }
}

/// Goes on from the counters of an agent before; gives what it had not counted yet.
pub(super) fn restore(shared: &Shared, left: Left) -> (Resumed, Vec<(u64, u64, bool)>) {
    let kernel = shared.kernel();
    let kernel = kernel.as_ref();
    let away = kernel.and_then(Kernel::away).cloned();
    let began = away.as_ref().map_or_else(Stamp::now, |away| away.since);
    let mut resumed = Resumed::default();
    let mut open = Vec::new();
    let mut ledger = shared.ledger();
    if let Some(snapshot) = left.snapshot {
        let fits = snapshot.fits();
        let same = fits && kernel.is_some_and(|kernel| kernel.instance() == snapshot.instance);
        resumed.restored = true;
        open = restore_snapshot(shared, &mut ledger, snapshot, same);
        let counted = replay(shared, &mut ledger, left.entries, fits, &mut resumed);
        if let Some(kernel) = kernel.filter(|_| same) {
            kernel.restore_breaches(counted);
        }
    } else {
        // What the kernel had counted before is no news.
        let counted = away.iter().flat_map(|away| &away.before);
        for (reason, count) in counted {
            ledger.set_loss("kernel", reason, *count);
        }
    }
    ledger.begin_sight(began);
    if let Some(away) = &away {
        ledger
            .sight
            .enter(AGENT_AWAY, away.since, away.until, away.count());
        if away.lost.is_empty() {
            tracing::info!("continued with the pinned programs: {away}");
        } else {
            tracing::warn!("continued with the pinned programs: {away}");
        }
    }
    (resumed, open)
}

fn restore_snapshot(
    shared: &Shared,
    ledger: &mut Ledger,
    snapshot: Snapshot,
    same: bool,
) -> Vec<(u64, u64, bool)> {
    let counts = if same {
        ledger::Kernel::Same
    } else {
        ledger::Kernel::Other
    };
    ledger.restore(snapshot.ledger, counts);
    *shared.latency() = snapshot.latency;
    // What the programs had missed by then is no news.
    if let Some(kernel) = shared.kernel().as_ref() {
        let known = snapshot.programs.iter();
        let known = known.map(|(program, (runs, nanoseconds, misses))| Runs {
            program: program.clone(),
            runs: *runs,
            seconds: seconds(*nanoseconds),
            misses: *misses,
        });
        let missed = look::missed(kernel, &known.collect::<Vec<_>>(), drops_are_hooked(ledger));
        ledger.set_missed(missed);
    }
    // Programs that are loaded again begin at nought.
    let runs = shared.runs();
    let mut before = shared.before();
    before.programs = snapshot.programs;
    for run in &runs {
        if let Some((count, nanoseconds, misses)) = before.programs.get_mut(&run.program) {
            let forget = |saved: &mut u64, now: u64| {
                if now >= *saved {
                    *saved = 0;
                }
            };
            forget(count, run.runs);
            forget(nanoseconds, seconds_to_nanoseconds(run.seconds));
            forget(misses, run.misses);
        }
    }
    if !same {
        before.notes = snapshot.notes;
        return Vec::new();
    }
    if let Some(kernel) = shared.kernel().as_ref() {
        kernel.restore_breaches(snapshot.breaches);
    }
    snapshot.reported
}

/// Counts again what an agent before had written down and may have counted; gives how
/// much that is of the kernel's counts of refusals.
fn replay(
    shared: &Shared,
    ledger: &mut Ledger,
    entries: Vec<Entry>,
    fits: bool,
    resumed: &mut Resumed,
) -> Vec<(u64, u64)> {
    let (mut unread, mut refusals) = (0, Vec::new());
    for entry in entries {
        match entry {
            Entry::Audit(event, time, scope) => ledger.audit.enter(&event, time, scope),
            Entry::Lost(stage, reason, count) => ledger.lose(&stage, &reason, count),
            Entry::Latency(latency) => *shared.latency() = *latency,
            Entry::Folded(rows) => ledger.denials.fold_again(rows),
            Entry::State(_) if !fits => unread += 1,
            Entry::State(_) => {
                let bytes = entry.state_bytes().unwrap_or_default();
                resumed.states.extend(decode(&bytes));
                resumed.last = Some(bytes);
            }
            Entry::Episode(event, scope) => {
                resumed.forget(&event);
                resumed.counted.push(counted(*event, scope));
            }
            Entry::Refusal(refusal, scope, of_key) => {
                refusals.push(of_key);
                let event = Event::new(refusal.last, EventKind::RuleRefusal(refusal));
                resumed.counted.push(counted(event, scope));
            }
        }
    }
    if unread > 0 {
        ledger.lose("state", "journal_unread", unread);
    }
    refusals
}

const fn counted(event: Event, scope: Scope) -> Finding {
    Finding {
        event,
        scope,
        row: None,
        joined: None,
    }
}

impl Resumed {
    /// Leaves out what an episode that was counted was made of.
    fn forget(&mut self, event: &Event) {
        let EventKind::Episode(episode) = &event.kind else {
            return;
        };
        let named = |time: u64, tgid: u32| format!("{time:x}-{tgid}") == episode.id;
        let of_it = self.states.iter().position(|state| match state {
            KernelEvent::Episode(event) => named(event.episode.first, event.episode.tgid),
            _ => false,
        });
        let id = match of_it.map(|place| self.states.remove(place)) {
            Some(KernelEvent::Episode(event)) => event.episode.id,
            _ => 0,
        };
        self.states.retain(|state| match state {
            KernelEvent::Workload(event) => {
                let taken = id != 0 && event.episode == id;
                !taken && !named(event.time, event.tgid)
            }
            _ => true,
        });
    }
}

impl Agent {
    /// Handles what an agent before had read from the kernel and may not have reported;
    /// what is in the stream already is reported no more.
    pub fn resume(&mut self, stream: Option<&Path>) {
        if !self.resumed.states.is_empty() || self.shared.state().is_some() {
            self.resumed.known = stream.map(read_reported).unwrap_or_default();
        }
        if !self.resumed.restored {
            // What is written down from now on needs one that it comes after.
            self.keep_state(true);
        }
        for finding in std::mem::take(&mut self.resumed.counted) {
            self.settle_noted(finding);
        }
        for event in std::mem::take(&mut self.resumed.states) {
            self.hold(Item::Event(event));
        }
        self.release_all();
        self.catch_up();
        self.keep_state(true);
    }

    /// Writes down what is known at the end.
    pub fn keep(&mut self) {
        self.keep_state(true);
    }

    /// Whether a finding was reported by an agent before.
    pub(super) fn was_reported(&self, finding: &Finding) -> bool {
        if self.resumed.known.is_empty() {
            return false;
        }
        known(&finding.event).is_some_and(|state| self.resumed.known.contains(&state))
    }

    /// Writes down what is known now, where there is news. What is under way is
    /// waited for, a short time.
    pub(super) fn keep_state(&mut self, now: bool) {
        let Some(state) = self.shared.state().map(Arc::clone) else {
            return;
        };
        if !now && !state.has_news() {
            self.resumed.waited = 0;
            return;
        }
        self.resumed.waited += 1;
        let is_due = now || self.resumed.waited > PATIENT_TICKS || state.is_long();
        if self.is_busy() {
            if !is_due {
                return;
            }
            self.release_all();
            let findings = self.correlator.finish_states();
            self.settle(findings);
        }
        self.resumed.waited = 0;
        let (shared, reported) = (&self.shared, &self.reported);
        let boot = &self.boot;
        if let Err(error) = state.replace(|| snapshot(shared, boot, reported)) {
            tracing::warn!(
                "cannot keep state in {}: {error}; a restart may lose counts",
                state.path().display()
            );
        }
    }

    /// Whether something that was read from the kernel is not reported yet.
    fn is_busy(&self) -> bool {
        !self.held.is_empty() || self.correlator.holds_states() || !self.shared.is_written()
    }
}

fn snapshot(
    shared: &Shared,
    boot: &str,
    reported: &std::collections::HashMap<u64, (u64, bool)>,
) -> Snapshot {
    let runs = shared.runs().into_iter();
    let programs = runs.map(|run| {
        let nanoseconds = seconds_to_nanoseconds(run.seconds);
        (run.program, (run.runs, nanoseconds, run.misses))
    });
    let notes = [Note::DropSettled, Note::WalkCompared, Note::WalkDisagreed];
    let notes = notes.map(|note| shared.note(note));
    let instance = shared.kernel().as_ref().map_or(0, Kernel::instance);
    let breaches = shared.kernel().as_ref().map(Kernel::breaches_counted);
    let counts = Counts {
        programs: programs.collect(),
        notes: notes.to_vec(),
        breaches: breaches.unwrap_or_default(),
    };
    let reported = reported
        .iter()
        .map(|(id, (last, is_final))| (*id, *last, *is_final));
    let latency = shared.latency().clone();
    let ledger = shared.ledger().save();
    Snapshot::new(boot, instance, ledger, reported.collect(), latency, counts)
}

/// The episodes and refusals that the end of a stream reports.
fn read_reported(path: &Path) -> HashSet<Known> {
    let mut reported = HashSet::new();
    if !path.is_file() {
        return reported;
    }
    let read = open::named(path).and_then(|mut file| {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut bytes = Vec::new();
        file.take(2 * TAIL).read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    let bytes = match read {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::warn!("cannot read {}: {error}", path.display());
            return reported;
        }
    };
    let lines = bytes.split(|byte| *byte == b'\n');
    let has = |line: &[u8], word: &[u8]| memchr::memmem::find(line, word).is_some();
    let lines = lines.filter(|line| has(line, b"\"episode\"") || has(line, b"\"rule_refusal\""));
    reported.extend(lines.filter_map(|line| known(&serde_json::from_slice(line).ok()?)));
    reported
}

/// Takes what is kept as it is wanted by [`Shared`].
pub(super) fn shared_state(state: Option<(State, Left)>) -> (Option<Arc<State>>, Left) {
    match state {
        Some((state, left)) => (Some(Arc::new(state)), left),
        None => (None, Left::default()),
    }
}
