//! Which hooks are attached, by which mechanism, and who counts while a turn is handed
//! over.

use aya_ebpf::{macros::map, maps::Array};
use observer_ebpf::Hook;

use super::super::host;

/// Which hooks are attached, by [`Hook`]: user space knows only after the load.
#[map]
pub static HOOKS: Array<u32> = Array::with_max_entries(Hook::COUNT, 0);

/// What the first of two programs noted for the second, by thread and hook, while a
/// turn is handed over.
#[map]
pub static HANDED: Array<u64> = Array::with_max_entries(HANDED_PLACES, 0);

/// Places of [`HANDED`]: a power of two.
pub const HANDED_PLACES: u32 = 4_096;

/// Whether a hook is attached, by whatever mechanism.
#[inline(always)]
pub fn hooked(hook: Hook) -> bool {
    word(hook).is_some_and(|by| *by != 0)
}

/// What these programs know of a hook.
#[inline(always)]
pub fn word(hook: Hook) -> Option<&'static u32> {
    // No macro of `programs`: the empty programs have this module as well.
    HOOKS.get(hook.place(host::word(&raw const host::CONFIG.turn)))
}

/// Whether `cap_task_prctl` is watched by kprobes alone.
#[inline(always)]
pub fn drops_by_kprobe() -> bool {
    word(Hook::Drops) == Some(&Hook::BY_KPROBE)
}

/// Whether drops are watched by two mechanisms.
#[inline(always)]
pub fn drops_by_both() -> bool {
    word(Hook::Drops) == Some(&Hook::BY_BOTH)
}

/// Whether kprobes report the verdict now, be trampolines attached or not.
#[inline(always)]
pub fn verdict_by_kprobe() -> bool {
    word(Hook::Verdict) == Some(&Hook::BY_KPROBE)
}
