use super::*;
use crate::finding::Pod;

const WITH: &str = "0x800405fb";
const WITHOUT: &str = "0x800404fb";

fn container(runtime: &str) -> Container {
    Container {
        runtime: runtime.to_owned(),
        id: "web.service".to_owned(),
        ..Container::default()
    }
}

fn asked(user: u32, bounding: &str, ambient: &str, no_new_privs: bool) -> Requested {
    Requested {
        bounding: bounding.to_owned(),
        effective: bounding.to_owned(),
        ambient: Some(ambient.to_owned()),
        user: Some(user),
        no_new_privs: Some(no_new_privs),
    }
}

fn remedy(container: &Container) -> String {
    give(&Case {
        capability: "setpcap",
        container: Some(container),
        ..Case::default()
    })
}

#[test]
fn each_launcher_has_its_own_words() {
    let labelled = |runtime: &str, key: &str, value: &str| {
        let mut container = container(runtime);
        container.labels.insert(key.to_owned(), value.to_owned());
        container
    };
    let built = |by: &str| {
        let mut container = container("runc");
        container.build = Some(by.to_owned());
        container
    };
    let mut pod = container("containerd");
    pod.pod = Some(Pod::default());
    let mut quadlet = container("podman");
    quadlet.unit = Some("web.service".to_owned());
    for (container, words) in [
        (container("podman"), "(podman run --cap-add SETPCAP)"),
        (container("docker"), "(docker run --cap-add SETPCAP)"),
        (container("containerd"), "(ctr run --cap-add CAP_SETPCAP)"),
        (
            container("systemd-nspawn"),
            "(systemd-nspawn --capability=CAP_SETPCAP, and no --drop-capability=CAP_SETPCAP)",
        ),
        (container("lxc"), "lxc.cap.keep with setpcap"),
        (container("cri-o"), "capabilities.add: [SETPCAP]"),
        (built("buildah"), "(podman build --cap-add SETPCAP)"),
        (built("buildkit"), "--allow security.insecure)"),
        (pod, "(securityContext.capabilities.add: [SETPCAP])"),
        (
            quadlet,
            "AddCapability=CAP_SETPCAP in [Container] of web.container",
        ),
        (
            labelled("podman", "PODMAN_SYSTEMD_UNIT", "db.service"),
            "AddCapability=CAP_SETPCAP in [Container] of db.container",
        ),
        (
            labelled("docker", "com.docker.compose.service", "shop"),
            "compose, service shop: cap_add: [SETPCAP]",
        ),
    ] {
        let text = remedy(&container);
        assert!(text.contains(words), "{words}: {text}");
        assert!(!text.contains("under systemd"), "{text}");
    }
}

#[test]
fn a_user_that_is_not_root_needs_more_than_the_capability() {
    for (runtime, words) in [
        ("docker", "docker run --user 0 --cap-add SETPCAP"),
        ("containerd", "ctr run --user 0 --cap-add CAP_SETPCAP"),
        ("cri-o", "user 0, capabilities.add: [SETPCAP]"),
    ] {
        for bounding in [WITH, WITHOUT] {
            let mut container = container(runtime);
            container.requested = Some(asked(33, bounding, "0x0", false));
            let text = remedy(&container);
            assert!(text.contains(words), "{text}");
            assert!(text.contains("after the drop"), "{text}");
            assert!(text.contains("setcap cap_setpcap+ep"), "{text}");
            container.requested = Some(asked(33, bounding, "0x0", true));
            assert!(!remedy(&container).contains("setcap"), "exec gives nothing");
        }
    }
    let mut pod = container("containerd");
    pod.pod = Some(Pod::default());
    pod.requested = Some(asked(33, WITH, "0x0", true));
    assert!(remedy(&pod).contains("runAsUser: 0"));
    // Podman makes it ambient.
    let mut podman = container("podman");
    podman.requested = Some(asked(33, WITHOUT, "0x0", true));
    assert!(remedy(&podman).contains("(podman run --cap-add SETPCAP)"));
}

#[test]
fn what_the_configuration_gives_is_what_exec_leaves() {
    assert!(is_given(&asked(0, WITH, "0x0", true), caps::SETPCAP));
    assert!(!is_given(&asked(0, WITHOUT, "0x0", true), caps::SETPCAP));
    // containerd has it in the effective set of a user that is not root too.
    assert!(!is_given(&asked(33, WITH, "0x0", true), caps::SETPCAP));
    assert!(is_given(&asked(33, WITH, WITH, true), caps::SETPCAP));
    let words = missing(&asked(33, WITH, "0x0", true), Some(33));
    assert!(words.contains("gives it to no process"), "{words}");
    let words = missing(&asked(0, WITH, "0x0", true), Some(33));
    assert!(words.contains("runs as another user"), "{words}");
}

#[test]
fn who_had_it_keeps_it_until_the_drop() {
    let case = |uid| Case {
        capability: "setpcap",
        uid,
        ..Case::default()
    };
    assert!(keep(&case(Some(33))).contains("exec --user 0"));
    let first = "Make it drop capabilities before it loses SETPCAP";
    assert!(keep(&case(Some(0))).starts_with(first));
    assert!(keep(&case(None)).starts_with(first));
}

#[test]
fn a_runtime_outside_of_its_container_is_not_helped_by_cap_add() {
    let container = container("podman");
    let case = Case {
        capability: "setpcap",
        container: Some(&container),
        is_outside: true,
        ..Case::default()
    };
    let text = give(&case);
    assert!(text.contains("outside of the container"), "{text}");
    assert!(!text.contains("--cap-add"), "{text}");
    let below = Case {
        launcher: Some("setpriv"),
        ..case
    };
    assert!(give(&below).contains("where setpriv starts it"));
}

#[test]
fn the_nearest_launcher_counts_and_none_beyond_a_border() {
    let found = |above: &[&'static str]| launcher(above.iter().copied());
    assert_eq!(found(&["sh", "bwrap", "bash"]), Some("bwrap"));
    assert_eq!(found(&["sh", "conmon", "bwrap"]), None);
    assert_eq!(found(&["capsh", "setpriv"]), Some("capsh"));
    assert_eq!(found(&["bash"]), None);
    let case = Case {
        capability: "setpcap",
        launcher: Some("bwrap"),
        ..Case::default()
    };
    assert!(give(&case).contains("(bwrap --cap-add CAP_SETPCAP)"));
}

#[test]
fn a_unit_has_the_directive_that_it_takes() {
    let unit = |id: &str, uid: u32, in_bounding| {
        let mut unit = container("systemd");
        id.clone_into(&mut unit.id);
        unit.vouch(uid);
        give(&Case {
            capability: "setpcap",
            container: Some(&unit),
            in_bounding,
            ..Case::default()
        })
    };
    let text = unit(r"foo@a\x2db.service", 0, Some(true));
    assert!(
        text.contains(r#"systemctl edit "foo@a\\x2db.service""#),
        "{text}"
    );
    assert!(!text.contains("CapabilityBoundingSet"), "{text}");
    let text = unit("web.service", 0, Some(false));
    assert!(
        text.contains("and CapabilityBoundingSet=CAP_SETPCAP"),
        "{text}"
    );
    let text = unit("session-3.scope", 0, None);
    assert!(text.contains("does not support this directive"), "{text}");
    let text = unit("mine.service", 1000, None);
    assert!(text.contains("whose manager has no capability"), "{text}");
}
