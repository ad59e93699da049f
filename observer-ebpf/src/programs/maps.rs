//! The maps. All are bounded, none evicts but `UNREAD`, and what finds no room is counted.

use core::arch::asm;

use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC},
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, PerCpuHashMap, RingBuf, Stack},
};
use observer_ebpf::{
    Agent, Breach, BreachKey, Count, EpisodeEvent, Hook, Layer, Loss, MadeCgroup, Member, NAME_LEN,
    Note, PROFILE_LEN, ROW_SLOTS, RowKey, Rule, Share, Task, TotalKey, decide, shares,
};

use super::host;

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

/// Losses, by [`Loss`].
#[map]
pub static LOSSES: PerCpuArray<u64> = PerCpuArray::with_max_entries(Loss::ALL.len() as u32, 0);

/// What the kernel side notes of itself, by [`Note`].
#[map]
pub static NOTES: PerCpuArray<u64> = PerCpuArray::with_max_entries(Note::COUNT, 0);

/// Details of denials.
#[map]
pub static DENIALS: RingBuf = RingBuf::with_byte_size(512 * 1024, 0);

/// Bytes of [`STATES`].
pub const STATES_BYTES: u32 = 1_024 * 1_024;
/// Episodes and process changes: apart, so that no storm of denials drops one.
#[map]
pub static STATES: RingBuf = RingBuf::with_byte_size(STATES_BYTES, 0);

/// What each holder wrote to [`STATES`] that nobody has read. Who is forgotten, as the
/// least recent of many, begins anew.
#[map]
pub static UNREAD: LruHashMap<u64, decide::Unread> = LruHashMap::with_max_entries(1_024, 0);

/// Names of LSM profiles by their hash.
#[map]
pub static PROFILES: HashMap<u64, [u8; PROFILE_LEN]> = HashMap::with_max_entries(1_024, 0);

/// Room to read a profile's name, of `aa_capable`'s exit alone.
#[map]
pub static PROFILE_SCRATCH: PerCpuArray<[u8; PROFILE_LEN]> = PerCpuArray::with_max_entries(2, 0);

/// Names of executables that rules name, filled by user space.
#[map]
pub static RULES: HashMap<[u8; NAME_LEN], Rule> = HashMap::with_max_entries(1_024, 0);

/// Processes of followed trees, by process id.
#[map]
pub static TASKS: HashMap<u32, Task> = HashMap::with_max_entries(shares::TASKS, BPF_F_NO_PREALLOC);

/// Open episodes, by their id.
#[map]
pub static EPISODES: HashMap<u64, EpisodeEvent> =
    HashMap::with_max_entries(shares::EPISODES, BPF_F_NO_PREALLOC);

/// Processes that episodes cover, by process id.
#[map]
pub static MEMBERS: HashMap<u32, Member> =
    HashMap::with_max_entries(shares::MEMBERS, BPF_F_NO_PREALLOC);

/// How many entries `TASKS`, `MEMBERS`, `PENDING` and `SETPCAP` have of a process
/// and its threads, by [`decide::mark`]: who has none is not looked up. User space
/// counts too, through a mapping.
#[map]
pub static MARKS: Array<u64> = Array::with_max_entries(decide::MARKS, BPF_F_MMAPABLE);

/// Beginnings of the names in `RULES`, a bit for each: what begins otherwise is not
/// looked up.
#[map]
pub static BEGINNINGS: Array<u64> = Array::with_max_entries(decide::BEGINNINGS, 0);

/// How many entries `MEMBERS` has: where it is empty, nobody needs to look.
#[map]
pub static COVERED: Array<u64> = Array::with_max_entries(1, 0);

/// How many entries of a table somebody holds. An entry lives as long as what it counts.
#[map]
pub static SHARES: HashMap<Share, u64> = HashMap::with_max_entries(65_536, BPF_F_NO_PREALLOC);

/// An episode of zeros, since one does not fit on the stack.
#[map]
pub static BLANK: Array<EpisodeEvent> = Array::with_max_entries(1, 0);

