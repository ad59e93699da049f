//! Two ways to read kernel memory.

use aya_ebpf::helpers::bpf_probe_read_kernel;
use observer_ebpf::NONE;

/// A pointer to something in the kernel.
pub type Ptr = *const u8;

/// How a program reads the kernel's structures.
pub trait Mem {
    /// Whether a read costs one load, less than any helper.
    const DIRECT: bool;
    /// Reads a field; zero when the kernel has no such field or faults.
    fn u64(base: Ptr, offset: u32) -> u64;
    /// Reads a field; zero when the kernel has no such field or faults.
    fn u32(base: Ptr, offset: u32) -> u32;
    /// Reads a field; zero when the kernel has no such field or faults.
    fn u16(base: Ptr, offset: u32) -> u16;
    /// Reads a pointer; null when the kernel has no such field or faults.
    fn ptr(base: Ptr, offset: u32) -> Ptr;
}

/// Direct loads through pointers whose type the verifier knows (arguments of
/// fentry, fexit and BTF tracepoints, and what hangs below them). A fault
/// reads zero (`BPF_PROBE_MEM`), it costs one load, and lockdown allows it.
pub struct Typed;

/// Loads through `bpf_probe_read_kernel`, for pointers that come from registers.
pub struct Probed;

/// Reads nothing: for a pointer that was kept and may dangle by now.
pub struct Unread;

impl Mem for Unread {
    const DIRECT: bool = false;

    #[inline(always)]
    fn u64(_: Ptr, _: u32) -> u64 {
        0
    }

    #[inline(always)]
    fn u32(_: Ptr, _: u32) -> u32 {
        0
    }

    #[inline(always)]
    fn u16(_: Ptr, _: u32) -> u16 {
        0
    }

    #[inline(always)]
    fn ptr(_: Ptr, _: u32) -> Ptr {
        core::ptr::null()
    }
}

impl Mem for Typed {
    const DIRECT: bool = true;

    #[inline(always)]
    fn u64(base: Ptr, offset: u32) -> u64 {
        if offset == NONE || base.is_null() {
            return 0;
        }
        // SAFETY: the verifier checks that the pointer's type has these bytes.
        unsafe { base.add(offset as usize).cast::<u64>().read_volatile() }
    }

    #[inline(always)]
    fn u32(base: Ptr, offset: u32) -> u32 {
        if offset == NONE || base.is_null() {
            return 0;
        }
        // SAFETY: the verifier checks that the pointer's type has these bytes.
        unsafe { base.add(offset as usize).cast::<u32>().read_volatile() }
    }

    #[inline(always)]
    fn u16(base: Ptr, offset: u32) -> u16 {
        if offset == NONE || base.is_null() {
            return 0;
        }
        // SAFETY: the verifier checks that the pointer's type has these bytes.
        unsafe { base.add(offset as usize).cast::<u16>().read_volatile() }
    }

    #[inline(always)]
    fn ptr(base: Ptr, offset: u32) -> Ptr {
        if offset == NONE || base.is_null() {
            return core::ptr::null();
        }
        // SAFETY: the verifier checks that the pointer's type has these bytes.
        unsafe { base.add(offset as usize).cast::<Ptr>().read_volatile() }
    }
}

impl Mem for Probed {
    const DIRECT: bool = false;

    #[inline(always)]
    fn u64(base: Ptr, offset: u32) -> u64 {
        probe(base, offset).unwrap_or(0)
    }

    #[inline(always)]
    fn u32(base: Ptr, offset: u32) -> u32 {
        probe(base, offset).unwrap_or(0)
    }

    #[inline(always)]
    fn u16(base: Ptr, offset: u32) -> u16 {
        probe(base, offset).unwrap_or(0)
    }

    #[inline(always)]
    fn ptr(base: Ptr, offset: u32) -> Ptr {
        probe::<u64>(base, offset).unwrap_or(0) as Ptr
    }
}

#[inline(always)]
fn probe<T>(base: Ptr, offset: u32) -> Option<T> {
    if offset == NONE || base.is_null() {
        return None;
    }
    // SAFETY: the helper checks the address and fails on a fault.
    unsafe { bpf_probe_read_kernel(base.wrapping_add(offset as usize).cast::<T>()).ok() }
}
