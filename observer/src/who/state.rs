//! A container's name, image, labels and requested capabilities, from state on
//! disk alone: no runtime's API, no credential, no environment.
//!
//! Sources are joined by the container's id, field by field. What lies below a
//! delegation, and what a user's process says of itself, is looked for in that
//! user's own state alone.

mod places;
mod runtimes;

use std::path::{Path, PathBuf};

use super::{
    cgroup::{Delegation, Place, Runtime},
    conmon::Conmon,
    kubelet,
    oci::Spec,
    shim::Shim,
    text::{Bounded, bounded},
};
use crate::{
    finding::{Container, Pod, fill_from},
    open::Folder,
};

/// containerd's folder of bundles, by its namespaces, below its state.
const TASKS: &str = "io.containerd.runtime.v2.task";
/// The beginning of the names of a store's folders.
const DRIVERS: [&str; 5] = ["overlay", "vfs", "btrfs", "zfs", "overlay2"];

/// State on disk.
pub struct State {
    root: PathBuf,
    labels: Vec<String>,
    owner: Option<u32>,
}

impl State {
    /// State below a root directory (`/` but for tests), and the labels that are kept.
    pub const fn new(root: PathBuf, labels: Vec<String>) -> Self {
        Self {
            root,
            labels,
            owner: None,
        }
    }

    /// The same where every file belongs to one user, as in a tree that was copied.
    #[must_use]
    pub const fn owned_by(mut self, uid: u32) -> Self {
        self.owner = Some(uid);
        self
    }

    /// The container that a conmon of this user watches; `None` where no bundle
    /// of that user's says so, nor the store that it was in until it was removed.
    /// `pids` are processes that may see the bundle in a root of their own: conmon
    /// itself, or its child.
    pub fn of_conmon(&self, conmon: &Conmon, uid: u32, pids: &[u32]) -> Option<Container> {
        let bundle = conmon.bundle.as_deref()?;
        let below = bundle.strip_prefix("/").unwrap_or(bundle);
        let seen = pids.iter().map(|pid| format!("/proc/{pid}/root"));
        let mut seen =
            seen.filter_map(|root| Folder::open(Path::new(&root)).ok()?.below(below).ok());
        let owner = self.owner(uid);
        let spec = |folder: &Folder| Spec::read(folder, owner);
        let here = || self.folder(bundle, uid);
        let found = seen
            .find_map(|folder| Some((spec(&folder)?, folder)))
            .or_else(|| here().and_then(|folder| Some((spec(&folder)?, folder))));
        let Some((spec, folder)) = found else {
            return self
                .is_stored(conmon, bundle, uid)
                .then(|| of_words(conmon, uid));
        };
        let mut container = of_words(conmon, uid);
        let run = conmon.pidfile.as_deref();
        let run = run.and_then(|path| path.parent()?.parent()?.parent());
        let run = run.and_then(|path| self.folder(path, uid));
        // …/storage/overlay-containers/ID/userdata
        let place = bundle.parent().and_then(|folder| folder.parent());
        let store = place.and_then(|containers| {
            let driver = containers.file_name()?.to_str()?;
            let driver = driver.strip_suffix("-containers")?;
            let parent = containers.parent()?;
            let own_root = folder.path().strip_prefix("/proc").is_ok();
            let folder = if own_root {
                let root = folder.path().ancestors().nth(below.components().count())?;
                let root = Folder::open(root).ok()?;
                root.below(parent.strip_prefix("/").unwrap_or(parent)).ok()
            } else {
                self.folder(parent, uid)
            };
            Some((folder?, driver))
        });
        self.of_bundle(&spec, store, run, owner, &mut container);
        Some(container)
    }

