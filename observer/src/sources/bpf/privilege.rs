//! What the kernel's EPERM means.

use rustix::process::{Resource, getrlimit};

use super::host::counts_locked_memory;
use crate::sources::proc::{effective_capabilities, in_initial_user_namespace};

/// Capabilities that loading takes.
pub const TO_LOAD: &[(u32, &str)] = &[(39, "CAP_BPF"), (38, "CAP_PERFMON")];
/// Those that some way to attach takes besides.
pub const TO_ATTACH: &[(u32, &str)] =
    &[(39, "CAP_BPF"), (38, "CAP_PERFMON"), (21, "CAP_SYS_ADMIN")];

/// Which privilege is missing; where none is, what else may forbid it.
pub fn not_permitted(wanted: &[(u32, &str)]) -> String {
    if !in_initial_user_namespace() {
        return "not permitted: capabilities of another user namespace than the host's count for \
                nothing; run it as root of the host"
            .to_owned();
    }
    let held = effective_capabilities();
    let missing: Vec<_> = wanted
        .iter()
        .filter(|(number, _)| !held.contains(*number))
        .map(|(_, name)| *name)
        .collect();
    if !missing.is_empty() {
        return format!(
            "not permitted: {} missing; run as root or see `capwatch doctor`",
            missing.join(", ")
        );
    }
    let limit = getrlimit(Resource::Memlock).current;
    if let Some(limit) = limit.filter(|_| counts_locked_memory()) {
        return format!(
            "not permitted: before 5.11 maps count as locked memory, of which {limit} bytes are \
             allowed; set LimitMEMLOCK=infinity or grant CAP_SYS_RESOURCE"
        );
    }
    "not permitted, though every capability is held: lockdown or the kernel's configuration \
     forbids it"
        .to_owned()
}
