//! A container's name, image, labels and requested capabilities, from state on
//! disk alone: no runtime's API, no credential, no environment.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    cgroup::{Place, Runtime},
    conmon::Conmon,
    docker, kubelet,
    oci::Spec,
    store::Store,
    text::{Bounded, bounded},
};
use crate::{
    finding::{Container, Pod},
    open,
};

/// containerd's folders of bundles, by its namespaces.
const TASKS: &str = "run/containerd/io.containerd.runtime.v2.task";
const NAMESPACES: [&str; 3] = ["k8s.io", "default", "moby"];
/// Stores of root's containers; the first holds CRI-O's bundles too.
const STORES: [&str; 2] = ["run/containers/storage", "var/lib/containers/storage"];
const DRIVERS: [&str; 4] = ["overlay", "vfs", "btrfs", "zfs"];

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

    /// The container that a conmon of this user watches.
    pub fn of_conmon(&self, conmon: &Conmon, owner: u32) -> Container {
        let mut container = Container {
            runtime: Runtime::Podman.as_str().to_owned(),
            id: conmon.id.clone(),
            name: conmon.name.clone(),
            ..Container::default()
        };
        let Some(bundle) = &conmon.bundle else {
            return container;
        };
        let volatile = conmon
            .pidfile
            .as_deref()
            .and_then(|path| path.parent()?.parent()?.parent());
        let volatile = volatile.map(|folder| self.below(folder));
        self.of_bundle(
            &self.below(bundle),
            volatile,
            self.owner(owner),
            &mut container,
        );
        container
    }

    /// The container that a cgroup belongs to.
    pub fn of_place(&self, place: &Place) -> Container {
        let mut container = Container {
            runtime: place.runtime.as_str().to_owned(),
            id: bounded(place.id.as_bytes()),
            ..Container::default()
        };
        if let Some(uid) = &place.pod {
            container.pod = Some(Pod {
                uid: Some(uid.clone()),
                ..Pod::default()
            });
        }
        match place.runtime {
            Runtime::Podman | Runtime::Crio => self.stored(place, &mut container),
            Runtime::Docker => self.docker(place, &mut container),
            Runtime::Containerd => {
                self.containerd(&mut container);
            }
            Runtime::Kubernetes => {
                if self.containerd(&mut container) {
                    Runtime::Containerd
                        .as_str()
                        .clone_into(&mut container.runtime);
                } else {
                    self.stored(place, &mut container);
                }
            }
            Runtime::Nspawn => container.name = place.id.some(),
            Runtime::Systemd => {}
        }
        if container.pod.is_some() {
            kubelet::describe(&self.root, &mut container);
        }
        container
    }

    fn of_bundle(
        &self,
        bundle: &Path,
        volatile: Option<PathBuf>,
        owner: u32,
        container: &mut Container,
    ) {
        let mut labels = BTreeMap::new();
        if let Some(spec) = Spec::read(bundle, owner) {
            spec.describe(container);
            labels = spec.labels();
            if spec.is_crio() {
                Runtime::Crio.as_str().clone_into(&mut container.runtime);
            }
        }
        // …/storage/overlay-containers/ID/userdata
        if let Some(folder) = bundle.parent()
            && folder.file_name().and_then(|name| name.to_str()) == Some(&container.id)
            && let Some(containers) = folder.parent()
        {
            let store = Store {
                containers,
                volatile,
                owner,
            };
            for (key, value) in store.describe(container) {
                labels.entry(key).or_insert(value);
            }
        }
        self.keep(&labels, container);
    }

    /// Podman's and CRI-O's: the store is root's, or that of the cgroup's user.
    fn stored(&self, place: &Place, container: &mut Container) {
        let rootless = place.user.filter(|uid| *uid != 0);
        let (stores, owner) = match rootless {
            Some(uid) => {
                let Some(home) = self.home(uid) else { return };
                (vec![home.join(".local/share/containers/storage")], uid)
            }
            None => (STORES.map(|store| self.root.join(store)).to_vec(), 0),
        };
        for store in stores {
            for driver in DRIVERS {
                let folder = store.join(format!("{driver}-containers"));
                let bundle = folder.join(&container.id).join("userdata");
                if bundle.join("config.json").exists() {
                    return self.of_bundle(&bundle, None, self.owner(owner), container);
                }
            }
        }
    }

    fn containerd(&self, container: &mut Container) -> bool {
        for namespace in NAMESPACES {
            let bundle = self.root.join(TASKS).join(namespace).join(&container.id);
            if let Some(spec) = Spec::read(&bundle, self.owner(0)) {
                spec.describe(container);
                self.keep(&spec.labels(), container);
                return true;
            }
        }
        false
    }

    fn docker(&self, place: &Place, container: &mut Container) {
        self.containerd(container);
        let home = place
            .user
            .filter(|uid| *uid != 0)
            .and_then(|uid| Some((self.home(uid)?.join(".local/share/docker"), uid)));
        let (data, owner) = home.unwrap_or_else(|| (self.root.join("var/lib/docker"), 0));
        let folder = data.join("containers").join(&container.id);
        let labels = docker::describe(&folder, self.owner(owner), container);
        self.keep(&labels, container);
    }

    /// Keeps the labels that the configuration asks for; what is known stays.
    fn keep(&self, labels: &BTreeMap<String, String>, container: &mut Container) {
        for key in &self.labels {
            if let Some(value) = labels.get(key).and_then(Bounded::some) {
                container.labels.entry(key.clone()).or_insert(value);
            }
        }
    }

    fn below(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Whose a file must be that is said to be this user's.
    fn owner(&self, uid: u32) -> u32 {
        self.owner.unwrap_or(uid)
    }

    /// A user's home directory, as `/etc/passwd` has it.
    fn home(&self, uid: u32) -> Option<PathBuf> {
        let passwd = open::text(self.root.join("etc/passwd")).ok()?;
        let mut lines = passwd.lines();
        lines.find_map(|line| {
            let mut fields = line.split(':').skip(2);
            let found = fields.next()?.parse() == Ok(uid);
            let home = fields.nth(2).filter(|_| found)?;
            Some(self.below(Path::new(home)))
        })
    }
}