    /// Whether a bundle is, or was until it was removed, in a store of this user's.
    fn is_stored(&self, conmon: &Conmon, bundle: &Path, uid: u32) -> bool {
        // …/storage/overlay-containers/ID/userdata
        let place = bundle
            .parent()
            .filter(|folder| folder.ends_with(&conmon.id));
        let Some(containers) = place.and_then(Path::parent) else {
            return false;
        };
        let is_store = containers
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.ends_with("-containers"));
        let store = self.folder(containers, uid).filter(|_| is_store);
        store.is_some_and(|store| store.owner().ok() == Some(self.owner(uid)))
    }

    /// The container that a shim of this user runs; `None` where no state of
    /// that user's says so.
    pub fn of_shim(&self, shim: &Shim, uid: u32) -> Option<Container> {
        let mut container = Container {
            runtime: Runtime::Containerd.as_str().to_owned(),
            id: shim.id.clone(),
            ..Container::default()
        };
        container.origin.insert("id".to_owned(), "shim".to_owned());
        container.vouch(uid);
        let owner = self.owner(uid);
        let roots = self.roots(uid);
        let own = shim.state.clone().into_iter();
        let states = own.chain(roots.containerd.iter().map(|path| self.shown(path)));
        let path = format!("{TASKS}/{}/{}", shim.namespace, shim.id);
        let mut known = false;
        for state in states {
            let bundle = self
                .folder(&state, uid)
                .and_then(|state| state.below(&path).ok());
            if let Some(spec) = bundle.and_then(|bundle| Spec::read(&bundle, owner)) {
                self.of_spec(&spec, &shim.namespace, &mut container);
                known = true;
                break;
            }
        }
        if shim.namespace == "moby" {
            known |= self.docker(&roots, uid, &mut container);
        }
        known.then_some(container)
    }

    /// The container that a cgroup belongs to, the likeliest place first.
    pub fn of_places(&self, places: &[Place]) -> Option<Container> {
        let mut spare = None;
        for place in places {
            if place.runtime == Runtime::Systemd && spare.is_some() {
                break;
            }
            let (container, is_known) = self.look(place);
            // A name that only its own user vouches for, and of which he has no
            // state, does not hide the container around it.
            if is_known || (place.is_sure && place.owner == 0) {
                return Some(container);
            }
            if place.is_sure && spare.is_none() {
                spare = Some(container);
            }
        }
        spare
    }

    /// The container that a cgroup belongs to; and how many folders from the top its
    /// own is, where a runtime's state alone knows it.
    pub fn of_path(
        &self,
        path: &str,
        places: &[Place],
        owned: Option<Delegation>,
    ) -> (Option<Container>, Option<usize>) {
        let found = self.of_places(places);
        let is_known =
            |container: &Container| !container.is_unit() && container.requested.is_some();
        if found.as_ref().is_some_and(is_known) {
            return (found, None);
        }
        let Some((by_runtime, depth)) = self.of_runtime(path, owned) else {
            return (found, None);
        };
        // An engine's container, of which the engine's own state is not known.
        match found {
            Some(mut container) if container.id == by_runtime.id => {
                container.join(&by_runtime);
                (Some(container), None)
            }
            _ => (Some(by_runtime), Some(depth)),
        }
    }

    /// A container by the name of its cgroup alone.
    pub fn of_name(place: &Place) -> Container {
        let mut container = Container {
            runtime: place.runtime.as_str().to_owned(),
            id: bounded(place.id.as_bytes()),
            unit: place.unit.as_deref().and_then(Bounded::some),
            ..Container::default()
        };
        if place.runtime == Runtime::Buildah {
            container.build = Some("buildah".to_owned());
        }
        let cgroup = "cgroup".to_owned();
        container.origin.insert("id".to_owned(), cgroup.clone());
        container.vouch(place.owner);
        if let Some(uid) = &place.pod {
            container.origin.insert("pod".to_owned(), cgroup);
            container.pod = Some(Pod {
                uid: Some(uid.clone()),
                ..Pod::default()
            });
        }
        if matches!(place.runtime, Runtime::Nspawn | Runtime::Lxc) {
            let Container { name, origin, .. } = &mut container;
            fill_from(name, place.id.some(), origin, "name", "cgroup");
        }
        container
    }

    /// The container that a cgroup belongs to.
    pub fn of_place(&self, place: &Place) -> Container {
        self.look(place).0
    }

    /// A container by its place, and whether state on disk knows it.
    fn look(&self, place: &Place) -> (Container, bool) {
        let mut container = Self::of_name(place);
        // The state of a container within one lies in that one's files.
        if place.is_nested || matches!(place.runtime, Runtime::Nspawn | Runtime::Lxc) {
            return (container, false);
        }
        let is_known = self.fill(place, &mut container);
        if container.pod.is_some() && place.owner == 0 {
            kubelet::describe(&self.root, &mut container);
        }
        (container, is_known)
    }

    fn fill(&self, place: &Place, container: &mut Container) -> bool {
        let uid = place.owner;
        let roots = || self.roots(uid);
        match place.runtime {
            Runtime::Podman | Runtime::Crio => self.stored(&roots(), uid, container),
            Runtime::Docker => {
                let roots = roots();
                // containerd has what Docker made of its options.
                let known = uid == 0 && self.containerd(&roots, place, container);
                Runtime::Docker.as_str().clone_into(&mut container.runtime);
                self.docker(&roots, uid, container) || known
            }
            // Its state, and kubelet's, is root's alone.
            Runtime::Containerd => uid == 0 && self.containerd(&roots(), place, container),
            Runtime::Kubernetes | Runtime::Unknown => {
                let roots = roots();
                // Docker's containers are containerd's, too, which knows less of them.
                let known = uid == 0 && self.containerd(&roots, place, container);
                let is_docker = container.runtime == Runtime::Docker.as_str();
                if known && !is_docker {
                    return true;
                }
                self.docker(&roots, uid, container) || known || self.stored(&roots, uid, container)
            }
            Runtime::Nspawn | Runtime::Lxc | Runtime::Buildah | Runtime::Systemd => false,
        }
    }
}

/// What conmon's arguments say of their container, on the word of its user.
fn of_words(conmon: &Conmon, uid: u32) -> Container {
    let mut container = Container {
        runtime: Runtime::Podman.as_str().to_owned(),
        id: conmon.id.clone(),
        ..Container::default()
    };
    container
        .origin
        .insert("id".to_owned(), "conmon".to_owned());
    container.vouch(uid);
    let Container { name, origin, .. } = &mut container;
    fill_from(name, conmon.name.clone(), origin, "name", "conmon");
    container
}
