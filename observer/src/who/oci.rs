//! A bundle's `config.json` (OCI runtime specification): the capabilities that
//! were requested, and the annotations by which runtimes name a container.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{files, text::Bounded};
use crate::{
    caps::{self, CapSet},
    finding::{Container, Pod, Requested, fill_from},
    open::Folder,
};

/// What fields that come from here are said to come from.
pub const FROM: &str = "config.json";

/// What is read of a configuration; the rest, the environment among it, is
/// passed over and not kept.
#[derive(Debug, Default, Deserialize)]
pub struct Spec {
    process: Option<Process>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    hostname: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Process {
    user: Option<User>,
    capabilities: Option<Capabilities>,
    #[serde(default)]
    no_new_privileges: bool,
}

#[derive(Debug, Default, Deserialize)]
struct User {
    #[serde(default)]
    uid: u32,
}

#[derive(Debug, Deserialize)]
struct Capabilities {
    #[serde(default)]
    bounding: Vec<String>,
    #[serde(default)]
    effective: Vec<String>,
    #[serde(default)]
    ambient: Vec<String>,
}

/// Annotations that name the container, its image and its pod: CRI-O's,
/// containerd's, then those that kubelet hands on as labels.
const NAME: [&str; 3] = [
    "io.kubernetes.cri-o.ContainerName",
    "io.kubernetes.cri.container-name",
    "io.kubernetes.container.name",
];
const IMAGE: [&str; 3] = [
    "io.kubernetes.cri-o.ImageName",
    "io.kubernetes.cri.image-name",
    "io.kubernetes.cri-o.Image",
];
const DIGEST: [&str; 1] = ["io.kubernetes.cri-o.ImageRef"];
const POD_NAME: [&str; 3] = [
    "io.kubernetes.pod.name",
    "io.kubernetes.cri.sandbox-name",
    "io.kubernetes.cri-o.KubeName",
];
const POD_NAMESPACE: [&str; 3] = [
    "io.kubernetes.pod.namespace",
    "io.kubernetes.cri.sandbox-namespace",
    "io.kubernetes.cri-o.Namespace",
];
const POD_UID: [&str; 2] = ["io.kubernetes.pod.uid", "io.kubernetes.cri.sandbox-uid"];
/// Labels as one JSON object.
const LABELS: &str = "io.kubernetes.cri-o.Labels";

impl Spec {
    /// Reads the configuration in a bundle.
    pub fn read(bundle: &Folder, owner: u32) -> Option<Self> {
        files::json(bundle, FROM, owner)
    }

    /// A configuration of which these sets are known alone.
    pub fn of_sets(
        bounding: Vec<String>,
        effective: Vec<String>,
        ambient: Vec<String>,
        no_new_privileges: bool,
    ) -> Self {
        let capabilities = Capabilities {
            bounding,
            effective,
            ambient,
        };
        Self {
            process: Some(Process {
                user: None,
                capabilities: Some(capabilities),
                no_new_privileges,
            }),
            annotations: BTreeMap::new(),
            hostname: None,
        }
    }

    /// The beginning of the id of buildah's working container, where this is a step in
    /// it: its host name (`run_common.go`, 1.28 to 1.39).
    pub fn working_container(&self, container: &Container) -> Option<&str> {
        let name = self.hostname.as_deref()?;
        let plain = name.len() == 12 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        (plain && container.build.as_deref() == Some("buildah")).then_some(name)
    }

    /// Whether CRI-O made it; Podman writes `libpod`.
    pub fn is_crio(&self) -> bool {
        let manager = self.annotations.get("io.container.manager");
        manager.is_some_and(|manager| manager == "cri-o")
    }

    /// Adds what it says of a container; what is known already stays.
    pub fn describe(&self, container: &mut Container) {
        let first = |keys: &[&str]| {
            keys.iter()
                .find_map(|key| self.annotations.get(*key)?.some())
        };
        let digest = first(&DIGEST).filter(|digest| digest.contains("sha256:"));
        let pod = Pod {
            name: first(&POD_NAME),
            namespace: first(&POD_NAMESPACE),
            uid: first(&POD_UID),
        };
        let process = self.process.as_ref();
        let requested = process.and_then(Process::requested);
        let Container {
            name,
            image,
            digest: known_digest,
            requested: known_requested,
            origin,
            ..
        } = container;
        fill_from(name, first(&NAME), origin, "name", FROM);
        fill_from(image, first(&IMAGE), origin, "image", FROM);
        fill_from(known_digest, digest, origin, "digest", FROM);
        fill_from(known_requested, requested, origin, "requested", FROM);
        if pod != Pod::default() {
            container.origin.insert("pod".to_owned(), FROM.to_owned());
            let known = container.pod.get_or_insert_with(Pod::default);
            fill(&mut known.name, pod.name);
            fill(&mut known.namespace, pod.namespace);
            fill(&mut known.uid, pod.uid);
        }
    }

    /// The labels and annotations that it holds.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let labels = self.annotations.get(LABELS);
        let labels = labels.and_then(|labels| serde_json::from_str(labels).ok());
        let mut all: BTreeMap<String, String> = labels.unwrap_or_default();
        for (key, value) in &self.annotations {
            all.entry(key.clone()).or_insert_with(|| value.clone());
        }
        all
    }
}

/// Sets what is not known yet.
pub fn fill<T>(known: &mut Option<T>, found: Option<T>) {
    if known.is_none() {
        *known = found;
    }
}

impl Process {
    fn requested(&self) -> Option<Requested> {
        let sets = self.capabilities.as_ref()?;
        Some(Requested {
            bounding: set(&sets.bounding).to_string(),
            effective: set(&sets.effective).to_string(),
            ambient: Some(set(&sets.ambient).to_string()),
            user: Some(self.user.as_ref().map_or(0, |user| user.uid)),
            no_new_privs: Some(self.no_new_privileges),
        })
    }
}

/// The set of some names, written as `CAP_SETPCAP` or `setpcap`; unknown ones are left out.
pub fn set(names: &[String]) -> CapSet {
    let mut set = CapSet::EMPTY;
    for name in names {
        if let Some(number) = caps::number(name.as_bytes()) {
            set.insert(number);
        }
    }
    set
}
