//! What kubelet's log directories show of a pod, as Kubernetes documents them:
//! `/var/log/pods/NAMESPACE_POD_UID/CONTAINER/N.log`, and links to them,
//! `/var/log/containers/POD_NAMESPACE_CONTAINER-ID.log`.

use std::path::Path;

use super::{oci::fill, text::Bounded};
use crate::{
    finding::{Container, Pod, fill_from},
    open::Folder,
};

/// What fields that come from here are said to come from.
const FROM: &str = "kubelet";
/// Entries that are looked at; a node has 110 pods.
const MAX_ENTRIES: usize = 4_096;

/// Adds what the directories' names say; what is known already stays.
pub fn describe(root: &Path, container: &mut Container) {
    let uid = container.pod.as_ref().and_then(|pod| pod.uid.clone());
    let pods = uid.and_then(|uid| {
        let suffix = format!("_{uid}");
        let name = find(&root.join("var/log/pods"), |name| name.ends_with(&suffix))?;
        let (namespace, pod) = name.strip_suffix(&suffix)?.split_once('_')?;
        Some((namespace.some(), pod.some()))
    });
    let suffix = format!("-{}.log", container.id);
    let logs = find(&root.join("var/log/containers"), |name| {
        name.ends_with(&suffix)
    });
    let log = logs.as_deref().and_then(|name| {
        let mut parts = name.strip_suffix(&suffix)?.splitn(3, '_');
        let (pod, namespace) = (parts.next()?, parts.next()?);
        Some((namespace.some(), pod.some(), parts.next()?.some()))
    });
    if let Some((_, _, container_name)) = &log {
        let Container { name, origin, .. } = container;
        fill_from(name, container_name.clone(), origin, "name", FROM);
    }
    let known = pods.or(log.map(|(namespace, pod, _)| (namespace, pod)));
    if let Some((namespace, name)) = known {
        let from = FROM.to_owned();
        container.origin.entry("pod".to_owned()).or_insert(from);
        let pod = container.pod.get_or_insert_with(Pod::default);
        fill(&mut pod.namespace, namespace);
        fill(&mut pod.name, name);
    }
}

fn find(folder: &Path, fits: impl Fn(&str) -> bool) -> Option<String> {
    let names = Folder::open(folder).ok()?.names(MAX_ENTRIES);
    names.into_iter().find(|name| fits(name))
}
