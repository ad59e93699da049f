//! Losses and notes, and how counters that several programs add to are added to.

use core::arch::asm;

use aya_ebpf::{macros::map, maps::PerCpuArray};
use observer_ebpf::{Loss, Note};

/// Losses, by [`Loss`].
#[map]
pub static LOSSES: PerCpuArray<u64> = PerCpuArray::with_max_entries(Loss::ALL.len() as u32, 0);

/// What the kernel side notes of itself, by [`Note`].
#[map]
pub static NOTES: PerCpuArray<u64> = PerCpuArray::with_max_entries(Note::COUNT, 0);

/// Counts one loss.
#[inline(always)]
pub fn lose(loss: Loss) {
    #[cfg(feature = "log")]
    aya_log_ebpf::warn!((), "lost: {}", loss as u32);
    if let Some(count) = LOSSES.get_ptr_mut(loss as u32) {
        add(count, 1);
    }
}

/// Counts one note.
#[inline(always)]
pub fn note(note: Note) {
    if let Some(count) = NOTES.get_ptr_mut(note as u32) {
        add(count, 1);
    }
}

/// Adds to a counter of this CPU. Atomic, since another program may preempt
/// this one on the same CPU and add to the same counter.
///
/// Written as the instruction itself (`BPF_ATOMIC | BPF_ADD`, every kernel):
/// the target declares no atomics to `core`.
#[inline(always)]
pub fn add(counter: *mut u64, amount: u64) {
    // SAFETY: a live map value; the verifier checks the pointer.
    unsafe { asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) counter, in(reg) amount) };
}

/// Takes one from a counter that threads share, as [`add`].
#[inline(always)]
pub fn drop_one(counter: *mut u32) {
    // SAFETY: a live map value; the verifier checks the pointer.
    unsafe { asm!("lock *(u32 *)({0} + 0) += {1}", in(reg) counter, in(reg) u64::MAX) };
}

/// Adds one to a counter that threads share, as [`add`].
#[inline(always)]
pub fn bump(counter: *mut u32) {
    // SAFETY: a live map value; the verifier checks the pointer.
    unsafe { asm!("lock *(u32 *)({0} + 0) += {1}", in(reg) counter, in(reg) 1u64) };
}
