//! Who is named, and what is found, of processes that began before the agent.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use observer::{
    agent::{Agent, Options},
    config::Rules,
    sources::bpf::Attach,
};

use crate::Guard;

/// A shell by this name, in a folder of this name, that runs a workload.
fn supervisor(folder: &tempfile::TempDir, inner: &str, name: &str) -> (PathBuf, Guard) {
    let folder = folder.path().join(inner);
    fs::create_dir_all(&folder).expect("no folder");
    let path = folder.join(name);
    if !path.exists() {
        fs::copy("/bin/sh", &path).expect("no shell");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("no permission");
    let mut command = Command::new(&path);
    command.args(["-c", "sleep 60; true"]);
    let guard = Guard::start(command.stdout(Stdio::null()));
    (path, guard)
}

fn agent(rules: &str) -> Agent {
    let mut all = Rules::load(None).expect("no rules");
    all.add(rules, "test").expect("no rule");
    let agent = Agent::open(Options {
        series: 100,
        ..Options::new(Attach::default(), Arc::new(all))
    });
    agent.expect("no agent")
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("no runtime")
}

#[test]
fn a_workload_that_began_earlier_is_found_until_it_ends() {
    let Some((_stage, _turn)) = crate::stage("posture") else {
        return;
    };
    let folder = tempfile::tempdir().expect("no folder");
    let (_, guard) = supervisor(&folder, "a", "posture-empties");
    let (_, other) = supervisor(&folder, "a", "posture-other");
    std::thread::sleep(Duration::from_millis(300));
    runtime().block_on(async {
        let mut agent = agent(
            "[[supervisor]]\nname = \"posture-empties\"\nexe = [\"posture-empties\"]\nempties = true\n\
             [[supervisor]]\nname = \"posture-other\"\nexe = [\"posture-other\"]\n",
        );
        agent.adopt();
        let shared = agent.shared();
        let found: Vec<_> = shared.ledger().supervisors.workloads().values().cloned().collect();
        println!("{found:?}");
        assert_eq!(found.len(), 1, "of the other one nothing is expected");
        assert_eq!(found[0].comm, "sleep");
        assert_eq!(found[0].supervisor.as_deref(), Some("posture-empties"));
        assert_eq!(found[0].found, "start");
        assert!(found[0].residual.contains(&"chown".to_owned()));
        let version = found[0].version.as_deref().expect("no version");
        assert!(version.starts_with("sha256:") && version.len() == 19, "{version}");
        let gauge = shared.ledger().supervisors.residual(100);
        let key = ("posture-empties".to_owned(), "chown".to_owned());
        assert_eq!(gauge.get(&key), Some(&1));

        let pid = i32::try_from(found[0].pid).expect("no pid");
        // SAFETY: the process is this test's own.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        let _ = tokio::time::timeout(Duration::from_millis(1_200), agent.pump()).await;
        assert!(shared.ledger().supervisors.workloads().is_empty());
    });
    drop((guard, other));
}

#[test]
fn programs_of_one_name_are_distinguished_by_their_path() {
    let Some((_stage, _turn)) = crate::stage("rules by path") else {
        return;
    };
    let folder = tempfile::tempdir().expect("no folder");
    let rule = format!(
        "[[supervisor]]\nname = \"ours\"\nexe = [\"{}/ours/*/by-path\"]\n",
        folder.path().display()
    );
    let (_, before) = supervisor(&folder, "theirs", "by-path");
    std::thread::sleep(Duration::from_millis(300));
    runtime().block_on(async {
        let mut agent = agent(&rule);
        agent.adopt();
        let (_, ours) = supervisor(&folder, "ours/x", "by-path");
        let (_, theirs) = supervisor(&folder, "theirs", "by-path");
        let _ = tokio::time::timeout(Duration::from_millis(500), agent.pump()).await;
        agent.catch_up();
        let live = agent
            .shared()
            .ledger()
            .supervisors
            .by_name()
            .get("ours")
            .copied();
        assert_eq!(live, Some(1));
        drop((ours, theirs));
    });
    drop(before);
}

#[test]
fn a_rule_with_an_owner_means_no_copy_of_somebody_else() {
    const SOMEBODY: u32 = 4_242;
    let Some((_stage, _turn)) = crate::stage("rules by owner") else {
        return;
    };
    let folder = tempfile::tempdir().expect("no folder");
    let rule = "[[supervisor]]\nname = \"owned\"\nexe = [\"by-owner\"]\nowner = [\"root\"]\n";
    let copy = |inner: &str| {
        let (path, first) = supervisor(&folder, inner, "by-owner");
        drop(first);
        std::os::unix::fs::chown(&path, Some(SOMEBODY), None).expect("not root");
        supervisor(&folder, inner, "by-owner").1
    };
    let before = copy("before");
    std::thread::sleep(Duration::from_millis(300));
    runtime().block_on(async {
        let mut agent = agent(rule);
        agent.adopt();
        let (_, real) = supervisor(&folder, "real", "by-owner");
        let after = copy("after");
        let _ = tokio::time::timeout(Duration::from_millis(500), agent.pump()).await;
        agent.catch_up();
        let shared = agent.shared();
        let live = shared.ledger().supervisors.by_name().get("owned").copied();
        assert_eq!(live, Some(1), "root's own, and neither copy");
        drop((real, after));
    });
    drop(before);
}
