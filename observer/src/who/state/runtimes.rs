//! A container as the files of each runtime have it: bundles, containers/storage,
//! containerd's and Docker's state.

use std::collections::BTreeMap;

use super::{DRIVERS, State, TASKS};
use crate::{
    finding::Container,
    open::Folder,
    who::{
        cgroup::{Place, Runtime},
        docker,
        oci::Spec,
        roots::Roots,
        shim,
        store::Store,
        text::Bounded,
    },
};

/// Namespaces of containerd that are looked at.
const MAX_NAMESPACES: usize = 64;
/// Labels that are kept whatever the configuration says: they show which tool
/// made the container, and so which remedy fits.
const KEPT: [&str; 5] = [
    "com.docker.compose.project",
    "com.docker.compose.service",
    "PODMAN_SYSTEMD_UNIT",
    "app.kubernetes.io/name",
    "io.buildah.version",
];

impl State {
    pub(super) fn of_bundle(
        &self,
        spec: &Spec,
        store: Option<(Folder, &str)>,
        run: Option<Folder>,
        owner: u32,
        container: &mut Container,
    ) {
        spec.describe(container);
        let mut labels = spec.labels();
        if spec.is_crio() {
            Runtime::Crio.as_str().clone_into(&mut container.runtime);
        }
        if let Some((folder, driver)) = store {
            let store = Store {
                folder: &folder,
                driver,
                run,
                owner,
            };
            for (key, value) in store.describe(container) {
                labels.entry(key).or_insert(value);
            }
        }
        self.keep(&labels, container);
    }

    /// The working container that a step of buildah's runs in, of which it has the
    /// beginning of the id as its host name: its name, and the image that it began with.
    pub(in crate::who) fn base(&self, id: &str, uid: u32, container: &mut Container) {
        let owner = self.owner(uid);
        for folder in self.folders(&self.roots(uid).stores, uid) {
            for driver in DRIVERS {
                let store = Store {
                    folder: &folder,
                    driver,
                    run: None,
                    owner,
                };
                if store.describe_base(id, container) {
                    return;
                }
            }
        }
    }

    /// Podman's and CRI-O's.
    pub(super) fn stored(&self, roots: &Roots, uid: u32, container: &mut Container) -> bool {
        if !shim::is_name(&container.id) {
            return false;
        }
        let owner = self.owner(uid);
        for folder in self.folders(&roots.stores, uid) {
            for driver in DRIVERS {
                let bundle = format!("{driver}-containers/{}/userdata", container.id);
                let bundle = folder.below(&bundle).ok();
                if let Some(spec) = bundle.and_then(|bundle| Spec::read(&bundle, owner)) {
                    if matches!(container.runtime.as_str(), "kubernetes" | "unknown") {
                        Runtime::Podman.as_str().clone_into(&mut container.runtime);
                    }
                    self.of_bundle(&spec, Some((folder, driver)), None, owner, container);
                    return true;
                }
            }
        }
        false
    }

    pub(super) fn containerd(
        &self,
        roots: &Roots,
        place: &Place,
        container: &mut Container,
    ) -> bool {
        if !shim::is_name(&container.id) {
            return false;
        }
        let owner = self.owner(0);
        for path in &roots.containerd {
            let tasks = Folder::open(path)
                .and_then(|state| state.below(TASKS).map_err(std::io::Error::other));
            let Ok(tasks) = tasks else { continue };
            let namespaces = match &place.namespace {
                Some(namespace) => vec![namespace.clone()],
                None => tasks.names(MAX_NAMESPACES),
            };
            for namespace in namespaces {
                let bundle = tasks.below(format!("{namespace}/{}", container.id)).ok();
                if let Some(spec) = bundle.and_then(|bundle| Spec::read(&bundle, owner)) {
                    self.of_spec(&spec, &namespace, container);
                    return true;
                }
            }
        }
        false
    }

    /// Adds what a bundle of containerd's says.
    pub(super) fn of_spec(&self, spec: &Spec, namespace: &str, container: &mut Container) {
        let runtime = match namespace {
            "moby" => Runtime::Docker,
            _ => Runtime::Containerd,
        };
        runtime.as_str().clone_into(&mut container.runtime);
        spec.describe(container);
        self.keep(&spec.labels(), container);
        if container.image.is_none() && runtime == Runtime::Containerd {
            // A container of `ctr`: containerd has its image in a database alone.
            let word = "not_on_disk".to_owned();
            container.origin.entry("image".to_owned()).or_insert(word);
        }
    }

    pub(super) fn docker(&self, roots: &Roots, uid: u32, container: &mut Container) -> bool {
        if !shim::is_name(&container.id) {
            return false;
        }
        let owner = self.owner(uid);
        for root in self.folders(&roots.docker, uid) {
            let folder = root.below(format!("containers/{}", container.id)).ok();
            let labels =
                folder.and_then(|folder| docker::describe(&root, &folder, owner, container));
            if let Some(labels) = labels {
                Runtime::Docker.as_str().clone_into(&mut container.runtime);
                self.keep(&labels, container);
                return true;
            }
        }
        false
    }

    /// Keeps the labels that the configuration asks for; what is known stays.
    pub(in crate::who) fn keep(
        &self,
        labels: &BTreeMap<String, String>,
        container: &mut Container,
    ) {
        let kept = KEPT.iter().copied();
        for key in kept.chain(self.labels.iter().map(String::as_str)) {
            if let Some(value) = labels.get(key).and_then(Bounded::some) {
                container.labels.entry(key.to_owned()).or_insert(value);
            }
        }
    }
}
