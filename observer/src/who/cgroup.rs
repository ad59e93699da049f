//! What a cgroup's path says of the container, or the unit, that it belongs to.

/// Whom a cgroup belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Who runs it.
    pub runtime: Runtime,
    /// Its id, as the runtime gave it; a unit's name.
    pub id: String,
    /// Uid of the pod, where kubelet placed it.
    pub pod: Option<String>,
    /// User whose session holds it, where the path tells one.
    pub user: Option<u32>,
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
    /// kubelet placed it; the path does not tell by whom it is run.
    Kubernetes,
    /// systemd-nspawn; its id is the machine's name.
    Nspawn,
    /// No container: a unit of systemd.
    Systemd,
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
            Self::Systemd => "systemd",
        }
    }
}

/// Prefixes of a container's own cgroup, and of the one that its conmon has.
const SCOPES: [(&str, Runtime); 7] = [
    ("libpod-conmon-", Runtime::Podman),
    ("libpod-", Runtime::Podman),
    ("docker-", Runtime::Docker),
    ("cri-containerd-", Runtime::Containerd),
    ("nerdctl-", Runtime::Containerd),
    ("crio-conmon-", Runtime::Crio),
    ("crio-", Runtime::Crio),
];

/// Whom a path on the default hierarchy belongs to: the innermost container
/// that it names, else its unit.
pub fn place(path: &str) -> Option<Place> {
    let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let pod = segments.iter().rev().find_map(|segment| pod(segment));
    let user = segments.iter().rev().find_map(|segment| user(segment));
    let found = |(runtime, id): (Runtime, String)| Place {
        runtime,
        id,
        pod: pod.clone(),
        user,
    };
    let parents = std::iter::once("").chain(segments.iter().copied());
    let mut parents: Vec<&str> = parents.take(segments.len()).collect();
    for segment in segments.iter().rev() {
        let parent = parents.pop().unwrap_or_default();
        if let Some(container) = container(segment, parent, pod.is_some()) {
            return Some(found(container));
        }
    }
    let mut inner = segments.iter().rev();
    inner
        .find(|segment| {
            let kind = segment.rsplit_once('.').map(|(_, kind)| kind);
            matches!(kind, Some("service" | "scope"))
        })
        .map(|unit| found((Runtime::Systemd, unescaped(unit))))
}

fn container(segment: &str, parent: &str, in_pod: bool) -> Option<(Runtime, String)> {
    let name = segment.strip_suffix(".scope").unwrap_or(segment);
    for (prefix, runtime) in SCOPES {
        if let Some(id) = name.strip_prefix(prefix)
            && is_id(id)
        {
            return Some((runtime, id.to_owned()));
        }
    }
    // Below kubelet without systemd: `kubepods-….slice:cri-containerd:ID`.
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
        return Some((runtime, id.to_owned()));
    }
    if is_id(segment) {
        let runtime = match parent {
            "docker" => Runtime::Docker,
            "k8s.io" | "default" | "moby" => Runtime::Containerd,
            _ if in_pod => Runtime::Kubernetes,
            _ => return None,
        };
        return Some((runtime, segment.to_owned()));
    }
    let machine = segment
        .strip_prefix("systemd-nspawn@")
        .and_then(|name| name.strip_suffix(".service"))
        .or_else(|| segment.strip_prefix("machine-")?.strip_suffix(".scope"))?;
    let machine = unescaped(machine);
    // libvirt's machines are virtual ones.
    (!machine.starts_with("qemu-")).then_some((Runtime::Nspawn, machine))
}

/// Ids of containers are 64 hexadecimal digits everywhere; nothing shorter is
/// taken for one, since anybody may call a cgroup so.
fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
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

