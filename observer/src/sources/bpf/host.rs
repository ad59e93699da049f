//! What the loader asks of the host.

use std::{fs, path::Path};

/// The active LSMs in their order; empty where securityfs is not mounted.
pub fn active_lsms() -> Vec<String> {
    let list = fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
    let names = list.trim().split(',').filter(|name| !name.is_empty());
    let mut names: Vec<_> = names.map(str::to_owned).collect();
    if names.is_empty() && Path::new("/sys/module/apparmor/parameters/enabled").exists() {
        let enabled = fs::read_to_string("/sys/module/apparmor/parameters/enabled");
        if enabled.is_ok_and(|word| word.trim() == "Y") {
            names.push("apparmor".to_owned());
        }
    }
    names
}

/// The kernel's version; none where it is not told.
pub fn release() -> Option<(u32, u32)> {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    let mut numbers = text.split(['.', '-', '+']);
    let major = numbers.next()?.parse().ok()?;
    Some((major, numbers.next()?.parse().ok()?))
}

/// Before 5.11 maps count as locked memory, of which 64 KiB are allowed
/// (`bpf_charge_memlock`, `kernel/bpf/syscall.c`); later kernels need nothing.
pub fn counts_locked_memory() -> bool {
    release().is_some_and(|release| release < (5, 11))
}

/// Raises the limit of locked memory where maps count.
pub fn allow_locked_memory() {
    use rustix::process::{Resource, Rlimit, setrlimit};

    if !counts_locked_memory() {
        return;
    }
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    if let Err(error) = setrlimit(Resource::Memlock, unlimited) {
        tracing::warn!("cannot raise the limit of locked memory: {error}; maps may not fit");
    }
}
