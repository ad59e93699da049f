//! What a cgroup's path says of the container, or the unit, that it belongs to.
//!
//! Whoever may make cgroups in a folder chooses the names below it. Root's part
//! of a path ends at the first folder that was delegated to a user: the
//! outermost `user@UID.service`, or the first folder that another user owns.
//! Everything below is that user's claim.

/// Whom a cgroup belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Who runs it.
    pub runtime: Runtime,
    /// Its id, as the runtime gave it; a unit's name.
    pub id: String,
    /// Uid of the pod, where kubelet placed it.
    pub pod: Option<String>,
    /// User whose session holds it, where the path names one.
    pub user: Option<u32>,
    /// Whose word the name is: 0 for root's part of the path.
    pub owner: u32,
    /// containerd's namespace, where the path is `/NAMESPACE/ID`.
    pub namespace: Option<String>,
    /// The unit that a container's cgroup lies in.
    pub unit: Option<String>,
    /// Folders from the top, its own the last of them.
    pub depth: usize,
    /// Whether it lies in another container: the host has no state of it.
    pub is_nested: bool,
    /// Whether the name alone says that this is a container; else state on disk
    /// has to confirm it.
    pub is_sure: bool,
}

/// Where a part of a path begins that is not root's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delegation {
    /// Folders from the top, the delegated one the last of them.
    pub depth: usize,
    /// Who owns it.
    pub uid: u32,
}

/// Who runs a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// Podman, rootful or rootless.
    Podman,
    /// Docker, by itself or below kubelet.
    Docker,
    /// containerd.
    Containerd,
    /// CRI-O.
    Crio,
    /// kubelet placed it; the path does not say who runs it.
    Kubernetes,
    /// systemd-nspawn; its id is the machine's name.
    Nspawn,
    /// LXC or Incus; its id is the container's name.
    Lxc,
    /// A step of a build by buildah, `podman build` among it.
    Buildah,
    /// No container: a unit of systemd.
    Systemd,
    /// An id alone, which state on disk has to explain.
    Unknown,
}

impl Runtime {
    /// The word for it in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Podman => "podman",
            Self::Docker => "docker",
            Self::Containerd => "containerd",
            Self::Crio => "cri-o",
            Self::Kubernetes => "kubernetes",
            Self::Nspawn => "systemd-nspawn",
            Self::Lxc => "lxc",
            Self::Buildah => "buildah",
            Self::Systemd => "systemd",
            Self::Unknown => "unknown",
        }
    }
}

/// Prefixes of a container's own cgroup, and of the one that its conmon has.
const SCOPES: [(&str, Runtime); 8] = [
    ("libpod-conmon-", Runtime::Podman),
    ("libpod-payload-", Runtime::Podman),
    ("libpod-", Runtime::Podman),
    ("docker-", Runtime::Docker),
    ("cri-containerd-", Runtime::Containerd),
    ("nerdctl-", Runtime::Containerd),
    ("crio-conmon-", Runtime::Crio),
    ("crio-", Runtime::Crio),
];
/// Deeper paths, and longer ones, are nobody's.
pub const MAX_SEGMENTS: usize = 64;

