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

/// What each holder wrote to [`STATES`] that nobody has read. The kernel
/// forgets the holder that wrote least recently where there are too many; that one starts
/// with a whole share again.
#[map]
pub static UNREAD: LruHashMap<u64, decide::Unread> = LruHashMap::with_max_entries(1_024, 0);
