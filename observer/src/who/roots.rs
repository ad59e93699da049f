//! Where this host keeps the state of containers: the usual places, and those
//! that its configuration moved them to.

use std::path::{Path, PathBuf};

use serde::{Deserialize, de::DeserializeOwned};

use super::files;
use crate::open::Folder;

/// Stores of root's containers; the first holds CRI-O's bundles too.
const STORES: [&str; 2] = ["/run/containers/storage", "/var/lib/containers/storage"];
/// Folders of containerd's state: its own, that of K3s and RKE2, of `MicroK8s`, Docker's.
const STATES: [&str; 4] = [
    "/run/containerd",
    "/run/k3s/containerd",
    "/var/snap/microk8s/common/run/containerd",
    "/run/docker/containerd/daemon",
];
/// Where root's `storage.conf` may stand, the first that does counts.
const STORAGE: [&str; 2] = [
    "/etc/containers/storage.conf",
    "/usr/share/containers/storage.conf",
];
/// Folders of a Docker with `userns-remap` that are looked at.
const MAX_REMAPPED: usize = 64;

/// Where state of one user's containers lies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roots {
    /// Folders of containers/storage.
    pub stores: Vec<PathBuf>,
    /// Docker's data.
    pub docker: Vec<PathBuf>,
    /// containerd's state.
    pub containerd: Vec<PathBuf>,
}

#[derive(Default, Deserialize)]
struct StorageFile {
    storage: Option<Storage>,
}