/// `user@1000.service`, or `user-1000.slice`.
fn user(segment: &str) -> Option<u32> {
    let number = segment
        .strip_prefix("user@")
        .and_then(|rest| rest.strip_suffix(".service"))
        .or_else(|| segment.strip_prefix("user-")?.strip_suffix(".slice"))?;
    number.parse().ok()
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
mod tests {
    use super::*;

    const ID: &str = "ee6e1a2ff48c0305dece0b25044733ebaf1661e42841bcc1b2714849f5e2c93c";
    const POD: &str = "1d2c3b4a-0001-4002-8003-1234567890ab";

    fn found(path: &str) -> (Runtime, String, Option<String>, Option<u32>) {
        let path = path.replace("ID", ID);
        let place = place(&path).unwrap_or_else(|| panic!("{path} names nobody"));
        (place.runtime, place.id, place.pod, place.user)
    }

    #[test]
    fn every_runtime_is_known_by_its_path() {
        let under = POD.replace('-', "_");
        for (path, runtime) in [
            (
                "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope",
                Runtime::Podman,
            ),
            ("/machine.slice/libpod-ID.scope/container", Runtime::Podman),
            ("/machine.slice/libpod-conmon-ID.scope", Runtime::Podman),
            // As Podman 4.3.1 with cgroupfs lays it out.
            ("/libpod_parent/libpod-ID", Runtime::Podman),
            ("/system.slice/docker-ID.scope", Runtime::Docker),
            ("/docker/ID", Runtime::Docker),
            ("/default/ID", Runtime::Containerd),
            ("/system.slice/nerdctl-ID.scope", Runtime::Containerd),
            (
                "/kubepods.slice/kubepods-pod1.slice/crio-ID.scope",
                Runtime::Crio,
            ),
            ("/docker/ID/docker/ID", Runtime::Docker),
        ] {
            let (told, id, ..) = found(path);
            assert_eq!((told, id.as_str()), (runtime, ID), "{path}");
        }
        for (path, runtime) in [
            (
                format!(
                    "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{under}.slice/cri-containerd-ID.scope"
                ),
                Runtime::Containerd,
            ),
            (
                format!("/kubepods.slice/kubepods-pod{under}.slice/crio-ID.scope/container"),
                Runtime::Crio,
            ),
            (
                format!("/kubepods/besteffort/pod{POD}/ID"),
                Runtime::Kubernetes,
            ),
            (
                format!(
                    "/system.slice/containerd.service/kubepods-burstable-pod{under}.slice:cri-containerd:ID"
                ),
                Runtime::Containerd,
            ),
        ] {
            let (told, id, pod, _) = found(&path);
            assert_eq!((told, id.as_str()), (runtime, ID), "{path}");
            assert_eq!(pod.as_deref(), Some(POD), "{path}");
        }
    }

    #[test]
    fn machines_and_units_have_names() {
        let (runtime, id, ..) = found("/machine.slice/systemd-nspawn@web.service/payload");
        assert_eq!((runtime, id.as_str()), (Runtime::Nspawn, "web"));
        let (runtime, id, ..) = found(r"/machine.slice/machine-my\x2dbox.scope/payload/init.scope");
        assert_eq!((runtime, id.as_str()), (Runtime::Nspawn, "my-box"));
        let (runtime, id, ..) = found("/system.slice/ssh.service");
        assert_eq!((runtime, id.as_str()), (Runtime::Systemd, "ssh.service"));
        let (runtime, _, _, user) = found("/user.slice/user-1000.slice/session-3.scope");
        assert_eq!((runtime, user), (Runtime::Systemd, Some(1000)));
        let (runtime, ..) = found(r"/machine.slice/machine-qemu\x2d1\x2dvm.scope/libvirt");
        assert_eq!(runtime, Runtime::Systemd, "a virtual machine");
    }

    #[test]
    fn what_only_looks_like_a_container_is_none() {
        for path in [
            "/",
            "",
            "/libpod-short.scopes",
            "/kubepods/podx/abc",
            "/a/b",
        ] {
            assert_eq!(place(path), None, "{path}");
        }
        let odd = place("/x/libpod-../../etc.scope").unwrap();
        assert_eq!(odd.runtime, Runtime::Systemd);
        assert_eq!(unescaped(r"a\x"), r"a\x");
        assert_eq!(unescaped(r"a\xzz\x41"), r"a\xzzA");
    }
}
