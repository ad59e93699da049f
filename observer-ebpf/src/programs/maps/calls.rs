//! Checks, drops and other calls under way, by thread: what one program keeps for the
//! next.

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    macros::map,
    maps::{Array, HashMap},
};
use observer_ebpf::Layer;

/// Checks under way, by thread: what an inner layer answered (or, with
/// kprobes, what was asked) until the outer hook consumes it.
#[map]
pub static CHECKS: HashMap<u64, Check> = HashMap::with_max_entries(16_384, 0);

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

/// The LSM that refused SETPCAP to a thread, until its drop returns.
#[map]
pub static SETPCAP: HashMap<u64, Refusal> = HashMap::with_max_entries(4_096, BPF_F_NO_PREALLOC);

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
    pub const UNKNOWN: Self = Self {
        profile: 0,
        layer: Layer::Lsm as u64,
    };
}

/// Drops under way or not confirmed yet, by thread.
#[map]
pub static PENDING: HashMap<u64, Pending> = HashMap::with_max_entries(8_192, BPF_F_NO_PREALLOC);

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
