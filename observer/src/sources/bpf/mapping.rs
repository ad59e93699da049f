//! An array map of the programs, seen through a mapping: no system call for a word.

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _},
    ptr::{self, NonNull},
    sync::atomic::AtomicU64,
};

use aya::{
    Pod,
    maps::{Array, IterableMap as _, MapData},
};

/// The entries of a map, each a multiple of eight bytes long.
pub(super) struct Mapping<T, V: Pod> {
    entries: NonNull<T>,
    length: u32,
    /// Programs that are loaded later look it up by its descriptor.
    _map: Array<MapData, V>,
}

/// What may be done through a mapping.
#[derive(Clone, Copy)]
pub(super) enum Access {
    /// Nothing is written.
    Read,
    /// Words are counted in.
    Write,
}

// SAFETY: the mapping belongs to no thread, and hands out pointers alone.
unsafe impl<T: Sync, V: Pod> Send for Mapping<T, V> {}
// SAFETY: as above.
unsafe impl<T: Sync, V: Pod> Sync for Mapping<T, V> {}

impl<T, V: Pod> Mapping<T, V> {
    /// Maps a map of so many entries, `T` being how an entry is looked at.
    ///
    /// # Errors
    /// What the kernel said.
    pub(super) fn new(map: Array<MapData, V>, access: Access) -> io::Result<Self> {
        const { assert!(size_of::<T>() == size_of::<V>() && size_of::<T>().is_multiple_of(8)) };
        let file = map.map().fd().as_fd().as_raw_fd();
        let length = map.len();
        let bytes = length as usize * size_of::<T>();
        let access = match access {
            Access::Read => libc::PROT_READ,
            Access::Write => libc::PROT_READ | libc::PROT_WRITE,
        };
        // SAFETY: a new mapping, where the kernel chooses.
        let at = unsafe { libc::mmap(ptr::null_mut(), bytes, access, libc::MAP_SHARED, file, 0) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let entries = NonNull::new(at.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self {
            entries,
            length,
            _map: map,
        })
    }

    /// An entry; none beyond the last.
    pub(super) fn entry(&self, index: u32) -> Option<NonNull<T>> {
        // SAFETY: it lies within the mapping, which lives as long as this.
        (index < self.length).then(|| unsafe { self.entries.add(index as usize) })
    }

    /// How many entries there are.
    pub(super) const fn len(&self) -> u32 {
        self.length
    }
}

impl<V: Pod> Mapping<AtomicU64, V> {
    /// A word that the programs count in too; none beyond the last.
    pub(super) fn word(&self, index: u32) -> Option<&AtomicU64> {
        // SAFETY: it is atomic, and the mapping lives as long as this.
        self.entry(index).map(|word| unsafe { word.as_ref() })
    }
}

impl<T, V: Pod> Drop for Mapping<T, V> {
    fn drop(&mut self) {
        let bytes = self.length as usize * size_of::<T>();
        // SAFETY: the mapping that was made; nothing refers to it any more.
        unsafe { libc::munmap(self.entries.as_ptr().cast(), bytes) };
    }
}
