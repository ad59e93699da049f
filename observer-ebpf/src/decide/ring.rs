//! Who may write to a ring that all share: nobody has more than half of it unread.

/// What one holder wrote to a ring and nobody has read yet, at most: what was written
/// lately, and before that, each with the place in the ring where it ends.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// Where what was written before ends.
    pub older_end: u64,
    /// Where what was written lately ends.
    pub newer_end: u64,
    /// Bytes that were written before.
    pub older: u32,
    /// Bytes that were written lately.
    pub newer: u32,
}

/// Where reader and writers of a ring stand, in bytes since its beginning.
#[derive(Clone, Copy, Debug)]
pub struct Positions {
    /// Up to where it was read.
    pub read: u64,
    /// Up to where it was written.
    pub written: u64,
}

impl Unread {
    /// Whether the holder may write so many bytes to a ring of this size now. What he
    /// wrote counts until it is surely read, so that he has a quarter of the ring in any
    /// case.
    #[inline(always)]
    pub fn admits(&mut self, at: Positions, size: u32, bytes: u32) -> bool {
        if at.read >= self.newer_end {
            *self = Self::default();
        } else if at.read >= self.older_end {
            self.older = self.newer;
            self.older_end = self.newer_end;
            self.newer = 0;
        }
        if self.older.saturating_add(self.newer).saturating_add(bytes) > size / 2 {
            return false;
        }
        self.newer += bytes;
        self.newer_end = at.written + u64::from(bytes);
        true
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::{vec, vec::Vec};

    use super::*;

    const SIZE: u32 = 1 << 16;

    /// A ring that is written by turns and read in steps.
    struct Ring {
        at: Positions,
        items: Vec<(usize, u32)>,
    }

    impl Ring {
        fn new() -> Self {
            let at = Positions {
                read: 0,
                written: 0,
            };
            Self { at, items: vec![] }
        }

        fn write(&mut self, who: usize, bytes: u32) {
            self.at.written += u64::from(bytes);
            assert!(self.at.written - self.at.read <= u64::from(SIZE));
            self.items.push((who, bytes));
        }

        fn read(&mut self) {
            if !self.items.is_empty() {
                self.at.read += u64::from(self.items.remove(0).1);
            }
        }

        fn unread(&self, of: usize) -> u32 {
            let own = self.items.iter().filter(|(who, _)| *who == of);
            own.map(|(_, bytes)| bytes).sum()
        }
    }

    #[test]
    fn one_who_floods_leaves_half_of_the_ring_to_others() {
        let mut ring = Ring::new();
        let mut holders = [Unread::default(); 2];
        let mut random = 7u64;
        let mut refused = 0;
        for step in 0..200_000u64 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let bytes = 64 + (random >> 33) as u32 % 700;
            // The reader is slower than the flood, and stands still at times.
            if random >> 60 < 6 && step % 5_000 < 4_000 {
                ring.read();
            }
            let all = ring.at.written - ring.at.read + u64::from(bytes) <= u64::from(SIZE);
            if all && holders[0].admits(ring.at, SIZE, bytes) {
                ring.write(0, bytes);
            } else {
                refused += 1;
            }
            assert!(ring.unread(0) <= SIZE / 2);
            if step % 97 == 0 {
                assert!(
                    holders[1].admits(ring.at, SIZE, 512),
                    "who writes seldom always may"
                );
                ring.write(1, 512);
            }
            if ring.unread(0) < SIZE / 8 {
                let mut probe = holders[0];
                assert!(
                    ring.unread(0) > 0 || probe.admits(ring.at, SIZE, 512),
                    "nothing of his lies there"
                );
            }
        }
        assert!(refused > 1_000, "{refused}");
    }

    #[test]
    fn what_is_read_counts_no_more() {
        let mut ring = Ring::new();
        let mut holder = Unread::default();
        for _ in 0..10 {
            let mut written = 0;
            while holder.admits(ring.at, SIZE, 512) {
                ring.write(0, 512);
                written += 512;
            }
            assert_eq!(written, SIZE / 2);
            while !ring.items.is_empty() {
                ring.read();
            }
        }
    }
}
