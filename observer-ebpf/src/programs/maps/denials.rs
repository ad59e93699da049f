//! Denials: their rows, what finds no row, and their details.

use aya_ebpf::{
    macros::map,
    maps::{Array, HashMap, PerCpuArray, PerCpuHashMap, RingBuf, Stack},
};
use observer_ebpf::{Agent, Count, PROFILE_LEN, ROW_SLOTS, RowKey, TotalKey};

/// Denials by slot of their row. First choice of the counting; `TOTALS` and
/// `OVERFLOW` are for what finds no slot.
#[map]
pub static ROWS: PerCpuArray<Count> = PerCpuArray::with_max_entries(ROW_SLOTS, 0);

/// The slot of each row.
#[map]
pub static SLOTS: HashMap<RowKey, u32> = HashMap::with_max_entries(ROW_SLOTS, 0);

/// Slots that no row has; user space fills it, and gives back what it forgets.
#[map]
pub static FREE: Stack<u32> = Stack::with_max_entries(ROW_SLOTS, 0);

/// The user of each slot's row, by whose share it is counted.
#[map]
pub static ROW_USERS: Array<u32> = Array::with_max_entries(ROW_SLOTS, 0);

/// How many rows were ever made, so that user space knows when to look for new ones.
#[map]
pub static MADE: Array<u64> = Array::with_max_entries(1, 0);

/// The agent's own process.
#[map]
pub static AGENT: Array<Agent> = Array::with_max_entries(1, 0);

/// How often user space took slots away from rows: what is recent may be so no more.
#[map]
pub static GENERATION: Array<u32> = Array::with_max_entries(1, 0);

/// The row counted last on this CPU, by [`Place`]: a storm repeats itself, and
/// comparing a key takes a fifth of hashing it.
#[map]
pub static RECENT: PerCpuArray<Recent> = PerCpuArray::with_max_entries(2 * Place::EACH, 0);

/// A row counted just now.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Recent {
    /// Its key, as words.
    pub key: [u64; 8],
    /// [`GENERATION`] when it was looked up.
    pub generation: u32,
    /// Its slot.
    pub slot: u32,
}

/// Where a program keeps what is recent: an entry has one program as its
/// writer, since programs may preempt each other, but none itself.
#[derive(Clone, Copy)]
pub enum Place {
    /// The exit of `security_capable`, by trampoline or kretprobe.
    Verdict,
    /// The tracepoint.
    Tracepoint,
    /// A program that counts so seldom that it keeps nothing.
    Nowhere,
}

impl Place {
    /// Entries of each program: one for each capability.
    pub const EACH: u32 = 64;
}

/// Denials whose row found no room.
#[map]
pub static TOTALS: PerCpuHashMap<TotalKey, u64> = PerCpuHashMap::with_max_entries(8_192, 0);

/// The overflow slot: denials whose total found no room.
#[map]
pub static OVERFLOW: PerCpuArray<u64> = PerCpuArray::with_max_entries(TotalKey::OVERFLOW_LEN, 0);

/// Details of denials.
#[map]
pub static DENIALS: RingBuf = RingBuf::with_byte_size(512 * 1024, 0);

/// Names of LSM profiles by their hash.
#[map]
pub static PROFILES: HashMap<u64, [u8; PROFILE_LEN]> = HashMap::with_max_entries(1_024, 0);

/// Room to read a profile's name, of `aa_capable`'s exit alone.
#[map]
pub static PROFILE_SCRATCH: PerCpuArray<[u8; PROFILE_LEN]> = PerCpuArray::with_max_entries(2, 0);
