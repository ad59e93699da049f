//! The BPF programs of capwatch.
//!
//! They build for `bpfel-unknown-none` with `cargo xtask bpf`; the object is
//! committed under `observer/bpf/`.
#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(asm_experimental_arch))]

#[cfg(all(target_arch = "bpf", not(feature = "empty")))]
mod programs;

#[cfg(all(target_arch = "bpf", feature = "empty"))]
mod empty;

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Lets the kernel call helpers that are for GPL-compatible programs only.
#[cfg(target_arch = "bpf")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[cfg(not(target_arch = "bpf"))]
fn main() {
    eprintln!("these programs run in the kernel: build them with `cargo xtask bpf`");
    std::process::exit(2);
}
