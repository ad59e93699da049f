//! The loaded object: opened once, then asked for counts, rules and episodes.

mod opened;

use std::{
    os::fd::BorrowedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aya::maps::{HashMap, MapData, PerCpuArray, PerCpuHashMap, RingBuf};
use aya_log::EbpfLogger;
use observer_ebpf::{
    Breach, BreachKey, Episode, EpisodeEvent, Loss, Member, Note, PROFILE_LEN, RowKey, Table, Task,
    TotalKey,
};

use super::{
    batch,
    breaches::{Breaches, Grown},
    error::KernelError,
    info::Runs,
    kept::{Kept, Losses},
    lanes::Lanes,
    made::MadeCgroups,
    maps::{all, skip},
    marks::Marks,
    mechanism::HookStatus,
    named::text,
    pins::{self, About, Away, Pins},
    programs::Programs,
    rows::{Counted, Rows},
    storm::Storm,
    written::write_rules,
};
use crate::config::Rules;

/// The kernel side, attached. Dropping it detaches everything.
pub struct Kernel {
    ebpf: Programs,
    hooks: Vec<HookStatus>,
    maps: Maps,
    /// Totals of versions before, which count no more.
    former: Vec<(TotalKey, u64)>,
    marks: Marks,
    made: Arc<MadeCgroups>,
    /// Locked apart: whoever reads the rows holds up nobody who asks for a task.
    rows: Mutex<Rows>,
    breaches: Mutex<Breaches>,
    storm: Mutex<Storm>,
    lanes: Mutex<Lanes>,
    diagnostics: Mutex<Option<EbpfLogger<&'static dyn log::Log>>>,
    kept: Option<Kept>,
    /// Names of this attachment: its counts are no other's.
    instance: u64,
}

/// The maps that user space reads and writes while the programs run.
struct Maps {
    totals: PerCpuHashMap<MapData, TotalKey, u64>,
    overflow: PerCpuArray<MapData, u64>,
    losses: Losses,
    profiles: HashMap<MapData, u64, [u8; PROFILE_LEN]>,
    episodes: HashMap<MapData, u64, EpisodeEvent>,
    members: HashMap<MapData, u32, Member>,
    notes: PerCpuArray<MapData, u64>,
    tasks: HashMap<MapData, u32, Task>,
}

/// The two rings, for their reader.
pub struct Rings {
    /// Details of denials.
    pub denials: RingBuf<MapData>,
    /// Episodes and processes.
    pub states: RingBuf<MapData>,
}

impl Kernel {
    /// Says to whoever comes after this agent that it watches.
    pub fn watch(&self) {
        let Some(kept) = &self.kept else {
            return;
        };
        let watched = pins::now(kept.since, &self.maps.losses.all());
        if let Err(error) = lock(&kept.watched).set(0, watched, 0) {
            tracing::warn!("cannot record in the pins that this agent runs: {error}");
        }
    }

    /// Says where this agent is to be asked, to who may look at its pins.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn publish_addresses(&self, addresses: &[String]) -> Result<(), KernelError> {
        let pins = self.kept.as_ref().map(|kept| &kept.pins);
        pins.map_or(Ok(()), |pins| pins.keep_addresses(addresses))
    }

    /// Cgroups that were made lately.
    pub const fn made_cgroups(&self) -> &Arc<MadeCgroups> {
        &self.made
    }

    /// What outlives this agent, and where; none where nothing does.
    pub fn pinned(&self) -> Option<(&Pins, &About)> {
        self.kept.as_ref().map(|kept| (&kept.pins, &kept.about))
    }

    /// How long nobody listened before this agent; none where nothing was left by
    /// one before.
    pub fn away(&self) -> Option<&Away> {
        self.kept.as_ref()?.away.as_ref()
    }

    /// A number of this attachment, which its counts belong to: the same for as
    /// long as they go on.
    pub const fn instance(&self) -> u64 {
        self.instance
    }

    /// Recognises executables by other rules from now on.
    ///
    /// # Errors
    /// When the kernel refuses a name.
    pub fn set_rules(&mut self, rules: &Rules) -> Result<(), KernelError> {
        if let Some(kept) = &self.kept {
            kept.pins.keep_rule_names(rules)?;
        }
        write_rules(&mut self.ebpf, rules)
    }

    /// Hands the programs' own diagnostics to the log, where they were asked for.
    pub fn flush_diagnostics(&self) {
        if let Some(diagnostics) = lock(&self.diagnostics).as_mut() {
            diagnostics.flush();
        }
    }

    /// What came of every hook.
    pub fn hooks(&self) -> &[HookStatus] {
        &self.hooks
    }

    /// Whether the kernel skips runs, so that it is time to change to what it does
    /// not skip, or whether that can end.
    pub fn storm_is_due(&self) -> bool {
        lock(&self.storm).is_due(&self.ebpf)
    }

    /// Changes to what the kernel does not skip, or back; returns whether it did.
    pub fn follow_storm(&mut self) -> bool {
        let pins = self.kept.as_ref().map(|kept| &kept.pins);
        let changed = lock(&self.storm).follow(&mut self.ebpf, &mut self.hooks, pins);
        if changed {
            // What one program wrote of the row counted last, another may have torn.
            lock(&self.rows).expire();
        }
        changed
    }

    /// Drops that every mechanism that watches them may have missed, so far, by the
    /// programs' runs with those for an agent before.
    pub fn missed_drops(&self, runs: &[Runs]) -> u64 {
        lock(&self.lanes).missed(runs)
    }

    /// Loads what a storm would need.
    pub fn prepare_for_storms(&mut self) {
        lock(&self.storm).prepare(&mut self.ebpf);
    }

    /// Whether there is a storm to look for.
    pub fn has_storms(&self) -> bool {
        lock(&self.storm).may_come()
    }

    /// The programs, for what the kernel says of their runs.
    pub fn programs(&self) -> impl Iterator<Item = (&str, BorrowedFd<'_>)> {
        self.ebpf.all()
    }

    /// Every row of denials, summed over the CPUs.
    pub(super) fn row_counts(&self) -> Vec<(RowKey, Counted)> {
        lock(&self.rows).read()
    }

    /// Denials that found no row, by total; those of the overflow slot have no owner.
    pub(super) fn total_counts(&self) -> Vec<(TotalKey, u64)> {
        let totals = self.maps.totals.iter().filter_map(|t| skip("TOTALS", t));
        let mut totals: Vec<_> = totals
            .map(|(key, counts)| (key, counts.iter().sum()))
            .collect();
        for (key, count) in &self.former {
            match totals.iter_mut().find(|(known, _)| known == key) {
                Some((_, known)) => *known += count,
                None => totals.push((*key, *count)),
            }
        }
        if self.loss(Loss::TotalsFull) == 0 {
            return totals;
        }
        for index in 0..TotalKey::OVERFLOW_LEN {
            let Ok(counts) = self.maps.overflow.get(&index, 0) else {
                continue;
            };
            let count: u64 = counts.iter().sum();
            if count > 0 {
                let key = TotalKey::from_overflow_index(index);
                match totals.iter_mut().find(|(known, _)| *known == key) {
                    Some((_, known)) => *known += count,
                    None => totals.push((key, count)),
                }
            }
        }
        totals
    }

    /// Forgets rows, once what they counted is kept elsewhere and nobody counts in them.
    pub(super) fn forget_keys(&self, keys: &[RowKey]) {
        lock(&self.rows).forget(keys);
    }

    /// The refusals by a rule of a key since it was looked at last, if there were any.
    pub(super) fn grown_of(&self, key: &BreachKey) -> Option<Grown> {
        lock(&self.breaches).grown_of(key)
    }

    /// How much of each key of refusals by a rule is counted, by the keys' names.
    pub fn breaches_counted(&self) -> Vec<(u64, u64)> {
        lock(&self.breaches).counted()
    }

    /// Takes so much of each key as counted already, by an agent before.
    pub fn restore_breaches(&self, counted: impl IntoIterator<Item = (u64, u64)>) {
        lock(&self.breaches).restore(counted);
    }

    /// All that were added since they were looked at last, of the keys that `of` wants.
    pub(super) fn grown(&self, of: impl FnMut(&BreachKey, &Breach) -> bool) -> Vec<Grown> {
        lock(&self.breaches).grown(of)
    }

    /// Forgets refusals by a rule that were not repeated for a while, where there are many.
    pub fn forget_breaches(&self, now: u64) {
        let held = lock(&self.breaches).forget_idle(now);
        if let Some(held) = held {
            lock(&self.rows).set_shares(Table::Breaches, &held);
        }
    }

    /// How often something was lost.
    pub fn loss(&self, loss: Loss) -> u64 {
        self.maps.losses.get(loss)
    }

    /// How often the kernel side noted something of itself.
    pub fn note(&self, note: Note) -> u64 {
        let counts = self.maps.notes.get(&(note as u32), 0);
        counts.map_or(0, |counts| counts.iter().sum())
    }

    /// The name of a profile by its hash.
    pub fn profile(&self, hash: u64) -> Option<String> {
        if hash == 0 {
            return None;
        }
        let name = self.maps.profiles.get(&hash, 0).ok()?;
        Some(text(&name))
    }

    /// Shows every episode that is open now; none where not all could be read.
    pub(super) fn each_episode(&self, mut see: impl FnMut(&Episode)) -> Option<()> {
        let walked = batch::each_gently(&self.maps.episodes, |_: &u64, event| see(&event.episode));
        all("EPISODES", walked)
    }

    /// Every process of a followed tree; none where they can't be read.
    pub(in crate::sources) fn task_entries(&self) -> Option<Vec<(u32, Task)>> {
        let mut tasks = Vec::new();
        let walked = batch::each(&self.maps.tasks, |tgid, task| tasks.push((*tgid, *task)));
        all("TASKS", walked)?;
        Some(tasks)
    }

    /// How many entries each table of processes and threads has: what comes and
    /// goes must leave none.
    pub fn sizes(&self) -> Vec<(&'static str, usize)> {
        let mut sizes = vec![
            (
                "tasks",
                self.task_entries().map_or(usize::MAX, |tasks| tasks.len()),
            ),
            (
                "episodes",
                self.open_episodes().map_or(usize::MAX, |open| open.len()),
            ),
        ];
        // Tables that the programs alone use, by the size of their values.
        let mut members = 0;
        let walked = batch::each(&self.maps.members, |_: &u32, _| members += 1);
        sizes.push(("members", walked.map_or(usize::MAX, |()| members)));
        sizes.push(("shares", lock(&self.rows).shares()));
        sizes.push(("breaches", lock(&self.breaches).len()));
        sizes.extend([
            ("checks", self.threads::<48>("CHECKS")),
            ("setpcap", self.threads::<16>("SETPCAP")),
            ("pending", self.threads::<16>("PENDING")),
            (
                "marks",
                usize::try_from(self.marks.count()).unwrap_or(usize::MAX),
            ),
        ]);
        sizes
    }

    fn threads<const VALUE: usize>(&self, name: &str) -> usize {
        let map = self.ebpf.map(name);
        let map = map.and_then(|map| HashMap::<_, u64, [u8; VALUE]>::try_from(map).ok());
        map.map_or(usize::MAX, |map| map.keys().flatten().count())
    }

    /// The entry of one process.
    pub(in crate::sources) fn task_entry(&self, tgid: u32) -> Option<Task> {
        self.maps.tasks.get(&tgid, 0).ok()
    }

    /// Makes a process part of a followed tree.
    ///
    /// # Errors
    /// When the map is full.
    pub(in crate::sources) fn follow(&mut self, tgid: u32, task: Task) -> Result<(), KernelError> {
        // Marked before it is entered: its entry is never without its mark.
        self.marks.set(tgid);
        let result = self.maps.tasks.insert(tgid, task, 0);
        result.map_err(|source| {
            self.marks.clear(tgid);
            KernelError::Map {
                name: "TASKS",
                source,
            }
        })
    }

    /// Takes a process out of its followed tree.
    pub fn unfollow(&mut self, tgid: u32) {
        // Gone already is as good.
        if self.maps.tasks.remove(&tgid).is_ok() {
            self.marks.clear(tgid);
        }
    }
}

/// A panic elsewhere leaves it readable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
