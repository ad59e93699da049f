//! Containers that are not where engines put them by default: in another store, below
//! another parent, or of a runtime without an engine.

use observer::who::cgroup::places;

use crate::{ASKED, Host, crun, runc, sets};

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
