//! The ring of episodes and process changes.

use aya_ebpf::{
    macros::map,
    maps::{LruHashMap, RingBuf},
};
use observer_ebpf::decide;

/// Bytes of [`STATES`].
pub const STATES_BYTES: u32 = 1_024 * 1_024;
/// Episodes and process changes: apart, so that no storm of denials drops one.
#[map]
pub static STATES: RingBuf = RingBuf::with_byte_size(STATES_BYTES, 0);

/// What each holder wrote to [`STATES`] that nobody has read. Who is forgotten, as the
/// least recent of many, begins anew.
#[map]
pub static UNREAD: LruHashMap<u64, decide::Unread> = LruHashMap::with_max_entries(1_024, 0);
