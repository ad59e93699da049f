//! The marks of processes that are followed, through a mapping of their map: the
//! programs count in the same words.

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _},
    ptr::{self, NonNull},
    sync::atomic::{AtomicU64, Ordering},
};

use aya::maps::{Array, IterableMap as _, MapData};
use observer_ebpf::decide::{MARKS, mark};

/// Bytes of the map.
const BYTES: usize = MARKS as usize * size_of::<AtomicU64>();

/// The mapped map.
pub struct Marks {
    words: NonNull<AtomicU64>,
    /// Programs that are loaded later look it up by its descriptor.
    _map: Array<MapData, u64>,
}

// SAFETY: the mapping belongs to no thread, and its words are atomic.
unsafe impl Send for Marks {}
// SAFETY: as above.
unsafe impl Sync for Marks {}

impl Marks {
    /// Maps the map.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn map(map: Array<MapData, u64>) -> io::Result<Self> {
        let file = map.map().fd().as_fd().as_raw_fd();
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping, where the kernel chooses.
        let words =
            unsafe { libc::mmap(ptr::null_mut(), BYTES, access, libc::MAP_SHARED, file, 0) };
        if words == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let words = NonNull::new(words.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { words, _map: map })
    }

    /// Marks a process, before it is entered.
    pub fn set(&self, tgid: u32) {
        self.word(tgid).fetch_add(1, Ordering::SeqCst);
    }

    /// Takes a mark back.
    pub fn clear(&self, tgid: u32) {
        self.word(tgid).fetch_sub(1, Ordering::SeqCst);
    }

    /// How many marks there are: as many as entries of what they stand for.
    pub fn count(&self) -> u64 {
        let places = 0..MARKS;
        places
            .map(|place| self.word(place).load(Ordering::SeqCst))
            .fold(0, u64::wrapping_add)
    }

    fn word(&self, tgid: u32) -> &AtomicU64 {
        // SAFETY: a place is below `MARKS`, and the mapping lives as long as this.
        unsafe { self.words.add(mark(tgid) as usize).as_ref() }
    }
}

impl Drop for Marks {
    fn drop(&mut self) {
        // SAFETY: the mapping that was made; nothing refers to it any more.
        unsafe { libc::munmap(self.words.as_ptr().cast(), BYTES) };
    }
}