#[derive(Default, Deserialize)]
struct Storage {
    graphroot: Option<String>,
    runroot: Option<String>,
    rootless_storage_path: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Daemon {
    data_root: Option<String>,
    /// Its name before 17.05.
    graph: Option<String>,
    exec_root: Option<String>,
}

#[derive(Default, Deserialize)]
struct Containerd {
    state: Option<String>,
}

/// Root's, below a directory (`/` but for tests), whose files are this user's.
pub fn of_root(root: &Path, owner: u32) -> Roots {
    let at = |path: &str| root.join(path.trim_start_matches('/'));
    let storage = storage(root, owner);
    let daemon: Daemon = json(&at("/etc/docker/daemon.json"), owner);
    let containerd: Containerd = toml(files::text(&at("/etc/containerd/config.toml"), owner));
    let moved = [storage.graphroot, storage.runroot];
    let stores = moved.into_iter().flatten();
    let data = daemon.data_root.or(daemon.graph);
    let run = daemon
        .exec_root
        .map(|run| format!("{run}/containerd/daemon"));
    let states = containerd.state.into_iter().chain(run);
    Roots {
        stores: list(root, stores, &STORES),
        docker: remapped(list(root, data, &["/var/lib/docker"])),
        containerd: list(root, states, &STATES),
    }
}

/// A user's, by the host's configuration and his own; `home` is his.
pub fn of_user(root: &Path, home: &Path, uid: u32, host: u32, owner: u32) -> Roots {
    let mut own = Storage::default();
    let mut daemon = Daemon::default();
    let below = root.join(home.strip_prefix("/").unwrap_or(home));
    if let Ok(folder) = Folder::open(&below) {
        let text = files::text_below(&folder, ".config/containers/storage.conf", owner);
        own = toml::<StorageFile>(text).storage.unwrap_or_default();
        let text = files::text_below(&folder, ".config/docker/daemon.json", owner);
        daemon = text
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default();
    }
    let shown = home.to_string_lossy();
    let expand = |path: String| {
        let uid = uid.to_string();
        path.replace("$HOME", &shown).replace("$UID", &uid)
    };
    let moved = [
        own.graphroot,
        storage(root, host).rootless_storage_path,
        own.runroot,
    ];
    let stores = moved.into_iter().flatten().map(expand);
    Roots {
        stores: absolute(stores)
            .chain([home.join(".local/share/containers/storage")])
            .collect(),
        docker: absolute(daemon.data_root.into_iter().map(expand))
            .chain([home.join(".local/share/docker")])
            .collect(),
        containerd: Vec::new(),
    }
}

fn storage(root: &Path, owner: u32) -> Storage {
    let mut files = STORAGE.iter();
    let text = files.find_map(|path| files::text(&root.join(&path[1..]), owner));
    toml::<StorageFile>(text).storage.unwrap_or_default()
}

fn toml<T: DeserializeOwned + Default>(text: Option<String>) -> T {
    text.and_then(|text| toml::from_str(&text).ok())
        .unwrap_or_default()
}

fn json<T: DeserializeOwned + Default>(path: &Path, owner: u32) -> T {
    files::text(path, owner)
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default()
}

fn absolute(paths: impl Iterator<Item = String>) -> impl Iterator<Item = PathBuf> {
    paths
        .filter(|path| path.starts_with('/'))
        .map(PathBuf::from)
}

/// Those that were moved, then the usual ones, each once.
fn list(root: &Path, moved: impl IntoIterator<Item = String>, usual: &[&str]) -> Vec<PathBuf> {
    let usual = usual.iter().map(|path| (*path).to_owned());
    let mut found = Vec::new();
    for path in absolute(moved.into_iter().chain(usual)) {
        let path = root.join(path.strip_prefix("/").unwrap_or(&path));
        if !found.contains(&path) {
            found.push(path);
        }
    }
    found
}

/// Docker's folders, and those within them that `userns-remap` makes: `100000.100000`.
fn remapped(mut folders: Vec<PathBuf>) -> Vec<PathBuf> {
    let numeric = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    for at in 0..folders.len() {
        let Ok(folder) = Folder::open(&folders[at]) else {
            continue;
        };
        let names = folder.names(MAX_REMAPPED).into_iter().filter(|name| {
            name.split_once('.')
                .is_some_and(|(uid, gid)| numeric(uid) && numeric(gid))
        });
        let found: Vec<_> = names.map(|name| folder.path().join(name)).collect();
        folders.extend(found);
    }
    folders
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn own() -> u32 {
        rustix::process::getuid().as_raw()
    }

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn what_the_configuration_moved_is_looked_at_first() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        write(
            root,
            "etc/containers/storage.conf",
            "[storage]\ndriver = \"overlay\"\ngraphroot = \"/data/containers\"\nrootless_storage_path = \"/scratch/$UID/storage\"\n",
        );
        write(
            root,
            "etc/docker/daemon.json",
            "{\"data-root\": \"/data/docker\"}",
        );
        write(
            root,
            "etc/containerd/config.toml",
            "version = 2\nstate = \"/data/containerd\"\n",
        );
        fs::create_dir_all(root.join("data/docker/100000.100000")).unwrap();
        fs::create_dir_all(root.join("data/docker/overlay2")).unwrap();
        let roots = of_root(root, own());
        assert_eq!(roots.stores[0], root.join("data/containers"));
        assert_eq!(roots.stores[2], root.join("var/lib/containers/storage"));
        assert_eq!(roots.docker[0], root.join("data/docker"));
        assert_eq!(roots.docker[2], root.join("data/docker/100000.100000"));
        assert_eq!(roots.docker.len(), 3);
        assert_eq!(roots.containerd[0], root.join("data/containerd"));
        write(
            root,
            "home/u/.config/containers/storage.conf",
            "[storage]\ngraphroot = \"$HOME/mine\"\n",
        );
        let roots = of_user(root, Path::new("/home/u"), 1000, own(), own());
        let stores: Vec<_> = roots
            .stores
            .iter()
            .map(|path| path.to_str().unwrap())
            .collect();
        assert_eq!(
            stores,
            [
                "/home/u/mine",
                "/scratch/1000/storage",
                "/home/u/.local/share/containers/storage"
            ]
        );
        assert_eq!(
            of_root(root, own() + 1),
            of_root(Path::new("/none"), 0).below(root)
        );
    }

    impl Roots {
        /// As if nothing was moved, below another root.
        fn below(self, root: &Path) -> Self {
            let move_to = |paths: Vec<PathBuf>| {
                let paths = paths.into_iter();
                paths
                    .map(|path| root.join(path.strip_prefix("/none").unwrap()))
                    .collect()
            };
            Self {
                stores: move_to(self.stores),
                docker: move_to(self.docker),
                containerd: move_to(self.containerd),
            }
        }
    }
}
