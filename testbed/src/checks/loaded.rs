//! What of BPF the kernel holds: programs, maps and links of everyone.

use std::io;

use anyhow::{Context as _, Result};

/// Commands of bpf(2) (`include/uapi/linux/bpf.h`), which give the next id.
const NEXT_ID: [(&str, libc::c_long); 3] = [("program", 11), ("map", 12), ("link", 31)];

/// Prints kind and id of each, one a line; what a kernel has no command for is
/// left out (links before 5.8).
///
/// # Errors
/// When the kernel doesn't report it.
pub fn main() -> Result<()> {
    for (kind, command) in NEXT_ID {
        let mut id = 0;
        while let Some(next) = next(command, id).with_context(|| format!("no next {kind}"))? {
            println!("{kind} {next}");
            id = next;
        }
    }
    Ok(())
}

fn next(command: libc::c_long, start: u32) -> io::Result<Option<u32>> {
    #[repr(C)]
    struct Attr {
        start: u32,
        next: u32,
        flags: u32,
    }
    let mut attr = Attr {
        start,
        next: 0,
        flags: 0,
    };
    // SAFETY: the kernel reads and writes this struct alone, while the call lasts.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut attr, size_of::<Attr>()) };
    if result == 0 {
        return Ok(Some(attr.next));
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::EINVAL) => Ok(None),
        _ => Err(error),
    }
}
