//! Docker's state of a container: `config.v2.json` and `hostconfig.json`.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;

use super::{
    files,
    oci::{fill, set},
    text::Bounded,
};
use crate::{
    caps::CapSet,
    finding::{Container, Requested},
};

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

/// Adds what Docker's folder of a container tells; gives its labels.
pub fn describe(folder: &Path, owner: u32, container: &mut Container) -> BTreeMap<String, String> {
    let Some(file) = files::json::<File>(&folder.join("config.v2.json"), owner) else {
        return BTreeMap::new();
    };
    fill(
        &mut container.name,
        file.name.trim_start_matches('/').some(),
    );
    fill(&mut container.digest, file.image.some());
    let Some(config) = file.config else {
        return BTreeMap::new();
    };
    fill(&mut container.image, config.image.some());
    if container.requested.is_none() {
        let host = files::json(&folder.join("hostconfig.json"), owner);
        let root = config
            .user
            .is_none_or(|user| matches!(user.split(':').next(), None | Some("" | "0" | "root")));
        container.requested = host.map(|host| requested(&host, root));
    }
    config.labels.unwrap_or_default()
}

/// What Docker makes of the options: the defaults, less what is dropped, and
/// what is added; the effective set is that of root alone.
fn requested(host: &HostConfig, root: bool) -> Requested {
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
    }
}
