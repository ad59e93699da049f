//! What the kernel says of the programs' runs.

use std::os::fd::{AsRawFd, BorrowedFd};

use super::programs::Programs;
use crate::time::seconds;

/// Runs of one program.
#[derive(Clone, Debug, PartialEq)]
pub struct Runs {
    /// Its name.
    pub program: String,
    /// Runs, while `kernel.bpf_stats_enabled` is set.
    pub runs: u64,
    /// Time spent in them.
    pub seconds: f64,
    /// Runs that were skipped, since the program was interrupted on its CPU (5.12).
    pub misses: u64,
}

/// `BPF_OBJ_GET_INFO_BY_FD` (`include/uapi/linux/bpf.h`).
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
/// Offsets in `struct bpf_prog_info`, which only ever grows at its end.
const RUN_TIME: usize = 192;
const RUN_COUNT: usize = 200;
const MISSES: usize = 208;
const INFO_LEN: usize = 240;

/// Runs of these loaded programs.
pub(super) fn runs<'a>(programs: impl Iterator<Item = (&'a str, BorrowedFd<'a>)>) -> Vec<Runs> {
    let loaded = programs.filter_map(|(name, program)| {
        let info = info(program.as_raw_fd())?;
        let word = |at: usize| {
            info[at..]
                .first_chunk::<8>()
                .map_or(0, |w| u64::from_ne_bytes(*w))
        };
        Some(Runs {
            program: name.to_owned(),
            runs: word(RUN_COUNT),
            seconds: seconds(word(RUN_TIME)),
            misses: word(MISSES),
        })
    });
    loaded.collect()
}

/// Runs of one program that the kernel skipped; 0 where that is not known.
pub(super) fn misses(ebpf: &Programs, program: &str) -> u64 {
    ebpf.loaded(program).and_then(misses_of).unwrap_or_default()
}

/// Runs of a program that the kernel skipped; none where that is not known.
pub(super) fn misses_of(program: BorrowedFd<'_>) -> Option<u64> {
    let info = info(program.as_raw_fd())?;
    Some(u64::from_ne_bytes(*info[MISSES..].first_chunk::<8>()?))
}

fn info(fd: libc::c_int) -> Option<[u8; INFO_LEN]> {
    #[repr(C)]
    struct Attr {
        fd: u32,
        length: u32,
        info: u64,
    }
    let mut info = [0u8; INFO_LEN];
    let mut attr = Attr {
        fd: u32::try_from(fd).ok()?,
        length: u32::try_from(INFO_LEN).ok()?,
        info: info.as_mut_ptr() as u64,
    };
    // SAFETY: the kernel writes at most `length` bytes to `info`, and to `attr` how
    // many they were; both live and are not touched otherwise until it returns.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_OBJ_GET_INFO_BY_FD,
            &raw mut attr,
            size_of::<Attr>(),
        )
    };
    (result == 0).then_some(info)
}