/// Cgroups that were made lately, by [`decide::cgroup_place`]; user space reads them
/// through a mapping.
#[map]
pub static CGROUPS: Array<MadeCgroup> = Array::with_max_entries(decide::CGROUPS, BPF_F_MMAPABLE);

/// How many were made in each ring.
#[map]
pub static CGROUPS_MADE: Array<u64> = Array::with_max_entries(decide::CGROUP_RINGS, 0);

/// Which hooks are attached, by [`Hook`]: user space knows only after the load.
#[map]
pub static HOOKS: Array<u32> = Array::with_max_entries(Hook::COUNT, 0);

/// What the first of two programs noted for the second, by thread and hook, while a
/// turn is handed over.
#[map]
pub static HANDED: Array<u64> = Array::with_max_entries(HANDED_PLACES, 0);

/// Places of [`HANDED`]: a power of two.
pub const HANDED_PLACES: u32 = 4_096;

/// Checks under way, by thread: what an inner layer answered (or, with
/// kprobes, what was asked) until the outer hook consumes it.
#[map]
pub static CHECKS: HashMap<u64, Check> = HashMap::with_max_entries(16_384, 0);

/// The LSM that refused SETPCAP to a thread, until its drop returns.
#[map]
pub static SETPCAP: HashMap<u64, Refusal> = HashMap::with_max_entries(4_096, BPF_F_NO_PREALLOC);

/// Drops under way or not confirmed yet, by thread.
#[map]
pub static PENDING: HashMap<u64, Pending> = HashMap::with_max_entries(8_192, BPF_F_NO_PREALLOC);

/// Refusals by a rule.
#[map]
pub static BREACHES: HashMap<BreachKey, Breach> =
    HashMap::with_max_entries(shares::BREACHES, BPF_F_NO_PREALLOC);

/// Room for the key of a refusal, by [`Teller`]: one does not fit on every stack.
#[map]
pub static BREACH_KEYS: PerCpuArray<BreachKey> = PerCpuArray::with_max_entries(Teller::COUNT, 0);

/// The programs that report refusals. Each has room of its own, since they may
/// preempt each other, but none itself.
#[derive(Clone, Copy)]
pub enum Teller {
    /// prctl, by trampoline.
    Prctl,
    /// prctl, by kprobe.
    PrctlProbe,
    /// exec, by trampoline.
    Exec,
    /// exec, by kprobe.
    ExecProbe,
    /// capset, by trampoline.
    Capset,
    /// capset, by kprobe.
    CapsetProbe,
    /// `uid_map`, by trampoline.
    UidMap,
    /// `uid_map`, by kprobe.
    UidMapProbe,
    /// `gid_map`, by trampoline.
    GidMap,
    /// `gid_map`, by kprobe.
    GidMapProbe,
    /// setgroups, by trampoline.
    Setgroups,
    /// setgroups, by kprobe.
    SetgroupsProbe,
    /// User namespaces, by trampoline.
    Userns,
    /// User namespaces, by kprobe.
    UsernsProbe,
    /// The call of capset, by trampoline.
    CapsetCall,
    /// The call of capset, by kprobe.
    CapsetCallProbe,
}

impl Teller {
    /// How many there are.
    pub const COUNT: u32 = 16;

    /// Whether it is a return probe.
    #[inline(always)]
    pub const fn is_probe(self) -> bool {
        self as u32 & 1 == 1
    }
}

/// What one program keeps for the next of the same call, by thread. Two threads may
/// share a place: the later one has it, and the first one's refusal lacks that detail.
#[map]
pub static UNDERWAY: Array<Underway> = Array::with_max_entries(UNDERWAY_PLACES, 0);

/// Places of [`UNDERWAY`]: a power of two.
pub const UNDERWAY_PLACES: u32 = 4_096;

/// Something of a call under way.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Underway {
    /// The thread; 0 for none.
    pub thread: u64,
    /// What it is.
    pub kind: u64,
    /// It.
    pub words: [u64; 3],
}

/// A drop that is not settled.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Pending {
    /// Its argument.
    pub argument: u64,
    /// Inode number of the user namespace that it was made in.
    pub namespace: u32,
    /// [`State`]
    pub state: u32,
}

