//! Hashes of the kernel, read many entries at a time.
//!
//! An entry by entry walk takes two system calls for each, and starts again where
//! the current entry is deleted meanwhile.

use std::{
    collections::HashSet,
    io,
    mem::MaybeUninit,
    os::fd::{AsFd as _, AsRawFd as _},
};

use aya::{
    Pod,
    maps::{HashMap, IterableMap as _, MapData, MapError, PerCpuArray},
    util::nr_cpus,
};

use super::host::preempts_programs;

/// `BPF_MAP_LOOKUP_BATCH` (`include/uapi/linux/bpf.h`, 5.6).
const BPF_MAP_LOOKUP_BATCH: libc::c_int = 24;
/// Entries of one call, at first: a bucket that holds more asks for more room.
const ROOM: usize = 128;
/// Steps of a walk by key.
const MAX_STEPS: usize = 2_048;

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

/// Calls `see` with every entry of a table that is read all the time, of which few are
/// expected.
///
/// While a call for many entries searches, it holds the word by which the kernel skips
/// kprobes on that processor (`bpf_disable_instrumentation`). Where it can be preempted
/// meanwhile, they are skipped for as long as it waits; a walk by key holds the word for
/// a copy at a time.
///
/// # Errors
/// What the kernel said; `see` may have seen some by then.
pub fn each_gently<K: Pod, V: Pod>(
    map: &HashMap<MapData, K, V>,
    mut see: impl FnMut(&K, &V),
) -> io::Result<()> {
    match preempts_programs().then(|| by_key(map)).flatten() {
        Some(entries) => {
            for (key, value) in &entries {
                see(key, value);
            }
            Ok(())
        }
        None => each(map, see),
    }
}

/// Every entry, by a call for its key and one for its value; none where there are many,
/// or where entries come and go so fast that the walk does not end.
fn by_key<K: Pod, V: Pod>(map: &HashMap<MapData, K, V>) -> Option<Vec<(K, V)>> {
    let mut entries = Vec::new();
    let mut seen = HashSet::new();
    for (step, key) in map.keys().enumerate() {
        let key = key.ok().filter(|_| step < MAX_STEPS)?;
        // The walk begins again where its current entry was deleted.
        if !seen.insert(bytes_of(&key).to_vec()) {
            continue;
        }
        match map.get(&key, 0) {
            Ok(value) => entries.push((key, value)),
            Err(MapError::KeyNotFound) => {}
            Err(_) => return None,
        }
    }
    Some(entries)
}

fn bytes_of<K: Pod>(key: &K) -> &[u8] {
    // SAFETY: `Pod` has no padding that was not written, and lives as long as the slice.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(key).cast(), size_of::<K>()) }
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
