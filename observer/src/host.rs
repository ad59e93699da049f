//! The kernel that this process runs on.

use crate::open;

/// The kernel's version; none where it is not known.
pub fn kernel_release() -> Option<(u32, u32)> {
    let text = open::text("/proc/sys/kernel/osrelease").ok()?;
    let mut numbers = text.split(['.', '-', '+']);
    let major = numbers.next()?.parse().ok()?;
    Some((major, numbers.next()?.parse().ok()?))
}
