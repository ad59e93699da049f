//! Containers named from state on disk, on the trees of `tests/state`.

use std::{fs, path::PathBuf};

use observer::{
    finding::Container,
    who::{
        State,
        cgroup::{Delegation, place, places},
        of_image, parse_conmon, parse_shim,
    },
};

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

fn sets(container: &Container) -> (&str, &str) {
    let requested = container.requested.as_ref().expect("nothing was requested");
    (&requested.bounding, &requested.effective)
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

/// A tree in which root has containers, and two users have their own; all
/// files belong to this user, so only the places are looked at.
struct Host(tempfile::TempDir);

const ROOTS: &str = "a0";
const USERS: &str = "b0";

impl Host {
    fn new() -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        host.write(
            "etc/passwd",
            "root:x:0:0::/root:/bin/sh\nu:x:1000:1000::/home/u:/bin/sh\nv:x:1003:1003::/home/v:/bin/sh\n",
        );
        let (root, user) = (ROOTS.repeat(32), USERS.repeat(32));
        host.write(&format!("run/containerd/io.containerd.runtime.v2.task/k8s.io/{root}/config.json"), r#"{"annotations":{"io.kubernetes.cri.container-name":"vault","io.kubernetes.cri.sandbox-name":"vault-0","io.kubernetes.cri.sandbox-namespace":"kube-system"}}"#);
        host.write(
            &format!("var/lib/docker/containers/{root}/config.v2.json"),
            r#"{"Name":"/secret","Config":{"Image":"secret:1"}}"#,
        );
        for (home, name, id) in [
            ("var/lib", "roots", &root),
            ("home/v/.local/share", "of-v", &root),
            ("home/u/.local/share", "of-u", &user),
        ] {
            let store = format!("{home}/containers/storage");
            host.write(
                &format!("{store}/overlay-containers/{id}/userdata/config.json"),
                "{}",
            );
            let list = format!(r#"[{{"id":"{id}","names":["{name}"]}}]"#);
            host.write(
                &format!("{store}/overlay-containers/containers.json"),
                &list,
            );
        }
        host
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn state(&self) -> State {
        let uid = rustix::process::getuid().as_raw();
        State::new(self.0.path().to_owned(), Vec::new()).owned_by(uid)
    }

    fn of(&self, path: &str, owned: Option<Delegation>) -> Option<Container> {
        let path = path
            .replace("ROOTS", &ROOTS.repeat(32))
            .replace("USERS", &USERS.repeat(32));
        self.state().of_places(&places(&path, owned))
    }
}

const HOME: &str = "/user.slice/user-1000.slice/user@1000.service/app.slice";

#[test]
fn a_forged_cgroup_names_nothing_but_the_forgers_own() {
    let host = Host::new();
    for forged in [
        "user@0.service/libpod-ROOTS.scope",
        "docker-ROOTS.scope",
        "docker/ROOTS",
        "kubepods.slice/kubepods-pod1d2c3b4a_0001_4002_8003_1234567890ab.slice/cri-containerd-ROOTS.scope",
        "kubepods/pod1d2c3b4a-0001-4002-8003-1234567890ab/ROOTS",
        "k8s.io/ROOTS",
        "crio-ROOTS.scope",
        "user-1003.slice/libpod-ROOTS.scope",
        "user-1003.slice/user@1003.service/libpod-ROOTS.scope",
    ] {
        let found = host.of(&format!("{HOME}/{forged}"), None).unwrap();
        // Of an id alone, and no state: the unit that it lies in.
        assert!(
            found.is_unit() || found.vouched_by() == Some(1000),
            "{forged}"
        );
        assert_eq!(
            (found.name, found.image, found.pod),
            (None, None, None),
            "{forged}"
        );
        assert!(
            found.requested.is_none() && found.labels.is_empty(),
            "{forged}"
        );
    }
    let own = host
        .of(&format!("{HOME}/libpod-USERS.scope"), None)
        .unwrap();
    assert_eq!(own.name.as_deref(), Some("of-u"));
    assert_eq!(own.trust.as_deref(), Some("uid 1000"));
    let roots = host.of("/machine.slice/libpod-ROOTS.scope", None).unwrap();
    assert_eq!(
        (roots.name.as_deref(), roots.trust.as_deref()),
        (Some("roots"), Some("root"))
    );
}

#[test]
fn a_forgery_in_a_container_with_a_delegated_cgroup_does_not_hide_it() {
    let host = Host::new();
    let owned = Some(Delegation {
        depth: 2,
        uid: 100_000,
    });
    let path = format!(
        "/machine.slice/libpod-ROOTS.scope/docker-{}.scope",
        "c0".repeat(32)
    );
    let found = host.of(&path, owned).unwrap();
    assert_eq!(
        (found.name.as_deref(), found.trust.as_deref()),
        (Some("roots"), Some("root"))
    );
    // Root within it may say what it likes of what lies within, and borrows nothing.
    let path = format!("/docker/{}/libpod-ROOTS.scope", "c0".repeat(32));
    assert_eq!(host.of(&path, None).unwrap().name, None);
}

#[test]
fn words_of_a_process_are_believed_for_its_users_own_files() {
    let host = Host::new();
    let state = host.state();
    let words = |bundle: &str| {
        let id = ROOTS.repeat(32);
        let words = format!("conmon\0-c\0{id}\0-n\0vault\0-b\0{bundle}\0");
        parse_conmon(words.as_bytes()).unwrap()
    };
    assert!(
        state.of_conmon(&words("/nowhere"), 1000, &[]).is_none(),
        "words alone"
    );
    assert!(
        state.of_conmon(&words("/nowhere"), 0, &[]).is_none(),
        "root's neither"
    );
    let link = host.0.path().join("home/u/link");
    std::os::unix::fs::symlink("/var/lib/containers/storage", link).unwrap();
    let id = ROOTS.repeat(32);
    let linked = format!("/home/u/link/overlay-containers/{id}/userdata");
    assert!(
        state.of_conmon(&words(&linked), 1000, &[]).is_none(),
        "a link"
    );
    let up =
        format!("/home/u/../v/.local/share/containers/storage/overlay-containers/{id}/userdata");
    assert!(
        state.of_conmon(&words(&up), 1000, &[]).is_none(),
        "a way out"
    );
    // Removed since, from a store that is there.
    let gone = "d0".repeat(32);
    let home = "/home/u/.local/share/containers/storage/overlay-containers";
    let of_gone = |store: &str, id: &str, uid: u32| {
        let words = format!("conmon\0-c\0{gone}\0-n\0gone\0-b\0{store}/{id}/userdata\0");
        state.of_conmon(&parse_conmon(words.as_bytes()).unwrap(), uid, &[])
    };
    let container = of_gone(home, &gone, 1000).unwrap();
    assert_eq!(container.name.as_deref(), Some("gone"));
    assert_eq!(container.vouched_by(), Some(1000));
    assert!(of_gone(home, &id, 1000).is_none(), "another's place");
    assert!(of_gone("/home/u", &gone, 1000).is_none(), "no store");
    assert!(
        of_gone("/home/u/link/overlay-containers", &gone, 1000).is_none(),
        "a link to a store"
    );
    let shim = |namespace: &str| {
        let words =
            format!("shim\0-namespace\0{namespace}\0-id\0{id}\0-address\0/run/containerd/s\0");
        parse_shim(words.as_bytes()).unwrap()
    };
    let found = state.of_shim(&shim("k8s.io"), 0).unwrap();
    assert_eq!(found.name.as_deref(), Some("vault"));
    assert!(state.of_shim(&shim("none"), 0).is_none());
    let foreign = State::new(host.0.path().to_owned(), Vec::new());
    let own = rustix::process::getuid().as_raw();
    assert!(
        foreign.of_shim(&shim("k8s.io"), own + 1).is_none(),
        "another's files"
    );
}

#[test]
fn chosen_ids_and_moved_places_are_found() {
    let host = Host::new();
    let task = "run/containerd/io.containerd.runtime.v2.task";
    host.write(&format!("{task}/team-a/mybox/config.json"), r#"{"process":{"user":{"uid":33},"noNewPrivileges":true,"capabilities":{"bounding":["CAP_SETPCAP"]}}}"#);
    let found = host.of("/team-a/mybox", None).unwrap();
    assert_eq!(
        (found.runtime.as_str(), found.id.as_str()),
        ("containerd", "mybox")
    );
    assert_eq!(found.origin["image"], "not_on_disk");
    let asked = found.requested.unwrap();
    assert_eq!((asked.user, asked.no_new_privs), (Some(33), Some(true)));
    assert_eq!(host.of("/team-a/other", None), None);
    // `docker run --cgroup-parent /batch`, with its data moved.
    let id = "d0".repeat(32);
    host.write("etc/docker/daemon.json", r#"{"data-root":"/data/docker"}"#);
    host.write(&format!("data/docker/containers/{id}/config.v2.json"), r#"{"Name":"/moved","Config":{"Image":"i:2","Labels":{"com.docker.compose.project":"shop","com.docker.compose.service":"web"}}}"#);
    let found = host.of(&format!("/batch/{id}"), None).unwrap();
    assert_eq!(
        (found.runtime.as_str(), found.name.as_deref()),
        ("docker", Some("moved"))
    );
    assert_eq!(found.labels["com.docker.compose.service"], "web");
    assert_eq!(host.of(&format!("/batch/{}", "e0".repeat(32)), None), None);
    host.write(
        "etc/containers/storage.conf",
        "[storage]\ngraphroot = \"/data/storage\"\n",
    );
    host.write(
        &format!("data/storage/overlay-containers/{id}/userdata/config.json"),
        "{}",
    );
    let quadlet = format!("/system.slice/web.service/libpod-payload-{id}");
    let found = host.of(&quadlet, None).unwrap();
    assert_eq!(
        (found.unit.as_deref(), found.trust.as_deref()),
        (Some("web.service"), Some("root"))
    );
    assert_eq!(
        host.of("/lxc.payload.db/init.scope", None)
            .unwrap()
            .name
            .as_deref(),
        Some("db")
    );
}

/// What runc 1.1.5 writes, less what is not read.
fn runc(cgroup: &str, bundle: &str) -> String {
    format!(
        r#"{{"id":"x","init_process_pid":18533,"config":{{"no_new_privileges":true,
        "labels":["bundle={bundle}"],"capabilities":{{"Bounding":["CAP_KILL"],"Effective":["CAP_KILL"],
        "Inheritable":null,"Permitted":["CAP_KILL"],"Ambient":null}}}},
        "cgroup_paths":{{"":"/sys/fs/cgroup{cgroup}","pids":"/sys/fs/cgroup/pids/box1"}}}}"#
    )
}

/// What crun 1.8.1 writes.
fn crun(cgroup: &str, bundle: &str) -> String {
    format!(
        r#"{{"pid":139179,"process-start-time":263473330,"cgroup-path":"{cgroup}","scope":"",
        "rootfs":"rootfs","systemd-cgroup":false,"bundle":"{bundle}","owner":"root","detached":true}}"#
    )
}

