//! Rows of denials: the kernel gives each a slot in an array of counters, and
//! keeps which one; here both are read, and slots of the past given back.

use std::collections::HashMap as Known;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

use aya::{
    Ebpf,
    maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, PerCpuValues, Stack},
    util::nr_cpus,
};
use observer_ebpf::{Agent, Count, Holder, ROW_SLOTS, RowKey, Share, Table};

use super::{
    batch,
    error::KernelError,
    maps::{skip, take},
    offsets,
    pins::{About, Pins},
};

/// A program that looked a slot up before it was taken away has ended after this time.
const GRACE: Duration = Duration::from_secs(1);

/// The user of a slot that was taken away from its row: none has this number
/// (`uid_valid`, `include/linux/uidgid.h`).
const RETIRED: u32 = u32::MAX;

/// Rows from which on they are read many at a time.
const BATCHED: usize = 64;

/// The rows, as far as they are known.
pub struct Rows {
    counts: PerCpuArray<MapData, Count>,
    slots: HashMap<MapData, RowKey, u32>,
    free: Stack<MapData, u32>,
    made: Array<MapData, u64>,
    agent: Array<MapData, Agent>,
    generation: Array<MapData, u32>,
    users: Array<MapData, u32>,
    shares: HashMap<MapData, Share, u64>,
    /// How many rows had been made when `known` was read.
    seen: u64,
    known: Known<RowKey, u32>,
    /// Slots that no row has any more, and since when.
    retired: Vec<(Instant, u32)>,
    /// Rows of versions before, in which nobody counts.
    former: Vec<Former>,
}

/// Rows of a version before, whose programs are gone.
struct Former {
    slots: HashMap<MapData, RowKey, u32>,
    counted: Known<RowKey, Counted>,
}

impl Rows {
    /// Takes the maps, and hands all slots to the kernel; of `adopted` ones, which
    /// an agent before handed out, those that it had taken back and not given again.
    ///
    /// # Errors
    /// When the object lacks a map, or the kernel refuses a slot.
    pub fn open(ebpf: &mut Ebpf, adopted: bool) -> Result<Self, KernelError> {
        let mut rows = Self::join(ebpf)?;
        let set = rows.agent.set(0, own(), 0);
        set.map_err(|source| KernelError::Map {
            name: "AGENT",
            source,
        })?;
        if adopted {
            rows.find_retired();
            return Ok(rows);
        }
        for slot in (0..ROW_SLOTS).rev() {
            let pushed = rows.free.push(slot, 0);
            pushed.map_err(|source| KernelError::Map {
                name: "FREE",
                source,
            })?;
        }
        Ok(rows)
    }

    /// Takes the maps of an agent that runs, which alone hands slots out.
    ///
    /// # Errors
    /// When the object lacks a map.
    pub fn join(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        Ok(Self {
            counts: take(ebpf, "ROWS")?,
            slots: take(ebpf, "SLOTS")?,
            free: take(ebpf, "FREE")?,
            made: take(ebpf, "MADE")?,
            agent: take(ebpf, "AGENT")?,
            generation: take(ebpf, "GENERATION")?,
            users: take(ebpf, "ROW_USERS")?,
            shares: take(ebpf, "SHARES")?,
            seen: 0,
            known: Known::new(),
            retired: Vec::new(),
            former: Vec::new(),
        })
    }