/// Whom a path on the default hierarchy belongs to, the likeliest first: the
/// innermost container that it names, then those around it, then its unit.
/// `owned` is the first folder that another user than root owns, where the
/// hierarchy shows it.
pub fn places(path: &str, owned: Option<Delegation>) -> Vec<Place> {
    let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if segments.len() > MAX_SEGMENTS {
        return Vec::new();
    }
    let delegation = delegation(&segments, owned);
    let (depth, uid) = delegation.map_or((segments.len(), 0), |it| (it.depth, it.uid));
    let roots = &segments[..depth.min(segments.len())];
    let user = match delegation {
        Some(found) => Some(found.uid),
        None => roots.iter().find_map(|segment| user(segment)),
    };
    let mut found: Vec<Place> = Vec::new();
    let mut pod_above = None;
    for (at, segment) in segments.iter().enumerate() {
        let owner = if at < depth { 0 } else { uid };
        // kubelet places pods in root's part, and not within containers.
        if owner == 0 && !found.iter().any(|place| place.is_sure) {
            pod_above = pod(segment).or(pod_above);
        }
        let in_pod = owner == 0 && pod_above.is_some();
        let Some((runtime, id, is_sure)) = container(&segments[..=at], in_pod) else {
            continue;
        };
        let outer = found.iter().find(|place| place.is_sure);
        let is_nested = outer.is_some_and(|place| place.id != id);
        let namespace =
            (runtime == Runtime::Containerd && at == 1 && !is_sure).then(|| segments[0].to_owned());
        found.push(Place {
            runtime,
            id,
            pod: pod_above.clone().filter(|_| owner == 0 && !is_nested),
            user,
            owner,
            namespace,
            unit: unit(&segments[..at]).map(str::to_owned),
            depth: at + 1,
            is_nested,
            is_sure,
        });
    }
    found.reverse();
    if let Some(at) = segments.iter().rposition(|segment| is_unit(segment)) {
        found.push(Place {
            runtime: Runtime::Systemd,
            // As systemd writes it: an escape is part of the name.
            id: segments[at].to_owned(),
            pod: None,
            user,
            owner: if at < depth { 0 } else { uid },
            namespace: None,
            unit: None,
            depth: at + 1,
            is_nested: false,
            is_sure: true,
        });
    }
    found
}

/// Where the part of a path begins that is not root's.
pub fn delegation(segments: &[&str], owned: Option<Delegation>) -> Option<Delegation> {
    let delegation = [by_name(segments), owned.filter(|found| found.uid != 0)];
    delegation.into_iter().flatten().min_by_key(|it| it.depth)
}

/// The likeliest place by its name alone.
pub fn place(path: &str) -> Option<Place> {
    places(path, None).into_iter().find(|place| place.is_sure)
}

/// The outermost `user@UID.service`: below it that user makes the names.
fn by_name(segments: &[&str]) -> Option<Delegation> {
    let at = segments.iter().position(|name| manager(name).is_some())?;
    let uid = manager(segments[at])?;
    (uid != 0).then_some(Delegation { depth: at + 1, uid })
}

/// `user@1000.service`
fn manager(segment: &str) -> Option<u32> {
    let uid = segment.strip_prefix("user@")?.strip_suffix(".service")?;
    uid.parse().ok()
}

/// `user@1000.service`, or `user-1000.slice`.
fn user(segment: &str) -> Option<u32> {
    manager(segment).or_else(|| {
        let uid = segment.strip_prefix("user-")?.strip_suffix(".slice")?;
        uid.parse().ok()
    })
}

fn is_unit(segment: &str) -> bool {
    let kind = segment.rsplit_once('.').map(|(_, kind)| kind);
    matches!(kind, Some("service" | "scope"))
}

/// The service that a container's cgroup lies in: a quadlet's, or a unit that
/// starts it. A user's manager is none.
fn unit<'a>(above: &[&'a str]) -> Option<&'a str> {
    let mut names = above.iter().rev();
    let name = names.find(|name| matches!(name.rsplit_once('.'), Some((_, "service"))))?;
    manager(name).is_none().then_some(*name)
}

