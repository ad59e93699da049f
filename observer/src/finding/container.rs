//! The container, or the unit, that a process belongs to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The container that a process belongs to; a unit where it belongs to none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Container {
    /// `podman`, `docker`, `containerd`, `cri-o`, `kubernetes` (unknown by whom
    /// it is run), `systemd-nspawn`, `lxc`, `runc` and `crun` without an engine;
    /// `systemd` for a plain unit.
    pub runtime: String,
    /// Its id, as the runtime gave it; the unit's name.
    pub id: String,
    /// Its name, where state on disk has it.
    pub name: Option<String>,
    /// Its image reference, where state on disk has it.
    pub image: Option<String>,
    /// Digest of the image, where state on disk has it.
    #[serde(default)]
    pub digest: Option<String>,
    /// Its pod.
    #[serde(default)]
    pub pod: Option<Pod>,
    /// Labels that the configuration asks for.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Capabilities that its configuration asks for.
    #[serde(default)]
    pub requested: Option<Requested>,
    /// The systemd service that it lies in: a quadlet's, or one that starts it.
    #[serde(default)]
    pub unit: Option<String>,
    /// Id of the container around it, where it is a container within one.
    #[serde(default)]
    pub within: Option<String>,
    /// What builds an image with it, where it is a step of a build: `buildah` (also of
    /// `podman build`), `buildkit` or `docker` (of `docker build`, with `BuildKit` or
    /// without). Its `image` is the one that the build began with, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// Where each field comes from: `cgroup`, `conmon`, `shim`, `config.json`,
    /// `storage`, `docker`, `kubelet`, `state`; `not_on_disk` where it can't be known.
    #[serde(default)]
    pub origin: BTreeMap<String, String>,
    /// Whose word it is: `root`, or `uid N` where an ordinary user could have
    /// made it up.
    #[serde(default)]
    pub trust: Option<String>,
}

/// A pod of Kubernetes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pod {
    /// Its namespace.
    pub namespace: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// Its uid.
    pub uid: Option<String>,
}

/// Capabilities that a container's configuration asks for, hexadecimal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Requested {
    /// Bounding set.
    pub bounding: String,
    /// Effective set of its first process.
    pub effective: String,
    /// Ambient set of its first process, where it is known.
    #[serde(default)]
    pub ambient: Option<String>,
    /// User id of its first process within the container, where it is known.
    #[serde(default)]
    pub user: Option<u32>,
    /// Whether exec gives nothing (`no_new_privs`), where it is known.
    #[serde(default)]
    pub no_new_privs: Option<bool>,
}

impl Container {
    /// Whether it is a plain unit and no container.
    pub fn is_unit(&self) -> bool {
        self.runtime == "systemd"
    }

    /// The ordinary user who vouches for it; none where root does.
    pub fn vouched_by(&self) -> Option<u32> {
        self.trust.as_deref()?.strip_prefix("uid ")?.parse().ok()
    }

    /// Says whose word it is: the least trusted one's counts.
    pub fn vouch(&mut self, uid: u32) {
        if self.vouched_by().is_none() {
            self.trust = Some(match uid {
                0 => "root".to_owned(),
                uid => format!("uid {uid}"),
            });
        }
    }

    /// Adds what another source reports of the same container: what is known
    /// stays, and each field keeps where it comes from.
    pub fn join(&mut self, other: &Self) {
        let mut joined = false;
        let Self {
            runtime,
            id: _,
            name,
            image,
            digest,
            pod,
            labels,
            requested,
            unit,
            within,
            build,
            origin,
            trust: _,
        } = self;
        if runtime == "kubernetes" || runtime == "unknown" {
            runtime.clone_from(&other.runtime);
        }
        let from = |field: &str| other.origin.get(field).map_or("", String::as_str);
        joined |= fill_from(name, other.name.clone(), origin, "name", from("name"));
        joined |= fill_from(image, other.image.clone(), origin, "image", from("image"));
        joined |= fill_from(
            digest,
            other.digest.clone(),
            origin,
            "digest",
            from("digest"),
        );
        joined |= fill_from(pod, other.pod.clone(), origin, "pod", from("pod"));
        let asked = other.requested.clone();
        joined |= fill_from(requested, asked, origin, "requested", from("requested"));
        joined |= fill_from(unit, other.unit.clone(), origin, "unit", from("unit"));
        if build.is_none() {
            build.clone_from(&other.build);
        }
        if within.is_none() {
            within.clone_from(&other.within);
        }
        for (key, value) in &other.labels {
            if !labels.contains_key(key) {
                joined = true;
                labels.insert(key.clone(), value.clone());
            }
        }
        if joined {
            self.vouch(other.vouched_by().unwrap_or(0));
        }
    }
}

/// Sets a field that is not known yet, and where it comes from; whether it did.
pub fn fill_from<T>(
    known: &mut Option<T>,
    found: Option<T>,
    origin: &mut BTreeMap<String, String>,
    field: &str,
    from: &str,
) -> bool {
    if known.is_some() || found.is_none() {
        return false;
    }
    *known = found;
    origin.insert(field.to_owned(), from.to_owned());
    true
}