impl Pending {
    /// No drop.
    pub const NONE: Self = Self {
        argument: 0,
        namespace: 0,
        state: u32::MAX,
    };

    /// Whether there is none.
    #[inline(always)]
    pub fn is_none(&self) -> bool {
        self.state == u32::MAX
    }
}

/// How far a drop is.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It has begun (kprobe); its return is to come.
    Begun,
    /// It was added to its episode by the trampoline; the kretprobe is to come.
    Added,
    /// The check of SETPCAP granted it (tracepoint); whether it was lowered is seen later.
    Provisional,
}

/// A check under way.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Check {
    /// Credential that is asked.
    pub cred: u64,
    /// Namespace that the capability is asked for.
    pub target: u64,
    /// AppArmor's label (kprobes).
    pub label: u64,
    /// Hash of the profile that refused.
    pub profile: u64,
    /// Capability.
    pub capability: u32,
    /// `CAP_OPT_*`
    pub opts: u32,
    /// Layer that refused.
    pub layer: u32,
    /// 1 where commoncap was called without `security_capable` (kprobes).
    pub direct: u32,
}

/// Who refused.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Refusal {
    /// Hash of the profile.
    pub profile: u64,
    /// Layer.
    pub layer: u64,
}

impl Refusal {
    /// A module that is not known.
    pub const UNTOLD: Self = Self {
        profile: 0,
        layer: Layer::Lsm as u64,
    };
}

/// Whether a hook is attached, by whatever mechanism.
#[inline(always)]
pub fn hooked(hook: Hook) -> bool {
    word(hook).is_some_and(|by| *by != 0)
}

/// What these programs know of a hook.
#[inline(always)]
pub fn word(hook: Hook) -> Option<&'static u32> {
    // No macro of `programs`: the empty programs have this module as well.
    HOOKS.get(hook.place(host::word(&raw const host::CONFIG.turn)))
}

/// Whether `cap_task_prctl` is watched by kprobes alone.
#[inline(always)]
pub fn drops_by_kprobe() -> bool {
    word(Hook::Drops) == Some(&Hook::BY_KPROBE)
}

/// Whether drops are watched by two mechanisms.
#[inline(always)]
pub fn drops_by_both() -> bool {
    word(Hook::Drops) == Some(&Hook::BY_BOTH)
}

/// Whether kprobes report the verdict now, be trampolines attached or not.
#[inline(always)]
pub fn verdict_by_kprobe() -> bool {
    word(Hook::Verdict) == Some(&Hook::BY_KPROBE)
}

/// Counts one loss.
#[inline(always)]
pub fn lose(loss: Loss) {
    #[cfg(feature = "log")]
    aya_log_ebpf::warn!((), "lost: {}", loss as u32);
    if let Some(count) = LOSSES.get_ptr_mut(loss as u32) {
        add(count, 1);
    }
}

/// Counts one note.
#[inline(always)]
pub fn note(note: Note) {
    if let Some(count) = NOTES.get_ptr_mut(note as u32) {
        add(count, 1);
    }
}

/// Adds to a counter of this CPU. Atomic, since another program may preempt
/// this one on the same CPU and add to the same counter.
///
/// Written as the instruction itself (`BPF_ATOMIC | BPF_ADD`, every kernel):
/// the target declares no atomics to `core`.
#[inline(always)]
pub fn add(counter: *mut u64, amount: u64) {
    // SAFETY: a live map value; the verifier checks the pointer.
    unsafe { asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) counter, in(reg) amount) };
}

/// Takes one from a counter that threads share, as [`add`].
#[inline(always)]
pub fn drop_one(counter: *mut u32) {
    // SAFETY: a live map value; the verifier checks the pointer.
    unsafe { asm!("lock *(u32 *)({0} + 0) += {1}", in(reg) counter, in(reg) u64::MAX) };
}

/// Adds one to a counter that threads share, as [`add`].
#[inline(always)]
pub fn bump(counter: *mut u32) {
    // SAFETY: a live map value; the verifier checks the pointer.
    unsafe { asm!("lock *(u32 *)({0} + 0) += {1}", in(reg) counter, in(reg) 1u64) };
}
