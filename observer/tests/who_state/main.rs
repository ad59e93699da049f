//! Containers named from state on disk: on the trees of `tests/state`, and on hosts
//! made here.

mod builds;
mod forged;
mod runtimes;
mod trees;

use std::fs;

use observer::{
    finding::Container,
    who::{
        State,
        cgroup::{Delegation, places},
    },
};

fn sets(container: &Container) -> (&str, &str) {
    let requested = container.requested.as_ref().expect("nothing was requested");
    (&requested.bounding, &requested.effective)
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

impl Host {
    /// Of a runtime without an engine, and how deep its cgroup is.
    fn of_runtime(&self, path: &str) -> Option<(Container, usize)> {
        let (container, depth) = self.state().of_path(path, &places(path, None), None);
        Some((container?, depth?))
    }
}

const HOME: &str = "/user.slice/user-1000.slice/user@1000.service/app.slice";

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
