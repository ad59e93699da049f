//! Docker's state of a container: `config.v2.json` and `hostconfig.json`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{files, oci::set, text::Bounded};
use crate::{
    caps::CapSet,
    finding::{Container, Requested, tell},
    open::Folder,
};

/// What fields that come from here are said to come from.
const FROM: &str = "docker";

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
}

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

/// Adds what Docker's folder of a container tells; gives its labels, `None` where
/// there is no such container.
pub fn describe(
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
        origin,
        ..
    } = container;
    let told = file.name.trim_start_matches('/').some();
    tell(name, told, origin, "name", FROM);
    tell(digest, file.image.some(), origin, "digest", FROM);
    let Some(config) = config else {
        return Some(BTreeMap::new());
    };
    tell(image, config.image.some(), origin, "image", FROM);
    if known.is_none() {
        let host: Option<HostConfig> = files::json(folder, "hostconfig.json", owner);
        let user = config.user.unwrap_or_default();
        let told = host.map(|host| requested(&host, &user));
        tell(known, told, origin, "requested", FROM);
    }
    Some(config.labels.unwrap_or_default())
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
