//! What a user forges names nothing but the user's own: cgroups, command lines and
//! state of runtimes.

use observer::who::{State, cgroup::Delegation, parse_conmon, parse_shim};

use crate::{ASKED, HOME, Host, ROOTS, runc, sets};

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
