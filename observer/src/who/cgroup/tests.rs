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
        // A quadlet's (`--cgroups=split`).
        (
            "/system.slice/web.service/libpod-payload-ID",
            Runtime::Podman,
        ),
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
        let (named, id, ..) = found(path);
        assert_eq!((named, id.as_str()), (runtime, ID), "{path}");
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
        let (named, id, pod, _) = found(&path);
        assert_eq!((named, id.as_str()), (runtime, ID), "{path}");
        assert_eq!(pod.as_deref(), Some(POD), "{path}");
    }
}

#[test]
fn machines_and_units_have_names() {
    let (runtime, id, ..) = found("/machine.slice/systemd-nspawn@web.service/payload");
    assert_eq!((runtime, id.as_str()), (Runtime::Nspawn, "web"));
    let (runtime, id, ..) = found(r"/machine.slice/machine-my\x2dbox.scope/payload/init.scope");
    assert_eq!((runtime, id.as_str()), (Runtime::Nspawn, "my-box"));
    let (_, id, ..) = found(r"/system.slice/foo@a\x2db.service");
    assert_eq!(id, r"foo@a\x2db.service", "an escape is part of the name");
    for path in [
        "/lxc.payload.web/init.scope",
        "/lxc/web",
        "/lxc.payload/web",
    ] {
        let (runtime, id, ..) = found(path);
        assert_eq!((runtime, id.as_str()), (Runtime::Lxc, "web"), "{path}");
    }
    let (runtime, id, ..) = found("/system.slice/ssh.service");
    assert_eq!((runtime, id.as_str()), (Runtime::Systemd, "ssh.service"));
    let (runtime, _, _, user) = found("/user.slice/user-1000.slice/session-3.scope");
    assert_eq!((runtime, user), (Runtime::Systemd, Some(1000)));
    let (runtime, ..) = found(r"/machine.slice/machine-qemu\x2d1\x2dvm.scope/libvirt");
    assert_eq!(runtime, Runtime::Systemd, "a virtual machine");
}

fn first(path: &str, owned: Option<Delegation>) -> Place {
    let places = places(&path.replace("ID", ID), owned);
    let mut sure = places.into_iter().filter(|place| place.is_sure);
    sure.next().unwrap_or_else(|| panic!("{path} names nobody"))
}

#[test]
fn below_a_delegation_every_name_is_that_users_word() {
    let home = "/user.slice/user-1000.slice/user@1000.service";
    for forged in [
        "user@0.service/libpod-ID.scope",
        "docker-ID.scope",
        "user-1003.slice/libpod-ID.scope",
        "user-1003.slice/user@1003.service/libpod-ID.scope",
        "machine-db.scope/payload",
        "lxc.payload.db",
        "sshd.service",
    ] {
        let place = first(&format!("{home}/{forged}"), None);
        assert_eq!((place.owner, place.user), (1000, Some(1000)), "{forged}");
    }
    let pod = format!(
        "{home}/kubepods.slice/kubepods-pod{}.slice/cri-containerd-ID.scope",
        POD.replace('-', "_")
    );
    let place = first(&pod, None);
    assert_eq!((place.owner, place.pod), (1000, None), "kubelet is root");
}

#[test]
fn a_folder_of_another_user_is_a_delegation_too() {
    let delegated = |depth| Some(Delegation { depth, uid: 33 });
    let path = "/system.slice/web.service/docker-ID.scope";
    assert_eq!(first(path, None).owner, 0);
    let place = first(path, delegated(2));
    assert_eq!((place.owner, place.user), (33, Some(33)));
    assert_eq!(first(path, delegated(3)).owner, 0, "its own folder is his");
    // The outermost one counts, whichever it is.
    let path = "/user.slice/user-1000.slice/user@1000.service/x/libpod-ID.scope";
    assert_eq!(first(path, delegated(4)).owner, 1000);
    // Root's own manager delegates nothing.
    let path = "/user.slice/user-0.slice/user@0.service/libpod-ID.scope";
    assert_eq!(first(path, None).owner, 0);
}

#[test]
fn what_lies_in_a_container_is_not_the_hosts() {
    let inner = "b".repeat(64);
    let place = first(
        &format!("/docker/ID/kubelet/kubepods/libpod-{inner}.scope"),
        None,
    );
    assert!(place.is_nested && place.id == inner);
    let place = first("/docker/ID/docker/ID", None);
    assert!(!place.is_nested, "the same one again");
}

#[test]
fn ids_that_people_choose_wait_for_state_to_confirm_them() {
    let candidates = places("/team-a/mybox", None);
    assert_eq!(candidates[0].runtime, Runtime::Containerd);
    assert_eq!(candidates[0].namespace.as_deref(), Some("team-a"));
    assert!(!candidates[0].is_sure);
    assert!(places("/user.slice/mybox", None).is_empty());
    let candidates = places(&format!("/batch/jobs/{ID}"), None);
    assert_eq!(
        (candidates[0].runtime, candidates[0].is_sure),
        (Runtime::Unknown, false)
    );
    let unit = first("/system.slice/web.service/libpod-payload-ID", None).unit;
    assert_eq!(unit.as_deref(), Some("web.service"));
    assert!(places(&"/a".repeat(65), None).is_empty());
}

#[test]
fn what_only_looks_like_a_container_is_none() {
    for path in [
        "/",
        "",
        "/libpod-short.scopes",
        "/kubepods/podx/abc",
        "/a/b/c",
    ] {
        assert_eq!(place(path), None, "{path}");
    }
    let odd = place("/x/libpod-../../etc.scope").unwrap();
    assert_eq!(odd.runtime, Runtime::Systemd);
    assert_eq!(unescaped(r"a\x"), r"a\x");
    assert_eq!(unescaped(r"a\xzz\x41"), r"a\xzzA");
}
