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

/// Gives back what is free, and what is resident of the program's file: to be called
/// now and then, and after what takes much. The kernel's BTF takes some twenty megabytes
/// while the programs are loaded, which the allocator would keep for ever.
pub fn give_back() {
    give_file_back();
    #[cfg(target_env = "gnu")]
    // SAFETY: releases free memory alone; no pointer in use is touched.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// The programs for the kernel, their loader, the parsers of rules and options and the
/// reader of types are of use at the start alone, and took some three megabytes. What is
/// used again is mapped again, from the kernel's cache of the file.
fn give_file_back() {
    // SAFETY: it calls `discard_file` while it runs, with what it describes itself.
    unsafe {
        libc::dl_iterate_phdr(Some(discard_file), std::ptr::null_mut());
    }
}

/// Discards what is resident of the first object, which is the program itself, and
/// was never written to.
///
/// # Safety
/// `object` is what `dl_iterate_phdr` gives.
unsafe extern "C" fn discard_file(
    object: *mut libc::dl_phdr_info,
    _size: usize,
    _data: *mut libc::c_void,
) -> libc::c_int {
    let page = rustix::param::page_size() as u64;
    // SAFETY: the caller gives a description that lives as long as this call.
    let object = unsafe { &*object };
    // SAFETY: it has so many headers.
    let headers =
        unsafe { std::slice::from_raw_parts(object.dlpi_phdr, usize::from(object.dlpi_phnum)) };
    let is_constant = |header: &&libc::Elf64_Phdr| {
        header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0
    };
    for header in headers.iter().filter(is_constant) {
        let begin = object.dlpi_addr + header.p_vaddr;
        let end = (begin + header.p_memsz) / page * page;
        let begin = begin.next_multiple_of(page);
        let Some(length) = end
            .checked_sub(begin)
            .and_then(|length| usize::try_from(length).ok())
        else {
            continue;
        };
        // SAFETY: whole pages of a mapping that nobody can write to: what is read there
        // next comes from the file again, and is the same.
        let done =
            unsafe { libc::madvise(begin as *mut libc::c_void, length, libc::MADV_DONTNEED) };
        if done != 0 {
            tracing::debug!(
                "the program's file stays resident: {}",
                std::io::Error::last_os_error()
            );
        }
    }
    1
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
