//! Keys and values of the maps that count denials.
#![expect(
    clippy::inline_always,
    reason = "a program is one function: a call costs the verifier what it knows of the arguments"
)]

use crate::{CAP_BPF, CAP_SYS_ADMIN, COMM_LEN, Layer, Owner};

/// Key of a denial's row: everything that distinguishes rows.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RowKey {
    /// The supervisor, and the role of the process.
    pub owner: Owner,
    /// Id of the cgroup on the default hierarchy.
    pub cgroup: u64,
    /// Inode number of the executable; 0 for kernel threads.
    pub exe_inode: u64,
    /// Hash of the LSM profile's name, key of the map `PROFILES`; 0 for none.
    pub profile: u64,
    /// Name of the thread.
    pub comm: [u8; COMM_LEN],
    /// Number of the capability.
    pub capability: u8,
    /// [`Layer`]
    pub layer: u8,
    /// [`Reason`]
    pub reason: u8,
    /// [`Audited`]
    pub audited: u8,
    /// [`Via`]
    pub via: u8,
    /// 1 where the check was made with the task's own credentials.
    pub own_credentials: u8,
    /// Keeps the size a multiple of the alignment.
    pub reserved: [u8; 2],
}

/// The agent's own process.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agent {
    /// Process id.
    pub tgid: u64,
    /// Inode number of its executable, so that another process that gets the id later is
    /// not taken for the agent.
    pub exe_inode: u64,
}

impl Agent {
    /// Whether a denial says only that the agent gave its capabilities up: from 5.19 on
    /// each of its reads of a map asks for `CAP_BPF` and `CAP_SYS_ADMIN` first, and goes on
    /// without them. Such a denial is not counted.
    #[inline(always)]
    #[must_use]
    pub fn gave_up(&self, tgid: u32, exe_inode: u64, capability: u32, layer: Layer) -> bool {
        self.tgid == u64::from(tgid)
            && self.exe_inode == exe_inode
            && matches!(capability, CAP_SYS_ADMIN | CAP_BPF)
            && layer == Layer::Commoncap
    }
}

/// How many rows there may be: entries of the maps `ROWS`, `SLOTS` and `FREE`.
pub const ROW_SLOTS: u32 = 16_384;

/// Value of a denial's row, one for each CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Denials.
    pub count: u64,
    /// Time of the first, nanoseconds since boot (`CLOCK_MONOTONIC`).
    pub first: u64,
    /// Tick (`jiffies_64`) of the first.
    pub first_tick: u64,
    /// Tick of the last.
    pub last_tick: u64,
    /// Tick of the last one whose detail was sent; 0 when none was.
    pub reported_tick: u64,
}

/// Key of a denial without its row: what the metrics need.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TotalKey {
    /// The supervisor, and the role of the process.
    pub owner: Owner,
    /// Number of the capability.
    pub capability: u8,
    /// [`Layer`]
    pub layer: u8,
    /// [`Audited`]
    pub audited: u8,
    /// Keeps the size a multiple of the alignment.
    pub reserved: [u8; 5],
}

impl TotalKey {
    /// Number of entries of the overflow slot: 64 capabilities, 8 layers, 4 words of audited.
    pub const OVERFLOW_LEN: u32 = 64 * 8 * 4;

    /// The key of an index in the overflow slot.
    #[must_use]
    pub fn from_overflow_index(index: u32) -> Self {
        let [index, high, ..] = index.to_le_bytes();
        Self {
            capability: high << 3 | index >> 5,
            layer: index >> 2 & 7,
            audited: index & 3,
            ..Self::default()
        }
    }

    /// Index in the overflow slot, where the owner is no longer known.
    #[must_use]
    pub const fn overflow_index(&self) -> u32 {
        ((self.capability & 63) as u32) << 5
            | ((self.layer & 7) as u32) << 2
            | (self.audited & 3) as u32
    }
}

const _: () = assert!(size_of::<RowKey>() == 64);
const _: () = assert!(size_of::<Count>() == 40);
const _: () = assert!(size_of::<TotalKey>() == 24);