const ASKED: &str = r#"{"process":{"user":{"uid":7},"capabilities":{"bounding":["CAP_KILL","CAP_SETPCAP"],
    "effective":["CAP_KILL"]}},"annotations":{"openshell.ai/sandbox-name":"blue"}}"#;

impl Host {
    /// Of a runtime without an engine, and how deep its cgroup is.
    fn of_runtime(&self, path: &str) -> Option<(Container, usize)> {
        let (container, depth) = self.state().of_path(path, &places(path, None), None);
        Some((container?, depth?))
    }
}

#[test]
fn a_runtime_without_an_engine_is_known_by_its_own_state() {
    let host = Host::new();
    host.write("run/runc/box1/state.json", &runc("/box1", "/bundles/box1"));
    host.write("bundles/box1/config.json", ASKED);
    host.write(
        "run/crun/box2/status",
        &crun("/some/where/box2", "/bundles/box1"),
    );
    let scope = "/system.slice/runc-box3.scope";
    host.write(
        "run/runc/box3/state.json",
        &runc(&format!("/unified{scope}"), "/gone"),
    );
    for (path, runtime, id, depth, bounding) in [
        ("/box1", "runc", "box1", 1, "0x120"),
        ("/box1/made/within", "runc", "box1", 1, "0x120"),
        ("/some/where/box2", "crun", "box2", 3, "0x120"),
        // Without its bundle: as the state has it.
        (scope, "runc", "box3", 2, "0x20"),
    ] {
        let (container, at) = host.of_runtime(path).unwrap_or_else(|| panic!("{path}"));
        assert_eq!(
            (container.runtime.as_str(), container.id.as_str()),
            (runtime, id)
        );
        assert_eq!((container.name.as_deref(), at), (Some(id), depth));
        assert_eq!(sets(&container).0, bounding, "{path}");
        assert_eq!(container.trust.as_deref(), Some("root"));
        assert_eq!(container.origin["id"], "cgroup");
    }
    // crun's own copy of a bundle that is gone.
    host.write("run/crun/box4/status", &crun("/box4", "/gone"));
    host.write("run/crun/box4/config.json", ASKED);
    assert_eq!(sets(&host.of_runtime("/box4").unwrap().0).0, "0x120");
}

