//! What to change to give a process a capability: one remedy, which fits
//! whatever started it. A plain function over what is known.

use super::words::shown;
use crate::{
    caps::{self, CapSet},
    finding::{Container, Requested},
};

/// What is known of a process that lacks a capability.
#[derive(Clone, Copy, Debug, Default)]
pub struct Case<'a> {
    /// Name of the capability.
    pub capability: &'a str,
    /// The container, or the unit, that it belongs to.
    pub container: Option<&'a Container>,
    /// Whether it is a runtime's own program, outside of that container.
    pub is_outside: bool,
    /// Its user, where that is known in the initial user namespace.
    pub uid: Option<u32>,
    /// Whether its bounding set has the capability, where that is known.
    pub in_bounding: Option<bool>,
    /// The nearest launcher above it that is no container's runtime.
    pub launcher: Option<&'a str>,
}

/// Programs that take capabilities away from what they start.
const LAUNCHERS: [&str; 6] = [
    "bwrap",
    "setpriv",
    "capsh",
    "systemd-nspawn",
    "lxc-start",
    "lxc-execute",
];
/// Where a container, or a unit, begins: what is above did not start the process.
const BORDERS: [&str; 8] = [
    "conmon",
    "containerd-shim",
    "crun",
    "runc",
    "runc:[2:INIT]",
    "podman",
    "dockerd",
    "systemd",
];

/// The nearest launcher among the processes above one, its parent first.
pub fn launcher<'a>(above: impl Iterator<Item = &'a str>) -> Option<&'static str> {
    for comm in above {
        if let Some(found) = LAUNCHERS.iter().find(|name| **name == comm) {
            return Some(found);
        }
        if BORDERS.contains(&comm) {
            return None;
        }
    }
    None
}

/// What to change, a clause without its stop.
pub fn give(case: &Case<'_>) -> String {
    let capability = case.capability.to_ascii_uppercase();
    if let Some(remedy) = case
        .launcher
        .and_then(|name| of_launcher(name, &capability))
    {
        return remedy;
    }
    let Some(container) = case.container else {
        return format!(
            "Give it CAP_{capability} (in a container: --cap-add {capability}; \
             under systemd: AmbientCapabilities=CAP_{capability})"
        );
    };
    if container.is_unit() {
        return of_unit(container, case, &capability);
    }
    if case.is_outside {
        return format!(
            "Start the container runtime from a process that has CAP_{capability}: the runtime \
             runs outside of the container, so the container's own capabilities do not help"
        );
    }
    let asked = container.requested.as_ref();
    if asked.is_some_and(is_not_root) && !gives_to_anybody(container) {
        return of_user(container, &capability, asked);
    }
    format!(
        "Add {capability} to the container's capabilities ({})",
        how(container, &capability)
    )
}

/// What to change where the container was given the capability, and the process
/// has it no more.
pub fn keep(case: &Case<'_>) -> String {
    let capability = case.capability.to_ascii_uppercase();
    match case.uid {
        Some(uid) if uid != 0 => format!(
            "Make it drop capabilities before it changes its user: uid {uid} no longer has \
             {capability} (setuid removes it). If `exec --user` started the process, it never had \
             {capability}: use `exec --user 0`"
        ),
        _ => format!(
            "Make it drop capabilities before it loses {capability} (setuid and capset remove it)"
        ),
    }
}

fn of_launcher(name: &str, capability: &str) -> Option<String> {
    let how = match name {
        "bwrap" => format!("bwrap --cap-add CAP_{capability}"),
        "systemd-nspawn" => nspawn(capability),
        "lxc-start" | "lxc-execute" => lxc(capability),
        "setpriv" => {
            let name = capability.to_ascii_lowercase();
            return Some(format!(
                "Keep CAP_{capability} where setpriv starts it (setpriv --inh-caps +{name} \
                 --ambient-caps +{name}, and no -{name} in --bounding-set)"
            ));
        }
        "capsh" => {
            return Some(format!(
                "Keep CAP_{capability} where capsh starts it (in --caps, and not in --drop)"
            ));
        }
        _ => return None,
    };
    Some(format!("Give it CAP_{capability} in the sandbox ({how})"))
}

/// It takes away what both options name.
fn nspawn(capability: &str) -> String {
    format!(
        "systemd-nspawn --capability=CAP_{capability}, and no --drop-capability=CAP_{capability}"
    )
}

fn lxc(capability: &str) -> String {
    let name = capability.to_ascii_lowercase();
    format!("lxc.cap.keep with {name}, or no {name} in lxc.cap.drop")
}

/// What to change for a unit of a user's manager, which has no capability that it could
/// give: the system's manager has. The capabilities are as the directive has them.
pub fn of_users_unit(unit: &Container, capabilities: &str) -> Option<String> {
    let uid = unit.vouched_by().filter(|_| unit.is_unit())?;
    let name = shown(&unit.id);
    Some(format!(
        "Run it in a system unit with User= and AmbientCapabilities={capabilities}: {name} \
         belongs to uid {uid}, whose manager has no capability to give"
    ))
}

