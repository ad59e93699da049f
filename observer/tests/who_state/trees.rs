//! Each engine's state, as recorded in the trees of `tests/state`.

use std::{fs, path::PathBuf};

use observer::{
    finding::Container,
    who::{State, cgroup::place, of_image, parse_conmon},
};

use crate::sets;

const POD: &str = "1d2c3b4a_0001_4002_8003_1234567890ab";

fn state(tree: &str) -> State {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/state");
    let labels = ["openshell.ai/sandbox-name", "absent"].map(str::to_owned);
    let uid = rustix::process::getuid().as_raw();
    State::new(root.join(tree), labels.to_vec()).owned_by(uid)
}

fn found(tree: &str, path: &str) -> Container {
    let place = place(path).unwrap_or_else(|| panic!("{path} names nobody"));
    state(tree).of_place(&place)
}

#[test]
fn docker() {
    let id = "d0c1".repeat(16);
    let container = found("docker", &format!("/system.slice/docker-{id}.scope"));
    assert_eq!(container.runtime, "docker");
    assert_eq!(container.name.as_deref(), Some("sandbox-blue"));
    assert_eq!(of_image(&container).as_deref(), Some("0.0.73"));
    // The defaults less SETPCAP and MKNOD, and SYS_ADMIN.
    assert_eq!(sets(&container), ("0xa02424fb", "0xa02424fb"));
    assert_eq!(container.labels["openshell.ai/sandbox-name"], "blue\nsky");
    assert_eq!(container.labels.len(), 1, "no label but those asked for");
    let shown = format!("{container:?}");
    assert!(!shown.contains("not for you"), "the environment is read");
}

#[test]
fn containerd_below_kubelet() {
    let id = "c0de".repeat(16);
    let systemd = format!(
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{POD}.slice/cri-containerd-{id}.scope"
    );
    let cgroupfs = format!("/kubepods/burstable/pod{}/{id}", POD.replace('_', "-"));
    for path in [systemd, cgroupfs] {
        let container = found("containerd", &path);
        assert_eq!(container.runtime, "containerd", "{path}");
        assert_eq!(container.name.as_deref(), Some("agent"));
        let pod = container.pod.as_ref().unwrap();
        assert_eq!(pod.namespace.as_deref(), Some("openshell"));
        assert_eq!(pod.name.as_deref(), Some("sandbox-7"));
        assert_eq!(pod.uid.as_deref(), Some(&*POD.replace('_', "-")));
        assert_eq!(of_image(&container).as_deref(), Some("0.0.73"));
        assert!(container.lacks(8) && !container.lacks(0));
    }
}

#[test]
fn crio_below_kubelet() {
    let id = "0c10".repeat(16);
    for scope in ["crio", "crio-conmon"] {
        let container = found("crio", &format!("/kubepods.slice/{scope}-{id}.scope"));
        assert_eq!(container.runtime, "cri-o");
        assert_eq!(container.name.as_deref(), Some("k8s_agent"));
        assert_eq!(container.labels["openshell.ai/sandbox-name"], "green");
        assert_eq!(of_image(&container).as_deref(), Some("sha256:cdcdcdcdcdcd"));
        let pod = container.pod.as_ref().unwrap();
        assert_eq!(pod.name.as_deref(), Some("sandbox-8"));
        assert!(!container.lacks(8));
        assert_eq!(sets(&container).1, "0x0");
    }
}

#[test]
fn kubelets_logs_name_what_nothing_else_does() {
    let id = "8888".repeat(16);
    let container = found(
        "kubelet",
        &format!("/kubepods/pod3d2c3b4a-0001-4002-8003-1234567890ab/{id}"),
    );
    assert_eq!(container.runtime, "kubernetes");
    assert_eq!(container.name.as_deref(), Some("agent"));
    let pod = container.pod.unwrap();
    assert_eq!(pod.name.as_deref(), Some("sandbox-9"));
    assert_eq!(pod.namespace.as_deref(), Some("openshell"));
}

#[test]
fn podman_as_recorded() {
    let words = fs::read("tests/state/podman/conmon.argv").unwrap();
    let conmon = parse_conmon(&words).unwrap();
    let from_words = state("podman").of_conmon(&conmon, 1000, &[]).unwrap();
    let scope = format!(
        "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{}.scope",
        conmon.id
    );
    for container in [from_words, found("podman", &scope)] {
        assert_eq!(container.runtime, "podman");
        assert_eq!(container.name.as_deref(), Some("web"));
        assert_eq!(
            container.image.as_deref(),
            Some("registry.example/openshell/supervisor:0.0.73")
        );
        assert_eq!(
            container.digest.as_deref(),
            Some("sha256:418e67731709cc02cabd7c240d715b8110693306c989ad45846ccaa793829c5c")
        );
        assert_eq!(of_image(&container).as_deref(), Some("0.0.73"));
        assert_eq!(sets(&container), ("0x800404fb", "0x800404fb"));
        assert!(container.lacks(8), "SETPCAP was dropped");
        assert_eq!(container.trust.as_deref(), Some("uid 1000"));
        assert_eq!(container.origin["requested"], "config.json");
        assert_eq!(container.origin["image"], "storage");
    }
}

/// `podman run --rm` of 5.4 (Debian 13): the container is in a list of its own.
#[test]
fn podman_s_container_that_does_not_outlive_its_end() {
    let root = tempfile::tempdir().unwrap();
    let tree = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/state/podman/.");
    #[expect(clippy::disallowed_types, reason = "the test's own copy")]
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .args([&tree, root.path()])
        .status();
    assert!(copied.unwrap().success());
    let containers = "home/user/.local/share/containers/storage/vfs-containers";
    let containers = root.path().join(containers);
    let list = containers.join("containers.json");
    fs::rename(list, containers.join("volatile-containers.json")).unwrap();
    let uid = rustix::process::getuid().as_raw();
    let state = State::new(root.path().to_owned(), Vec::new()).owned_by(uid);
    let conmon = parse_conmon(&fs::read("tests/state/podman/conmon.argv").unwrap()).unwrap();
    let container = state.of_conmon(&conmon, 1000, &[]).unwrap();
    assert_eq!(of_image(&container).as_deref(), Some("0.0.73"));
    assert_eq!(container.origin["image"], "storage");
}

#[test]
fn a_unit_is_no_container_and_a_container_without_state_has_its_id() {
    let unit = found("docker", "/system.slice/ssh.service");
    assert!(unit.is_unit());
    let id = "9".repeat(64);
    let gone = found("docker", &format!("/docker/{id}"));
    assert_eq!((gone.id.as_str(), gone.name), (id.as_str(), None));
    assert_eq!(gone.requested, None);
}

#[test]
fn state_of_another_user_is_not_believed() {
    let id = "d0c1".repeat(16);
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/state/docker");
    let foreign = State::new(root, Vec::new()).owned_by(u32::MAX - 1);
    let place = place(&format!("/docker/{id}")).unwrap();
    assert_eq!(foreign.of_place(&place).name, None);
}