/// The places as buildah 1.28 and Docker 20.10 make them.
#[test]
fn a_step_of_a_build_names_what_builds() {
    let host = Host::new();
    for (id, bundle, builder) in [
        (
            "buildah-buildah1853210384",
            "/var/tmp/buildah1853210384",
            Some("buildah"),
        ),
        (
            "n4ilk0xmv2pqmfqpnczwnbjt9",
            "/var/lib/docker/buildkit/executor/n4ilk0xmv2pqmfqpnczwnbjt9",
            Some("buildkit"),
        ),
        ("buildah-like", "/bundles/executor/x", None),
    ] {
        let cgroup = format!("/{id}");
        host.write(&format!("run/runc/{id}/state.json"), &runc(&cgroup, bundle));
        let state = host.state();
        let (container, _) = state.of_path(&cgroup, &places(&cgroup, None), None);
        assert_eq!(container.unwrap().build.as_deref(), builder, "{id}");
    }
}

/// Docker 20.10 without `BuildKit`: a container of each step, of the image so far.
#[test]
fn a_step_of_dockers_own_builder_has_the_image_that_the_build_began_with() {
    let host = Host::new();
    let (base, so_far) = ("ba".repeat(32), "5f".repeat(32));
    host.write(
        "var/lib/docker/image/vfs/repositories.json",
        &format!(r#"{{"Repositories":{{"debian":{{"debian:12":"sha256:{base}"}}}}}}"#),
    );
    host.write(
        &format!("var/lib/docker/image/vfs/imagedb/metadata/sha256/{so_far}/parent"),
        &format!("sha256:{base}"),
    );
    let step = |id: &str, image: &str, log: &str| {
        let folder = format!("var/lib/docker/containers/{}", id.repeat(32));
        let config = format!(r#"{{"Name":"/bold_kay","Config":{{"Image":"{image}"}}}}"#);
        host.write(&format!("{folder}/config.v2.json"), &config);
        let log = format!(r#"{{"LogConfig":{{"Type":"{log}"}}}}"#);
        host.write(&format!("{folder}/hostconfig.json"), &log);
        let path = format!("/docker/{}", id.repeat(32));
        host.of(&path, None).unwrap()
    };
    let of = |container: Container| (container.build, container.image);
    let (by, tag) = (Some("docker".to_owned()), Some("debian:12".to_owned()));
    for (id, image) in [("c1", &base), ("c2", &so_far)] {
        let image = format!("sha256:{image}");
        assert_eq!(of(step(id, &image, "none")), (by.clone(), tag.clone()));
    }
    // A container that somebody runs by the image's id is no step; nor is one that
    // keeps no log.
    let by_id = format!("sha256:{base}");
    assert_eq!(of(step("c3", &by_id, "json-file")), (None, tag.clone()));
    let without = format!("sha256:{so_far}");
    let image = Some(without.clone());
    assert_eq!(of(step("c4", &without, "json-file")), (None, image));
    assert_eq!(of(step("c5", "debian:12", "none")), (None, tag));
}

/// As buildah 1.28 leaves it while a step runs.
#[test]
fn a_step_of_buildahs_has_its_working_containers_name_and_image() {
    let host = Host::new();
    let (image, working) = ("1a".repeat(32), "9d".repeat(32));
    let store = "var/lib/containers/storage";
    host.write(
        &format!("{store}/overlay-containers/containers.json"),
        &format!(
            r#"[{{"id":"{working}","names":["debian-working-container"],"image":"{image}"}}]"#
        ),
    );
    host.write(
        &format!("{store}/overlay-images/images.json"),
        &format!(r#"[{{"id":"{image}","names":["docker.io/library/debian:12"]}}]"#),
    );
    let id = "buildah-buildah42";
    let hostname = &working[..12];
    host.write(
        "var/tmp/b/config.json",
        &format!(r#"{{"hostname":"{hostname}"}}"#),
    );
    let state = runc(&format!("/{id}"), "/var/tmp/b");
    host.write(&format!("run/runc/{id}/state.json"), &state);
    let cgroup = format!("/{id}");
    let (container, _) = host.state().of_path(&cgroup, &places(&cgroup, None), None);
    let container = container.unwrap();
    assert_eq!(container.build.as_deref(), Some("buildah"));
    assert_eq!(container.name.as_deref(), Some("debian-working-container"));
    let image = container.image.as_deref();
    assert_eq!(image, Some("docker.io/library/debian:12"));
}

#[test]
fn a_runtimes_state_counts_for_its_own_cgroup_and_its_own_user() {
    let host = Host::new();
    host.write("run/runc/box1/state.json", &runc("/box1", "/bundles/box1"));
    host.write(
        "run/user/1000/runc/mine/state.json",
        &runc(&format!("{HOME}/mine"), "/home/u/b"),
    );
    host.write("home/u/b/config.json", ASKED);
    host.write(
        "run/user/1000/runc/box9/state.json",
        &runc("/box9", "/home/u/b"),
    );
    for path in [
        // Another cgroup of that name.
        "/else/box1",
        // A user's word of what is not below his delegation.
        "/box9",
        "/..",
        "/",
    ] {
        assert!(host.of_runtime(path).is_none(), "{path}");
    }
    let forged = format!("{HOME}/box1");
    host.write("run/runc/box1/state.json", &runc(&forged, "/bundles/box1"));
    assert!(
        host.of_runtime(&forged).is_none(),
        "root's state of a user's cgroup"
    );
    let (mine, _) = host.of_runtime(&format!("{HOME}/mine")).unwrap();
    assert_eq!((mine.vouched_by(), sets(&mine).0), (Some(1000), "0x120"));
    let foreign = State::new(host.0.path().to_owned(), Vec::new()).owned_by(u32::MAX - 1);
    host.write("run/runc/box1/state.json", &runc("/box1", "/bundles/box1"));
    assert!(foreign.of_path("/box1", &[], None).0.is_none());
    for broken in [
        "",
        "{}",
        r#"{"cgroup_paths":{"":"box1"}}"#,
        r#"{"cgroup_paths":[]}"#,
    ] {
        host.write("run/runc/box1/state.json", broken);
        assert!(host.of_runtime("/box1").is_none(), "{broken}");
    }
}

#[test]
fn an_engines_container_without_its_engines_state_has_what_the_runtime_was_asked() {
    let host = Host::new();
    let id = "9".repeat(64);
    let path = format!("/machine.slice/libpod-{id}.scope");
    host.write(&format!("run/crun/{id}/status"), &crun(&path, "/gone"));
    host.write(&format!("run/crun/{id}/config.json"), ASKED);
    let (container, depth) = host.state().of_path(&path, &places(&path, None), None);
    let container = container.unwrap();
    // crun has no engine's prefix for its folder: the scope's name has the id.
    assert_eq!((container.runtime.as_str(), depth), ("podman", None));
    assert_eq!(sets(&container).0, "0x120");
    // Its name is whatever conmon says, which the id must not stand in the way of.
    assert_eq!(container.name, None);
}

#[test]
fn a_container_of_dockers_below_another_parent_has_dockers_name() {
    let host = Host::new();
    let id = "7d".repeat(32);
    host.write(
        &format!("run/containerd/io.containerd.runtime.v2.task/moby/{id}/config.json"),
        ASKED,
    );
    host.write(
        &format!("var/lib/docker/containers/{id}/config.v2.json"),
        r#"{"Name":"/parented","Config":{"Image":"busybox"}}"#,
    );
    let container = host.of(&format!("/mine/{id}"), None).unwrap();
    assert_eq!(container.runtime, "docker");
    assert_eq!(container.name.as_deref(), Some("parented"));
    assert_eq!(container.image.as_deref(), Some("busybox"));
    assert_eq!(sets(&container).0, "0x120");
}

#[test]
fn a_step_of_buildahs_is_known_by_its_cgroup_when_all_else_is_gone() {
    let host = Host::new();
    for path in [
        "/buildah-buildah42",
        "/machine.slice/crun-buildah-buildah42.scope",
    ] {
        let container = host.of(path, None).unwrap();
        assert_eq!(container.build.as_deref(), Some("buildah"), "{path}");
        assert_eq!(container.id, "buildah-buildah42", "{path}");
    }
    assert_eq!(host.of("/buildah-buildah", None), None);
}
