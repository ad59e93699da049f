//! What the system call that a task is in says of a check within it.

/// The architectures whose system calls are distinguished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abi {
    /// `arch/x86/entry/syscalls/syscall_64.tbl`
    X64,
    /// `arch/x86/entry/syscalls/syscall_32.tbl`
    X86,
    /// `include/uapi/asm-generic/unistd.h`
    Arm64,
    /// `arch/arm64/tools/syscall_32.tbl`
    Arm,
}

/// The namespaces that clone makes, which ask for `SYS_ADMIN` in earnest
/// (`CLONE_NEW*`, `include/uapi/linux/sched.h`; a time namespace is not clone's).
const NAMESPACES: u64 = 0x7e02_0000;

/// Whether a check for `SYS_ADMIN` within a system call is memory accounting
/// (`cap_vm_enough_memory`), which every process that takes memory asks for and
/// nobody needs: the call asks for it for nothing else. `number` is −1 in a page
/// fault, `first` the call's first argument.
#[inline(always)]
#[must_use]
pub const fn is_accounting(abi: Abi, number: i64, first: u64) -> bool {
    if number == -1 {
        return true;
    }
    let clone = match abi {
        Abi::X64 => 56,
        Abi::X86 | Abi::Arm => 120,
        Abi::Arm64 => 220,
    };
    if number == clone {
        return first & NAMESPACES == 0;
    }
    match abi {
        // mmap, mprotect, munmap, brk, mremap, shmat, fork, vfork, execve, execveat
        Abi::X64 => matches!(number, 9..=12 | 25 | 30 | 57..=59 | 322),
        // fork, execve, brk, mmap, munmap, mprotect, mremap, vfork, mmap2, execveat
        Abi::X86 => matches!(number, 2 | 11 | 45 | 90 | 91 | 125 | 163 | 190 | 192 | 358),
        // shmat, brk, munmap, mremap, execve, mmap, mprotect, execveat
        Abi::Arm64 => matches!(number, 196 | 214..=216 | 221 | 222 | 226 | 281),
        // fork, execve, brk, munmap, mprotect, mremap, vfork, mmap2, execveat
        Abi::Arm => matches!(number, 2 | 11 | 45 | 91 | 125 | 163 | 190 | 192 | 387),
    }
}

/// Whether a system call is `capset`, which asks `cap_capable` for SETPCAP without
/// `security_capable` between (`cap_inh_is_capped`, `security/commoncap.c`, 6.12).
#[inline(always)]
#[must_use]
pub const fn is_capset(abi: Abi, number: i64) -> bool {
    number
        == match abi {
            Abi::X64 => 126,
            Abi::X86 | Abi::Arm => 185,
            Abi::Arm64 => 91,
        }
}