/// The container that the last segment names, and whether it surely is one.
fn container(segments: &[&str], in_pod: bool) -> Option<(Runtime, String, bool)> {
    let (segment, above) = segments.split_last()?;
    let parent = above.last().copied().unwrap_or_default();
    let name = segment.strip_suffix(".scope").unwrap_or(segment);
    for (prefix, runtime) in SCOPES {
        if let Some(id) = name.strip_prefix(prefix)
            && is_id(id)
        {
            return Some((runtime, id.to_owned(), true));
        }
    }
    // Below kubelet without systemd: `kubepods-….slice:cri-containerd:ID`; and
    // `SLICE:PREFIX:NAME`, as it is given to `ctr run --cgroup`.
    if let Some((rest, id)) = segment.rsplit_once(':')
        && is_id(id)
    {
        let by = rest.rsplit(':').next().unwrap_or_default();
        let runtime = match by {
            "cri-containerd" | "nerdctl" => Runtime::Containerd,
            "crio" => Runtime::Crio,
            "docker" => Runtime::Docker,
            "libpod" => Runtime::Podman,
            _ => return None,
        };
        return Some((runtime, id.to_owned(), true));
    }
    if is_id(segment) {
        let runtime = match parent {
            "docker" => Runtime::Docker,
            "k8s.io" | "default" | "moby" => Runtime::Containerd,
            _ if in_pod => Runtime::Kubernetes,
            // With `--cgroup-parent` anything may stand above.
            _ => Runtime::Unknown,
        };
        return Some((runtime, (*segment).to_owned(), runtime != Runtime::Unknown));
    }
    if let Some(id) = step(name) {
        return Some((Runtime::Buildah, id.to_owned(), true));
    }
    if let Some(name) = lxc(segment, parent) {
        return Some((Runtime::Lxc, name.to_owned(), true));
    }
    if let Some(name) = machine(segment) {
        return Some((Runtime::Nspawn, name, true));
    }
    // `ctr -n NAMESPACE run … ID`: people choose both.
    let chosen = above.len() == 1 && is_chosen(parent) && is_chosen(segment);
    chosen.then(|| (Runtime::Containerd, (*segment).to_owned(), false))
}

/// `lxc.payload.NAME`, `lxc.payload/NAME`, `lxc/NAME`; the monitor's own alike.
fn lxc<'a>(segment: &'a str, parent: &str) -> Option<&'a str> {
    let name = segment
        .strip_prefix("lxc.payload.")
        .or_else(|| segment.strip_prefix("lxc.monitor."))
        .or_else(|| matches!(parent, "lxc" | "lxc.payload" | "lxc.monitor").then_some(segment))?;
    (!name.is_empty()).then_some(name)
}

/// The container of a step, as buildah names it (1.28 to 1.39, `run_linux.go`); a scope
/// of systemd's has the runtime's name before it.
fn step(name: &str) -> Option<&str> {
    let runtimes = ["crun-", "runc-"];
    let id = runtimes
        .iter()
        .find_map(|runtime| name.strip_prefix(runtime));
    let id = id.unwrap_or(name);
    let number = id.strip_prefix("buildah-buildah")?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(id)
}

fn machine(segment: &str) -> Option<String> {
    let machine = segment
        .strip_prefix("systemd-nspawn@")
        .and_then(|name| name.strip_suffix(".service"))
        .or_else(|| segment.strip_prefix("machine-")?.strip_suffix(".scope"))?;
    let machine = unescaped(machine);
    // libvirt's machines are virtual ones.
    (!machine.starts_with("qemu-") && !machine.is_empty()).then_some(machine)
}

/// Ids of containers that a runtime chose are 64 hexadecimal digits everywhere.
pub fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What containerd takes for an id (`pkg/identifiers`, 1.6 to 2.1).
fn is_chosen(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let mut edges = text.bytes().take(1).chain(text.bytes().last());
    text.len() <= 76
        && text.bytes().all(plain)
        && edges.all(|byte| byte.is_ascii_alphanumeric())
        && !text.is_empty()
        && !is_unit(text)
        && !matches!(text.rsplit_once('.'), Some((_, "slice")))
}

/// `kubepods-burstable-podUID.slice` (with underscores), or `podUID`.
fn pod(segment: &str) -> Option<String> {
    let slice = segment.split(':').next().unwrap_or(segment);
    let uid = match slice.strip_suffix(".slice") {
        Some(slice) => slice
            .strip_prefix("kubepods")?
            .rsplit_once("-pod")?
            .1
            .replace('_', "-"),
        None => slice.strip_prefix("pod")?.to_owned(),
    };
    let plain = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    // Of a static pod it is a hash without dashes.
    (uid.len() >= 32 && uid.len() <= 36 && uid.bytes().all(plain)).then_some(uid)
}

/// A unit's name without systemd's escapes (`\x2d` is a dash).
fn unescaped(name: &str) -> String {
    let mut text = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let [byte, tail @ ..] = rest {
        if let [b'\\', b'x', high, low, tail @ ..] = rest
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            text.push(high << 4 | low);
            rest = tail;
        } else {
            text.push(*byte);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn digit(byte: u8) -> Option<u8> {
    let digit = char::from(byte).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests;
