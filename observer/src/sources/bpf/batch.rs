//! Hashes of the kernel, read many entries at a time.
//!
//! An entry by entry walk takes two system calls for each, and begins anew where
//! the entry that it stands at is deleted meanwhile.

use std::{
    io,
    marker::PhantomData,
    mem::MaybeUninit,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
};

use aya::{Ebpf, Pod, maps::Map};

/// `BPF_MAP_LOOKUP_BATCH` (`include/uapi/linux/bpf.h`, 5.6).
const BPF_MAP_LOOKUP_BATCH: libc::c_int = 24;
/// Entries of one call, at first: a bucket that holds more asks for more room.
const ROOM: usize = 128;

/// The entries of a hash.
pub struct Batch<K, V> {
    map: OwnedFd,
    name: &'static str,
    of: PhantomData<(K, V)>,
}

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

impl<K: Pod, V: Pod> Batch<K, V> {
    /// A second handle of a map that the object has; the types are the caller's word.
    ///
    /// # Errors
    /// When there is no such hash, or no file descriptor left.
    pub fn open(ebpf: &Ebpf, name: &'static str) -> io::Result<Self> {
        let Some(Map::HashMap(map)) = ebpf.map(name) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        Ok(Self {
            map: map.fd().as_fd().try_clone_to_owned()?,
            name,
            of: PhantomData,
        })
    }

    /// Calls `see` with every entry; a walk that fails is told with a warning.
    pub fn each(&self, see: impl FnMut(&K, &V)) {
        if let Err(error) = self.walk(see) {
            tracing::warn!("cannot read the BPF map {}: {error}", self.name);
        }
    }

    fn walk(&self, mut see: impl FnMut(&K, &V)) -> io::Result<()> {
        let mut keys: Vec<MaybeUninit<K>> = vec![MaybeUninit::uninit(); ROOM];
        let mut values: Vec<MaybeUninit<V>> = vec![MaybeUninit::uninit(); ROOM];
        // Where the walk stands: the number of a bucket.
        let mut place: Option<u32> = None;
        loop {
            let mut next = 0_u32;
            let mut attr = Attr {
                in_batch: place.as_ref().map_or(0, |place| &raw const *place as u64),
                out_batch: &raw mut next as u64,
                keys: keys.as_mut_ptr() as u64,
                values: values.as_mut_ptr() as u64,
                count: u32::try_from(keys.len()).unwrap_or(u32::MAX),
                map_fd: self.map.as_raw_fd().unsigned_abs(),
                elem_flags: 0,
                flags: 0,
            };
            // SAFETY: the kernel writes `count` keys and values of the map's sizes at
            // most, for which there is room, and one number; all live until it returns.
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
            let told = (attr.count as usize).min(keys.len());
            for (key, value) in keys.iter().zip(&values).take(told) {
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
}
