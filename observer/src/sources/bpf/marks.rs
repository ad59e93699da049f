//! The marks of processes that are followed, through a mapping of their map: the
//! programs count in the same words.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use aya::maps::{Array, MapData};
use observer_ebpf::decide::mark;

use super::mapping::{Access, Mapping};

/// The mapped map.
pub struct Marks(Mapping<AtomicU64, u64>);

impl Marks {
    /// Maps the map.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn map(map: Array<MapData, u64>) -> io::Result<Self> {
        Mapping::new(map, Access::Write).map(Self)
    }

    /// Marks a process, before it is entered.
    pub fn set(&self, tgid: u32) {
        if let Some(word) = self.0.word(mark(tgid)) {
            word.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Takes a mark back.
    pub fn clear(&self, tgid: u32) {
        if let Some(word) = self.0.word(mark(tgid)) {
            word.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// How many marks there are: as many as entries of what they stand for.
    pub fn count(&self) -> u64 {
        let words = (0..self.0.len()).filter_map(|index| self.0.word(index));
        words
            .map(|word| word.load(Ordering::SeqCst))
            .fold(0, u64::wrapping_add)
    }
}