/// A unit's directives.
fn of_unit(unit: &Container, case: &Case<'_>, capability: &str) -> String {
    let name = shown(&unit.id);
    let is_service = matches!(unit.id.rsplit_once('.'), Some((_, "service")));
    if let Some(remedy) = of_users_unit(unit, &format!("CAP_{capability}")) {
        return remedy;
    }
    if !is_service || unit.id.starts_with("user@") {
        return format!(
            "Run it as root, or in a service with AmbientCapabilities=CAP_{capability} ({name} \
             does not support this directive)"
        );
    }
    let bounding = match case.in_bounding {
        Some(true) => String::new(),
        Some(false) => format!(" and CapabilityBoundingSet=CAP_{capability}"),
        None => format!("; if the unit sets CapabilityBoundingSet=, add CAP_{capability} there"),
    };
    format!(
        "Give it CAP_{capability} (systemctl edit {name}, in [Service]: \
         AmbientCapabilities=CAP_{capability}{bounding})"
    )
}

/// Where the container's user is not root, exec gives it nothing: the runtime sets
/// no ambient capabilities.
fn of_user(container: &Container, capability: &str, asked: Option<&Requested>) -> String {
    let how = match container.runtime.as_str() {
        _ if container.pod.is_some() => format!(
            "securityContext: runAsUser: 0, runAsNonRoot: false, capabilities.add: [{capability}]"
        ),
        _ if compose(container).is_some() => format!("user: \"0\", cap_add: [{capability}]"),
        "docker" => format!("docker run --user 0 --cap-add {capability}"),
        "containerd" => format!("ctr run --user 0 --cap-add CAP_{capability}"),
        _ => format!("user 0, capabilities.add: [{capability}]"),
    };
    let file = match asked.and_then(|asked| asked.no_new_privs) {
        Some(false) => format!(
            "; or add {capability} to the container and to its file (setcap cap_{}+ep FILE)",
            capability.to_ascii_lowercase()
        ),
        _ => String::new(),
    };
    format!(
        "Run it as root in the container ({how}), and change the user after the drop: {} gives \
         effective capabilities only to root{file}",
        container.runtime
    )
}

/// Podman makes what is added ambient for a user that is not root.
fn gives_to_anybody(container: &Container) -> bool {
    container.runtime == "podman" && container.pod.is_none()
}

fn is_not_root(requested: &Requested) -> bool {
    match requested.user {
        Some(user) => user != 0,
        None => bits(&requested.effective) == Some(0) && bits(&requested.bounding) != Some(0),
    }
}

/// Whether the first process of a container gets a capability by its
/// configuration: a user that is not root gets what is ambient alone.
pub fn is_given(requested: &Requested, number: u32) -> bool {
    let has = |set: &str| CapSet(bits(set).unwrap_or_default()).contains(number);
    match requested.ambient.as_deref() {
        Some(ambient) if is_not_root(requested) => has(&requested.bounding) && has(ambient),
        _ => has(&requested.bounding) && has(&requested.effective),
    }
}

/// Why a process of a container lacks SETPCAP, as its configuration shows: what
/// follows after a colon.
pub fn missing(requested: &Requested, uid: Option<u32>) -> &'static str {
    let bounding = bits(&requested.bounding).unwrap_or_default();
    if !CapSet(bounding).contains(caps::SETPCAP) {
        return ": SETPCAP is not among the container's capabilities";
    }
    if !is_given(requested, caps::SETPCAP) {
        return ": the container's configuration has SETPCAP in the bounding set, but gives it to \
                no process (its user is not root)";
    }
    match uid {
        Some(uid) if uid != 0 && !is_not_root(requested) => {
            ": the container has SETPCAP, but this process runs as another user, who lost it or \
             never had it"
        }
        _ => ": the container has SETPCAP, so this process, or one above it, lost it (inferred)",
    }
}

fn bits(set: &str) -> Option<u64> {
    set.parse().ok().map(|CapSet(bits)| bits)
}

fn compose(container: &Container) -> Option<&str> {
    let service = container.labels.get("com.docker.compose.service");
    service.map(String::as_str)
}

/// How a container is given a capability, in the words of what made it.
fn how(container: &Container, capability: &str) -> String {
    if let Some(service) = compose(container) {
        return format!(
            "compose, service {}: cap_add: [{capability}]",
            shown(service)
        );
    }
    let unit = container.unit.as_deref().or_else(|| {
        let label = container.labels.get("PODMAN_SYSTEMD_UNIT");
        label.map(String::as_str)
    });
    match container.build.as_deref() {
        Some("buildah") => return format!("podman build --cap-add {capability}"),
        // BuildKit gives a step the default capabilities or all of them.
        Some(_) => {
            return "RUN --security=insecure, built with docker buildx build \
                    --allow security.insecure"
                .to_owned();
        }
        None => {}
    }
    match container.runtime.as_str() {
        _ if container.pod.is_some() => {
            format!("securityContext.capabilities.add: [{capability}]")
        }
        "podman" => match unit.and_then(|unit| unit.strip_suffix(".service")) {
            Some(name) => format!(
                "AddCapability=CAP_{capability} in [Container] of {}",
                shown(&format!("{name}.container"))
            ),
            None => format!("podman run --cap-add {capability}"),
        },
        "docker" => format!("docker run --cap-add {capability}"),
        "containerd" => format!("ctr run --cap-add CAP_{capability}"),
        "systemd-nspawn" => nspawn(capability),
        "lxc" => lxc(capability),
        _ => format!("capabilities.add: [{capability}]"),
    }
}

#[cfg(test)]
mod tests;
