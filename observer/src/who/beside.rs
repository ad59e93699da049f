//! What daemons made while a recorded command ran: containers, machines and
//! transient units. Not logins, and not what timers and cron start.
//!
//! A cgroup is new where its id is greater than that of every cgroup that there
//! was when the command began: the kernel gives ids in order, and reused numbers
//! come with a greater generation (`__kernfs_new_node`, fs/kernfs/dir.c, 6.12).

use std::{fs, path::Path, sync::Arc};

use super::{
    State, Who,
    cgroup::{self, Place, Runtime},
};
use crate::finding::{Container, Made};

/// Where units are installed; what systemd makes for a client alone is in none.
const UNITS: [&str; 12] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/run/systemd/generator",
    "/run/systemd/generator.early",
    "/run/systemd/generator.late",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/etc/systemd/user",
    "/run/systemd/user",
    "/usr/local/lib/systemd/user",
    "/usr/lib/systemd/user",
];
/// Containers and units that are looked for at the end of a command.
const MAX_LIVING: usize = 256;

impl Who {
    /// Has what daemons make from now on count as beside the recorded tree.
    ///
    /// # Errors
    /// Why that can't be known on this host.
    pub fn begin_beside(&self) -> Result<(), &'static str> {
        self.scopes.begin(self.hierarchy.newest()?);
        Ok(())
    }

    /// Containers and units beside the recorded tree in which something lives now.
    pub fn living_beside(&self) -> Vec<Made> {
        let mut living: Vec<Made> = Vec::new();
        self.hierarchy.each(|path, id| {
            if !self.scopes.is_new(id) || living.len() >= MAX_LIVING {
                return;
            }
            if !self.hierarchy.is_populated(path) {
                return;
            }
            let delegated = self.hierarchy.delegated(path, None);
            let places = cgroup::places(path, delegated);
            // By its name alone, unless it was looked up: a user's files may never answer.
            let by_name = || {
                places
                    .iter()
                    .find(|place| place.is_sure)
                    .map(State::of_name)
            };
            let known = self.known().cgroups.get(&id).cloned();
            let known = known.and_then(|known| known.container);
            let container = known.map(Arc::unwrap_or_clone).or_else(by_name);
            let is_beside = || self.is_beside(path, &places, container.as_ref(), None);
            if self.scopes.decided(id).unwrap_or_else(is_beside) {
                let made = Made::new(container.as_ref());
                if !living.contains(&made) {
                    living.push(made);
                }
            }
        });
        living
    }

    /// Whether a new cgroup belongs to something that daemons made for a client.
    /// `depth` is the one of a container's own folder that its name doesn't show.
    pub(super) fn is_beside(
        &self,
        path: &str,
        places: &[Place],
        container: Option<&Container>,
        depth: Option<usize>,
    ) -> bool {
        let is_new = |depth: usize| {
            let above: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
            let above = above.get(..depth).unwrap_or(&above).join("/");
            let id = self.hierarchy.id(&above);
            // Gone by now: it was new, or it would be there.
            id.is_none_or(|id| self.scopes.is_new(id))
        };
        if let Some(depth) = depth {
            return is_new(depth);
        }
        is_made(places, container, is_new, |unit| {
            let mut folders = UNITS.iter().map(Path::new);
            folders.any(|folder| fs::symlink_metadata(folder.join(unit)).is_ok())
        })
    }
}

/// Whether the innermost container that a cgroup lies in is new, or any around
/// it; where it lies in none, whether its unit is new, and of a client's making.
fn is_made(
    places: &[Place],
    container: Option<&Container>,
    is_new: impl Fn(usize) -> bool,
    is_installed: impl Fn(&str) -> bool,
) -> bool {
    let is_container = |place: &&Place| {
        let is_known = container.is_some_and(|container| container.id == place.id);
        place.runtime != Runtime::Systemd && (place.is_sure || is_known)
    };
    let mut containers = places.iter().filter(is_container).peekable();
    if containers.peek().is_some() {
        return containers.any(|place| is_new(place.depth));
    }
    let unit = places
        .iter()
        .find(|place| place.runtime == Runtime::Systemd);
    unit.is_some_and(|unit| is_new(unit.depth) && is_transient(unit, is_installed))
}

/// Whether a unit has no file: `systemd-run`, or a manager of machines, had it
/// made. A login's scope has none either. Below a user's manager every
/// application is such a unit, so that only `systemd-run`'s own names count.
fn is_transient(unit: &Place, is_installed: impl Fn(&str) -> bool) -> bool {
    let name = unit.id.as_str();
    if unit.owner != 0 {
        return name.starts_with("run-");
    }
    let is_login = name.starts_with("session-") || name == "init.scope";
    let template = name.split_once('@').and_then(|(before, instance)| {
        let (_, kind) = instance.rsplit_once('.')?;
        Some(format!("{before}@.{kind}"))
    });
    !is_login && !is_installed(name) && !template.is_some_and(|name| is_installed(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "ee6e1a2ff48c0305dece0b25044733ebaf1661e42841bcc1b2714849f5e2c93c";

    /// What is judged of a path whose folders from this depth on are new.
    fn made(path: &str, new_from: usize) -> bool {
        let path = path.replace("ID", ID);
        let installed = [
            "cron.service",
            "logrotate.service",
            "user@.service",
            "getty@.service",
            "podman.service",
        ];
        is_made(
            &cgroup::places(&path, None),
            None,
            |depth| depth >= new_from,
            |name| installed.contains(&name),
        )
    }

    #[test]
    fn containers_machines_and_transient_units_that_are_new_are_beside() {
        for path in [
            "/system.slice/docker-ID.scope",
            "/machine.slice/libpod-ID.scope/container",
            "/machine.slice/libpod-conmon-ID.scope",
            "/system.slice/run-r0123.service",
            "/system.slice/named-by-hand.service",
            "/machine.slice/machine-box.scope",
            "/machine.slice/systemd-nspawn@box.service/payload",
            r"/machine.slice/machine-qemu\x2d1\x2dvm.scope/libvirt",
        ] {
            assert!(made(path, 2), "{path}");
            assert!(!made(path, 9), "{path} was there before");
        }
        assert!(made("/lxc.payload.web/init.scope", 1));
        let user = "/user.slice/user-1000.slice/user@1000.service";
        assert!(made(&format!("{user}/user.slice/libpod-ID.scope"), 5));
        assert!(made(&format!("{user}/app.slice/run-u5.service"), 5));
    }

    #[test]
    fn logins_jobs_and_installed_units_are_not() {
        for path in [
            "/",
            "/user.slice/user-1000.slice/session-4.scope",
            "/user.slice/user-0.slice/session-c2.scope",
            "/user.slice/user-0.slice/user@0.service/init.scope",
            "/user.slice/user-1000.slice/user@1000.service/app.slice/dbus.service",
            "/user.slice/user-1000.slice/user@1000.service/app.slice/app-x-5.scope",
            "/system.slice/cron.service",
            "/system.slice/logrotate.service",
            "/system.slice/system-getty.slice/getty@tty2.service",
            "/system.slice/podman.service",
            "/some/folder",
        ] {
            assert!(!made(path, 1), "{path}");
        }
    }

    #[test]
    fn within_an_old_container_only_a_new_container_is_beside() {
        let inner = "b".repeat(64);
        assert!(!made("/docker/ID/system.slice/run-u1.service", 3));
        assert!(!made("/system.slice/docker-ID.scope/made/by/it", 3));
        assert!(made(&format!("/docker/ID/docker/{inner}"), 4));
    }
}
