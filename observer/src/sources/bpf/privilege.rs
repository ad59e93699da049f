//! What the kernel's EPERM means.

use rustix::process::{Resource, getrlimit};

use super::host::counts_locked_memory;
use crate::{
    caps::{CapSet, SYS_ADMIN},
    sources::proc::{effective_capabilities, has_seccomp_filter, in_initial_user_namespace},
};

/// Capabilities that loading takes.
pub const TO_LOAD: &[(u32, &str)] = &[(39, "CAP_BPF"), (38, "CAP_PERFMON")];
/// Those that some way to attach takes besides.
pub const TO_ATTACH: &[(u32, &str)] =
    &[(39, "CAP_BPF"), (38, "CAP_PERFMON"), (21, "CAP_SYS_ADMIN")];

/// Which privilege is missing; where none is, what else may forbid it.
pub fn not_permitted(wanted: &[(u32, &str)]) -> String {
    let limit = getrlimit(Resource::Memlock).current;
    let limit = limit.filter(|_| counts_locked_memory());
    explain(
        wanted,
        effective_capabilities(),
        in_initial_user_namespace(),
        limit,
        has_seccomp_filter(),
    )
}

/// `locked` is the limit of locked memory, in bytes, where maps count as that.
fn explain(
    wanted: &[(u32, &str)],
    held: CapSet,
    initial: bool,
    locked: Option<u64>,
    filtered: bool,
) -> String {
    if !initial {
        return "not permitted: capabilities of another user namespace do not count; run it as \
                root of the host"
            .to_owned();
    }
    // It covers both others (`bpf_capable`, `perfmon_capable`, 5.8).
    let all = held.contains(SYS_ADMIN);
    let missing: Vec<_> = wanted
        .iter()
        .filter(|(number, _)| !all && !held.contains(*number))
        .map(|(_, name)| *name)
        .collect();
    if !missing.is_empty() {
        return format!(
            "not permitted: {} missing; run as root or see `capwatch doctor`",
            missing.join(", ")
        );
    }
    if let Some(limit) = locked {
        return format!(
            "not permitted: before 5.11 BPF maps count as locked memory, of which {limit} bytes are \
             allowed; set LimitMEMLOCK=infinity or grant CAP_SYS_RESOURCE"
        );
    }
    if filtered {
        return "not permitted, although every capability is held: probably by the seccomp filter \
                of this process, as container engines set one (podman or docker run \
                --security-opt seccomp=unconfined)"
            .to_owned();
    }
    "not permitted, although every capability is held: lockdown or the kernel's configuration \
     forbids it"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_reason_is_given() {
        let none = CapSet::EMPTY;
        let root = CapSet(u64::MAX);
        let admin = CapSet(1 << SYS_ADMIN);
        let explained = |held, initial, locked| explain(TO_LOAD, held, initial, locked, false);
        assert!(explained(none, true, None).contains("CAP_BPF, CAP_PERFMON missing"));
        assert!(explained(root, false, None).contains("another user namespace"));
        assert!(explained(admin, true, Some(65_536)).contains("65536 bytes"));
        assert!(explained(root, true, None).contains("lockdown"));
        let filtered = explain(TO_LOAD, root, true, None, true);
        assert!(filtered.contains("seccomp=unconfined"), "{filtered}");
        let attach = explain(TO_ATTACH, CapSet(1 << 39 | 1 << 38), true, None, true);
        assert!(attach.contains("CAP_SYS_ADMIN missing"), "{attach}");
    }
}
