//! Docker's state of a container: `config.v2.json` and `hostconfig.json`; and of its
//! images: which tag an id has.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{files, oci::set, text::Bounded};
use crate::{
    caps::CapSet,
    finding::{Container, Requested, fill_from},
    open::Folder,
};

/// What fields that come from here are said to come from.
const FROM: &str = "docker";
/// An image's id begins so.
const SHA: &str = "sha256:";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct File {
    #[serde(default)]
    name: String,
    /// Digest of the image's configuration.
    #[serde(default)]
    image: String,
    config: Option<Config>,
}

/// What is read of it; `Env` is passed over.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    #[serde(default)]
    image: String,
    labels: Option<BTreeMap<String, String>>,
    user: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig {
    cap_add: Option<Vec<String>>,
    cap_drop: Option<Vec<String>>,
    #[serde(default)]
    privileged: bool,
    log_config: Option<LogConfig>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LogConfig {
    #[serde(rename = "Type", default)]
    kind: String,
}

/// `image/DRIVER/repositories.json`: ids of images by repository and reference.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tags {
    repositories: BTreeMap<String, BTreeMap<String, String>>,
}

/// Drivers of Docker's storage, whose images are apart.
const DRIVERS: [&str; 6] = [
    "overlay2",
    "vfs",
    "btrfs",
    "zfs",
    "fuse-overlayfs",
    "overlay",
];
/// Images that are walked over from a step of a build to its base.
const MAX_STEPS: usize = 128;

/// What Docker gives a container that asks for nothing (`oci/caps/defaults.go`, moby 20 to 28).
const DEFAULTS: [&str; 14] = [
    "chown",
    "dac_override",
    "fsetid",
    "fowner",
    "mknod",
    "net_raw",
    "setgid",
    "setuid",
    "setfcap",
    "setpcap",
    "net_bind_service",
    "sys_chroot",
    "kill",
    "audit_write",
];

/// Adds what Docker's folder of a container says, which lies below `root`; gives its
/// labels, `None` where there is no such container.
pub fn describe(
    root: &Folder,
    folder: &Folder,
    owner: u32,
    container: &mut Container,
) -> Option<BTreeMap<String, String>> {
    let file: File = files::json(folder, "config.v2.json", owner)?;
    let config = file.config;
    let Container {
        name,
        image,
        digest,
        requested: known,
        build,
        origin,
        ..
    } = container;
    let found = file.name.trim_start_matches('/').some();
    fill_from(name, found, origin, "name", FROM);
    fill_from(digest, file.image.some(), origin, "digest", FROM);
    let Some(config) = config else {
        return Some(BTreeMap::new());
    };
    let is_id = config.image.starts_with(SHA);
    let host = (is_id || known.is_none())
        .then(|| files::json::<HostConfig>(folder, "hostconfig.json", owner))
        .flatten();
    // The builder before BuildKit runs a step in a container of the image so far, and
    // keeps no log of it (`builder/dockerfile`, moby 17 to 28).
    let is_quiet = |host: &HostConfig| {
        let log = host.log_config.as_ref();
        log.is_some_and(|log| log.kind == "none")
    };
    if is_id && host.as_ref().is_some_and(is_quiet) {
        *build = Some("docker".to_owned());
    }
    let tag = is_id.then(|| tag(root, owner, &config.image, build.is_some()));
    let found = tag.flatten().or_else(|| config.image.some());
    fill_from(image, found, origin, "image", FROM);
    if known.is_none() {
        let user = config.user.unwrap_or_default();
        let found = host.map(|host| requested(&host, &user));
        fill_from(known, found, origin, "requested", FROM);
    }
    Some(config.labels.unwrap_or_default())
}

/// A tag that an image's id has; of a step of a build that of the nearest image that
/// it was built from.
fn tag(root: &Folder, owner: u32, id: &str, is_step: bool) -> Option<String> {
    let mut drivers = DRIVERS.iter();
    drivers.find_map(|driver| {
        let tags = format!("image/{driver}/repositories.json");
        let tags: Tags = files::json(root, &tags, owner)?;
        let mut id = id.to_owned();
        for _ in 0..MAX_STEPS {
            let mut references = tags.repositories.values().flatten();
            let tagged = |(name, of): &(&String, &String)| **of == id && !name.contains('@');
            if let Some((name, _)) = references.find(tagged) {
                return name.some();
            }
            let digits = id.strip_prefix(SHA).filter(|_| is_step)?;
            let digits = super::cgroup::is_id(digits).then_some(digits)?;
            let parent = format!("image/{driver}/imagedb/metadata/sha256/{digits}/parent");
            id = files::text_below(root, &parent, owner)?;
        }
        None
    })
}

/// What Docker makes of the options: the defaults, less what is dropped, and
/// what is added; the effective set is that of root alone.
fn requested(host: &HostConfig, user: &str) -> Requested {
    let name = user.split(':').next().unwrap_or_default();
    let root = matches!(name, "" | "0" | "root");
    let named = |names: &Option<Vec<String>>| names.clone().unwrap_or_default();
    let all = |names: &[String]| names.iter().any(|name| name.eq_ignore_ascii_case("all"));
    let every = CapSet((1 << 41) - 1);
    let (add, drop) = (named(&host.cap_add), named(&host.cap_drop));
    let base = match () {
        () if host.privileged || all(&add) => every,
        () if all(&drop) => CapSet::EMPTY,
        () => set(&DEFAULTS.map(str::to_owned)),
    };
    let kept = if host.privileged {
        base.0
    } else {
        base.0 & !set(&drop).0 | set(&add).0
    };
    let bounding = CapSet(kept);
    Requested {
        bounding: bounding.to_string(),
        effective: if root { bounding } else { CapSet::EMPTY }.to_string(),
        // Docker sets none (moby 20 to 28).
        ambient: Some(CapSet::EMPTY.to_string()),
        user: if root { Some(0) } else { name.parse().ok() },
        no_new_privs: None,
    }
}