    /// Takes what versions before have counted, which is read once: they count no more.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn add_former(&mut self, pins: &Pins, about: &About) -> Result<(), KernelError> {
        let error = |name| move |source| KernelError::Map { name, source };
        let slots = pins.former(about, "SLOTS").into_iter();
        for (slots, counts) in slots.zip(pins.former(about, "ROWS")) {
            let slots = MapData::from_pin(slots).and_then(|map| Map::HashMap(map).try_into());
            let slots: HashMap<_, RowKey, u32> = slots.map_err(error("SLOTS"))?;
            let counts = MapData::from_pin(counts).and_then(|map| Map::PerCpuArray(map).try_into());
            let counts: PerCpuArray<_, Count> = counts.map_err(error("ROWS"))?;
            let tick = u64::from(offsets::tick_ns());
            let mut counted = Known::new();
            for (key, slot) in slots.iter().filter_map(|entry| skip("SLOTS", entry)) {
                if let Some(values) = skip("ROWS", counts.get(&slot, 0)) {
                    counted.insert(key, sum(&values, tick));
                }
            }
            self.former.push(Former { slots, counted });
        }
        Ok(())
    }

    /// Adds what versions before have counted.
    fn join_former(&self, rows: &mut Vec<(RowKey, Counted)>) {
        let mut places: Known<RowKey, usize> = Known::new();
        places.extend(
            rows.iter()
                .enumerate()
                .map(|(place, (key, _))| (*key, place)),
        );
        let former = self.former.iter().flat_map(|former| &former.counted);
        for (key, before) in former.filter(|(_, before)| before.count > 0) {
            let place = *places.entry(*key).or_insert_with(|| {
                rows.push((*key, Counted::default()));
                rows.len() - 1
            });
            let (_, count) = &mut rows[place];
            count.first = if count.first == 0 {
                before.first
            } else {
                count.first.min(before.first)
            };
            count.last = count.last.max(before.last);
            count.count += before.count;
        }
    }

    /// Finds the slots that an agent before had taken away from their rows.
    fn find_retired(&mut self) {
        let marked = |slot: &u32| self.users.get(slot, 0).is_ok_and(|user| user == RETIRED);
        let slots = (0..ROW_SLOTS).filter(marked);
        self.retired = slots.map(|slot| (Instant::now(), slot)).collect();
    }

    /// Every row, summed over the CPUs.
    pub fn read(&mut self) -> Vec<(RowKey, Counted)> {
        self.give_back();
        self.learn();
        let tick = u64::from(offsets::tick_ns());
        let at_once = (self.known.len() >= BATCHED).then(|| self.read_at_once(tick));
        let at_once = at_once.flatten();
        let mut rows = Vec::with_capacity(self.known.len());
        for (key, slot) in &self.known {
            let count = match &at_once {
                Some(counts) => counts.get(*slot as usize).copied(),
                None => skip("ROWS", self.counts.get(slot, 0)).map(|counts| sum(&counts, tick)),
            };
            // A row that was made just now has nothing to report yet.
            if let Some(count) = count.filter(|count| count.count > 0) {
                rows.push((*key, count));
            }
        }
        if !self.former.is_empty() {
            self.join_former(&mut rows);
        }
        rows
    }

    /// What every slot has counted up to the last one in use, by a system call for
    /// many of them; none where the kernel has no such call for them (before 5.13).
    fn read_at_once(&self, tick: u64) -> Option<Vec<Counted>> {
        let slots = self.known.values().max().map_or(0, |last| last + 1);
        let mut counts = Vec::with_capacity(slots as usize);
        let walked = batch::each_slot(&self.counts, slots, |values| {
            counts.push(sum(values, tick));
        });
        walked
            .inspect_err(|error| tracing::debug!("cannot read the BPF map ROWS at once: {error}"))
            .ok()?;
        Some(counts)
    }

    /// How many shares are held, of whatever table.
    pub fn shares(&self) -> usize {
        self.shares.keys().flatten().count()
    }

    /// Looks for new rows, where some were made since.
    fn learn(&mut self) {
        // Read first: what is made meanwhile is found the next time at the latest.
        let made = self.made.get(&0, 0).unwrap_or(self.seen + 1);
        if made == self.seen {
            return;
        }
        let known = &mut self.known;
        let walked = batch::each(&self.slots, |key, slot| {
            known.insert(*key, *slot);
        });
        match walked {
            Ok(()) => self.seen = made,
            Err(error) => tracing::warn!("cannot read the BPF map SLOTS: {error}"),
        }
    }

    /// Takes their slots away from rows in which nobody counts any more.
    pub fn forget(&mut self, keys: &[RowKey]) {
        let mut taken = false;
        for key in keys {
            for former in &mut self.former {
                if former.counted.remove(key).is_some()
                    && let Err(error) = former.slots.remove(key)
                {
                    tracing::warn!("cannot delete a row that an earlier version left: {error}");
                }
            }
            let Some(slot) = self.known.remove(key) else {
                continue;
            };
            match self.slots.remove(key) {
                Ok(()) | Err(MapError::KeyNotFound) => {
                    // The next agent finds it by that.
                    if let Err(error) = self.users.set(slot, RETIRED, 0) {
                        tracing::warn!("cannot mark the slot of a row: {error}");
                    }
                    self.retired.push((Instant::now(), slot));
                    taken = true;
                }
                Err(error) => tracing::warn!("cannot delete a row: {error}"),
            }
        }
        if taken {
            self.recount();
            if !self.expire() {
                // Then no slot may be used again: rows may end up in their total.
                self.retired.clear();
            }
        }
    }

    /// Has every program look its rows up again; whether that could be said.
    pub fn expire(&mut self) -> bool {
        let generation = self.generation.get(&0, 0).unwrap_or(0);
        let result = self.generation.set(0, generation.wrapping_add(1), 0);
        if let Err(error) = &result {
            tracing::warn!("cannot reset the row cache: {error}");
        }
        result.is_ok()
    }

    /// Counts again who holds how many rows, once some are gone. What the kernel
    /// side counts meanwhile may be missed, and is right the next time.
    fn recount(&mut self) {
        let mut held: Known<Share, u64> = Known::new();
        for (key, slot) in self.known.iter().filter(|(key, _)| is_shared(key)) {
            let user = self.users.get(slot, 0).unwrap_or(0);
            let mut hold = |holder, of| {
                let share = Share {
                    of,
                    table: Table::Rows as u32,
                    holder: holder as u32,
                };
                *held.entry(share).or_default() += 1;
            };
            hold(Holder::User, u64::from(user));
            hold(Holder::Cgroup, key.cgroup);
            if key.owner.rule == 0 {
                hold(Holder::Nobody, 0);
            }
        }
        self.set_shares(Table::Rows, &held);
    }

    /// Sets who holds how many entries of a table.
    pub fn set_shares(&mut self, table: Table, held: &Known<Share, u64>) {
        let known: Vec<_> = self.shares.keys().flatten().collect();
        for share in known.iter().filter(|share| share.table == table as u32) {
            let result = match held.get(share) {
                Some(count) => self.shares.insert(share, count, 0),
                None => self.shares.remove(share),
            };
            match result {
                Ok(()) | Err(MapError::KeyNotFound) => {}
                Err(error) => tracing::warn!("cannot recount shares: {error}"),
            }
        }
    }

    /// Gives slots back to the kernel once nobody can count in them.
    fn give_back(&mut self) {
        let cpus = nr_cpus().unwrap_or(1);
        let due = self
            .retired
            .partition_point(|(since, _)| since.elapsed() >= GRACE);
        for (_, slot) in self.retired.drain(..due) {
            let zeros = PerCpuValues::try_from(vec![Count::default(); cpus]);
            let given = zeros
                .map_err(MapError::from)
                .and_then(|zeros| self.counts.set(slot, zeros, 0))
                .and_then(|()| self.users.set(slot, 0, 0))
                .and_then(|()| self.free.push(slot, 0));
            if let Err(error) = given {
                tracing::warn!("cannot free the slot of a row: {error}");
            }
        }
    }
}

