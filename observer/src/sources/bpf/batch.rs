//! Hashes of the kernel, read many entries at a time.
//!
//! An entry by entry walk takes two system calls for each, and starts again where
//! the current entry is deleted meanwhile.

use std::{
    io,
    mem::MaybeUninit,
    os::fd::{AsFd as _, AsRawFd as _},
};

use aya::{
    Pod,
    maps::{HashMap, IterableMap as _, MapData, PerCpuArray},
    util::nr_cpus,
};

/// `BPF_MAP_LOOKUP_BATCH` (`include/uapi/linux/bpf.h`, 5.6).
const BPF_MAP_LOOKUP_BATCH: libc::c_int = 24;
/// Entries of one call, at first: a bucket that holds more asks for more room.
const ROOM: usize = 128;

/// `struct { … } batch` of `union bpf_attr`.
#[repr(C)]
struct Attr {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// Calls `see` with the values on all CPUs of each slot below `slots`, in order.
///
/// # Errors
/// What the kernel said, or that it gave fewer; `see` may have seen some by then.
pub fn each_slot<V: Pod>(
    map: &PerCpuArray<MapData, V>,
    slots: u32,
    mut see: impl FnMut(&[V]),
) -> io::Result<()> {
    // Values are padded to eight bytes each, which these need not be.
    const { assert!(size_of::<V>().is_multiple_of(8)) };
    let cpus = nr_cpus().map_err(|(_, error)| error)?;
    let map = map.map().fd().as_fd();
    let mut keys = vec![0_u32; ROOM];
    let mut values: Vec<MaybeUninit<V>> = vec![MaybeUninit::uninit(); ROOM * cpus];
    // The place of the walk: the slot that was read last.
    let mut place: Option<u32> = None;
    let mut seen = 0;
    while seen < slots {
        let mut next = 0_u32;
        let mut attr = Attr {
            in_batch: place.as_ref().map_or(0, |place| &raw const *place as u64),
            out_batch: &raw mut next as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: u32::try_from(ROOM).unwrap_or(u32::MAX).min(slots - seen),
            map_fd: map.as_raw_fd().unsigned_abs(),
            elem_flags: 0,
            flags: 0,
        };
        // SAFETY: the kernel writes `count` keys at most, as many values of the size of
        // `V` (aya compared it when it made the array) for each possible CPU, and one
        // number; all live until it returns.
        let result = unsafe {
            libc::syscall(
                libc::SYS_bpf,
                BPF_MAP_LOOKUP_BATCH,
                &raw mut attr,
                size_of::<Attr>(),
            )
        };
        let error = (result < 0).then(io::Error::last_os_error);
        if let Some(error) = error
            && error.raw_os_error() != Some(libc::ENOENT)
        {
            return Err(error);
        }
        let filled = (attr.count as usize).min(ROOM);
        if filled == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for values in values.chunks(cpus).take(filled) {
            // SAFETY: the kernel has written so many, and a `MaybeUninit` has the layout
            // of what is in it.
            let values = unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), cpus) };
            see(values);
        }
        seen = seen.saturating_add(attr.count);
        place = Some(next);
    }
    Ok(())
}

/// Calls `see` with every entry.
///
/// # Errors
/// What the kernel said; `see` may have seen some by then.
pub fn each<K: Pod, V: Pod>(
    map: &HashMap<MapData, K, V>,
    mut see: impl FnMut(&K, &V),
) -> io::Result<()> {
    let map = map.map().fd().as_fd();
    let mut keys: Vec<MaybeUninit<K>> = vec![MaybeUninit::uninit(); ROOM];
    let mut values: Vec<MaybeUninit<V>> = vec![MaybeUninit::uninit(); ROOM];
    // The place of the walk: the number of a bucket.
    let mut place: Option<u32> = None;
    loop {
        let mut next = 0_u32;
        let mut attr = Attr {
            in_batch: place.as_ref().map_or(0, |place| &raw const *place as u64),
            out_batch: &raw mut next as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: u32::try_from(keys.len()).unwrap_or(u32::MAX),
            map_fd: map.as_raw_fd().unsigned_abs(),
            elem_flags: 0,
            flags: 0,
        };
        // SAFETY: the kernel writes `count` keys and values of the map's sizes at most,
        // which are those of `K` and `V` (aya compared them when it made the hash), and
        // one number; all live until it returns.
        let result = unsafe {
            libc::syscall(
                libc::SYS_bpf,
                BPF_MAP_LOOKUP_BATCH,
                &raw mut attr,
                size_of::<Attr>(),
            )
        };
        let error = (result < 0).then(io::Error::last_os_error);
        match error.as_ref().and_then(io::Error::raw_os_error) {
            Some(libc::ENOSPC) => {
                let room = keys.len() * 2;
                keys.resize(room, MaybeUninit::uninit());
                values.resize(room, MaybeUninit::uninit());
                continue;
            }
            None | Some(libc::ENOENT) => {}
            Some(_) => return error.map_or(Ok(()), Err),
        }
        let filled = (attr.count as usize).min(keys.len());
        for (key, value) in keys.iter().zip(&values).take(filled) {
            // SAFETY: the kernel has written so many of both.
            let (key, value) = unsafe { (key.assume_init_ref(), value.assume_init_ref()) };
            see(key, value);
        }
        if error.is_some() {
            return Ok(());
        }
        place = Some(next);
    }
}
