//! Containers that a runtime runs without an engine (`runc run`, `crun run`): its
//! state says which cgroup they have, and which bundle.
//!
//! People choose the ids: no cgroup's name shows that it is a container.
//! Each name on the way to a cgroup is tried as an id, and counts where that one's
//! state has the same cgroup.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{
    State,
    cgroup::{self, Delegation},
    files,
    oci::Spec,
    shim::is_name,
    text::bounded,
};
use crate::{
    finding::{Container, fill_from},
    open::Folder,
};

/// What fields that come from here are said to come from.
const FROM: &str = "state";
/// Runtimes, and the file of a container below their folder.
const RUNTIMES: [(&str, &str); 2] = [("runc", "state.json"), ("crun", "status")];
/// Where the default hierarchy is in the paths that runc writes.
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup/unified/", "/sys/fs/cgroup/"];

/// runc's `state.json` (libcontainer, 1.1 to 1.3).
#[derive(Deserialize)]
struct Runc {
    cgroup_paths: BTreeMap<String, String>,
    #[serde(default)]
    config: Config,
}

#[derive(Default, Deserialize)]
struct Config {
    /// `bundle=PATH` among them.
    labels: Option<Vec<String>>,
    capabilities: Option<Sets>,
    #[serde(default)]
    no_new_privileges: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Sets {
    bounding: Option<Vec<String>>,
    effective: Option<Vec<String>>,
    ambient: Option<Vec<String>>,
}

/// crun's `status` (1.8 to 1.20); a copy of the bundle's configuration lies beside it.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Crun {
    cgroup_path: String,
    bundle: Option<PathBuf>,
}

/// What a runtime's state says of a container.
struct RuntimeState {
    cgroup: String,
    bundle: Option<PathBuf>,
    /// What it says itself of the capabilities.
    spec: Option<Spec>,
}

impl State {
    /// The container that a cgroup, or one above it, is of, as a runtime's state
    /// says; and how many folders from the top its own is.
    pub fn of_runtime(&self, path: &str, owned: Option<Delegation>) -> Option<(Container, usize)> {
        let segments: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
        let delegation = cgroup::delegation(&segments, owned);
        for depth in (1..=segments.len().min(cgroup::MAX_SEGMENTS)).rev() {
            let uid = delegation.map_or(0, |it| if depth > it.depth { it.uid } else { 0 });
            let own = format!("/{}", segments[..depth].join("/"));
            for (runtime, file) in RUNTIMES {
                let id = id(segments[depth - 1], runtime);
                if let Some(container) = self.of_id(runtime, file, id, &own, uid) {
                    return Some((container, depth));
                }
            }
        }
        None
    }

    fn of_id(&self, runtime: &str, file: &str, id: &str, own: &str, uid: u32) -> Option<Container> {
        if !is_name(id) {
            return None;
        }
        let run = match uid {
            0 => PathBuf::from(format!("/run/{runtime}")),
            uid => PathBuf::from(format!("/run/user/{uid}/{runtime}")),
        };
        let folder = self.folder(&run, uid)?.below(id).ok()?;
        let owner = self.owner(uid);
        let state = match runtime {
            "runc" => runc(&folder, file, owner)?,
            _ => crun(&folder, file, owner)?,
        };
        if state.cgroup != own {
            return None;
        }
        let mut container = Container {
            runtime: runtime.to_owned(),
            id: bounded(id.as_bytes()),
            ..Container::default()
        };
        let place = "cgroup".to_owned();
        container.origin.insert("id".to_owned(), place);
        container.vouch(uid);
        let Container { name, origin, .. } = &mut container;
        // An engine's id is no name; the engine's own state has that.
        let own = (!cgroup::is_id(id)).then(|| bounded(id.as_bytes()));
        fill_from(name, own, origin, "name", FROM);
        container.build = state
            .bundle
            .as_deref()
            .and_then(|bundle| builder(id, bundle))
            .map(str::to_owned);
        let bundle = state.bundle.and_then(|bundle| self.folder(&bundle, uid));
        let spec = bundle.and_then(|bundle| Spec::read(&bundle, owner));
        if let Some(spec) = spec.or(state.spec) {
            spec.describe(&mut container);
            if let Some(step) = spec.working_container(&container) {
                self.base(step, uid, &mut container);
            }
            self.keep(&spec.labels(), &mut container);
        }
        Some(container)
    }
}

/// What builds an image with a container: `buildah` names those of its steps so (1.28
/// to 1.39, `run_linux.go`), and `BuildKit`'s lie below its executor's folder (Docker 20.10
/// to 28, `builder-next`).
fn builder(id: &str, bundle: &Path) -> Option<&'static str> {
    if id.starts_with("buildah-buildah") {
        return Some("buildah");
    }
    let executor = bundle.parent()?;
    let of_buildkit = executor.parent()?.file_name()? == "buildkit";
    (of_buildkit && executor.file_name()? == "executor").then_some("buildkit")
}

/// The id of a container by its folder: systemd's scopes are `runc-ID.scope`, and
/// of an engine's container `libpod-ID.scope`.
fn id<'a>(segment: &'a str, runtime: &str) -> &'a str {
    let name = segment.strip_suffix(".scope").unwrap_or(segment);
    match name.rsplit_once('-') {
        Some((_, id)) if cgroup::is_id(id) => id,
        _ if name.len() == segment.len() => segment,
        _ => {
            let id = name.strip_prefix(runtime);
            id.and_then(|id| id.strip_prefix('-')).unwrap_or(segment)
        }
    }
}

fn runc(folder: &Folder, file: &str, owner: u32) -> Option<RuntimeState> {
    let Runc {
        cgroup_paths,
        config,
    } = files::json(folder, file, owner)?;
    let path = cgroup_paths.get("")?;
    let below = MOUNTS.iter().find_map(|mount| path.strip_prefix(mount))?;
    let labels = config.labels.unwrap_or_default();
    let bundle = labels
        .iter()
        .find_map(|label| label.strip_prefix("bundle="));
    let spec = config.capabilities.map(|sets| {
        let Sets {
            bounding,
            effective,
            ambient,
        } = sets;
        let [bounding, effective, ambient] =
            [bounding, effective, ambient].map(Option::unwrap_or_default);
        Spec::of_sets(bounding, effective, ambient, config.no_new_privileges)
    });
    Some(RuntimeState {
        cgroup: format!("/{below}"),
        bundle: bundle.map(PathBuf::from),
        spec,
    })
}

fn crun(folder: &Folder, file: &str, owner: u32) -> Option<RuntimeState> {
    let Crun {
        cgroup_path,
        bundle,
    } = files::json(folder, file, owner)?;
    Some(RuntimeState {
        cgroup: format!("/{}", cgroup_path.trim_matches('/')),
        bundle,
        spec: Spec::read(folder, owner),
    })
}
