//! How the process takes memory from the kernel, and gives it back.

use std::{collections::HashMap, hash::Hash};

/// Bytes from which an allocation is its own mapping.
#[cfg(target_env = "gnu")]
const LARGE: libc::c_int = 64 << 10;

/// Sets the allocator up, before there is a second thread.
///
/// With an arena for each thread, what one of them keeps holds the pages that
/// others freed: fifty clients of a storm took 51 MiB, and take 37 MiB with one
/// arena. Nothing here allocates so often that threads would wait for each other.
/// A fixed threshold keeps the large texts of reports and lists out of the heap,
/// where the small things between them would hold their pages for ever.
pub fn set_up() {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets parameters of the allocator; no pointer is touched.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}

/// Gives back what is free: the kernel's BTF takes some twenty megabytes while the
/// programs are loaded, which the allocator would keep for ever.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: releases free memory alone; no pointer in use is touched.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Takes the room out of a map that once held many times more than now: a storm's table
/// would stay as large for ever.
pub fn trim<K: Eq + Hash, V>(map: &mut HashMap<K, V>) {
    if map.len() < map.capacity() / 4 {
        map.shrink_to(2 * map.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_keeps_the_room_of_what_it_holds() {
        let mut map: HashMap<u32, u32> = (0..10_000).map(|number| (number, 0)).collect();
        let full = map.capacity();
        trim(&mut map);
        assert_eq!(map.capacity(), full);
        map.retain(|number, _| *number < 100);
        trim(&mut map);
        assert!(map.capacity() < 1_000, "{}", map.capacity());
        assert_eq!(map.len(), 100);
    }
}
