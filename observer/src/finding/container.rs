//! The container, or the unit, that a process belongs to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The container that a process belongs to; a unit where it belongs to none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Container {
    /// `podman`, `docker`, `containerd`, `cri-o`, `kubernetes` (not told by whom
    /// it is run), `systemd-nspawn`; `systemd` for a plain unit.
    pub runtime: String,
    /// Its id, as the runtime gave it; the unit's name.
    pub id: String,
    /// Its name, where state on disk tells it.
    pub name: Option<String>,
    /// Its image reference, where state on disk tells it.
    pub image: Option<String>,
    /// Digest of the image, where state on disk tells it.
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
}

impl Container {
    /// Whether it is a plain unit and no container.
    pub fn is_unit(&self) -> bool {
        self.runtime == "systemd"
    }
}