/// Whether a row is of somebody's share: not the recorded tree's, and not one
/// that was folded for want of a share.
fn is_shared(key: &RowKey) -> bool {
    let folded = key.exe_inode == 0 && key.comm == [0; 16] && key.owner.tgid == 0;
    key.owner.in_tree == 0 && !folded
}

/// This process, as the programs know it.
fn own() -> Agent {
    let exe = std::fs::metadata("/proc/self/exe");
    Agent {
        tgid: u64::from(std::process::id()),
        exe_inode: exe.map_or(0, |exe| exe.ino()),
    }
}

/// What a row counted, on all CPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Denials.
    pub count: u64,
    /// Time of the first, nanoseconds of `CLOCK_MONOTONIC`.
    pub first: u64,
    /// Time of the last, to within a tick.
    pub last: u64,
}

fn sum(counts: &[Count], tick_ns: u64) -> Counted {
    let counts = counts.iter().filter(|count| count.count > 0);
    counts.fold(Counted::default(), |all, one| {
        let lasted = one.last_tick.saturating_sub(one.first_tick) * tick_ns;
        Counted {
            count: all.count + one.count,
            first: if all.first == 0 {
                one.first
            } else {
                all.first.min(one.first)
            },
            last: all.last.max(one.first + lasted),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_is_dated_by_ticks_since_the_first() {
        let one = Count {
            count: 2,
            first: 1_000,
            first_tick: 50,
            last_tick: 52,
            reported_tick: 50,
        };
        let other = Count {
            count: 3,
            first: 900,
            first_tick: 49,
            last_tick: 49,
            reported_tick: 0,
        };
        let unused = Count::default();
        let all = sum(&[one, unused, other], 400);
        assert_eq!(
            all,
            Counted {
                count: 5,
                first: 900,
                last: 1_800
            }
        );
    }
}
