//! A thousand supervisors and ten thousand processes coming and going: nothing
//! is left in any table, and nothing is counted for the wrong one.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use observer::{
    agent::{Agent, Options},
    config::Rules,
    sources::bpf::Attach,
};

const SUPERVISORS: usize = 1_000;
/// Each with nine workloads: with itself, ten processes.
const WORKLOADS: usize = 9;
const AT_ONCE: usize = 20;

/// In a supervisor: one refusal of its own, and one of each workload. Raising a
/// limit above its hard one asks for `SYS_RESOURCE`, once.
const SCRIPT: &str = "ulimit -Hc 0; ulimit -Hc 5 2>/dev/null; \
     for i in 1 2 3 4 5 6 7 8 9; do \
     sh -c 'ulimit -Hc 0; ulimit -Hc 5' 2>/dev/null & done; wait";

fn supervisor(path: &Path) -> Command {
    let mut command = Command::new(path);
    command.args(["-c", SCRIPT]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.uid(65_534).gid(65_534);
    command
}

/// How often `SYS_RESOURCE` was refused to a rule's processes of this role.
fn refused(agent: &Agent, supervisor: &str, role: &str) -> u64 {
    let shared = agent.shared();
    shared.refresh();
    let ledger = shared.ledger();
    let fits = ledger.denials.by_series().iter().filter(|(series, _)| {
        series.supervisor == supervisor
            && series.role == role
            && series.capability == "sys_resource"
    });
    fits.map(|(_, count)| count).sum()
}

/// Entries of the kernel's tree whose process is gone.
fn orphans(agent: &Agent) -> usize {
    let shared = agent.shared();
    let kernel = shared.kernel();
    let tasks = kernel
        .as_ref()
        .and_then(observer::sources::bpf::Kernel::tasks)
        .expect("no tasks");
    let gone = |pid: &u32| !Path::new(&format!("/proc/{pid}")).exists();
    tasks.iter().filter(|(pid, _)| gone(pid)).count()
}

fn sizes(agent: &Agent) -> String {
    let sizes = agent.sizes();
    let sizes = sizes.iter().map(|(table, size)| format!("{table} {size}"));
    sizes.collect::<Vec<_>>().join(", ")
}

fn size(agent: &Agent, table: &str) -> usize {
    let sizes = agent.sizes();
    let found = sizes.iter().find(|(name, _)| *name == table);
    found.expect("no such table").1
}

#[test]
fn a_thousand_supervisors_leave_nothing_behind() {
    let Some((_stage, _turn)) = crate::stage("a thousand supervisors") else {
        return;
    };
    let folder = tempfile::tempdir().expect("no folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("no permission");
    let names = ["scale-even", "scale-odd"];
    let paths = names.map(|name| {
        let path = folder.path().join(name);
        fs::copy("/bin/sh", &path).expect("no shell");
        path
    });
    let mut rules = Rules::load(None).expect("no rules");
    for name in names {
        let rule = format!("[[supervisor]]\nname = \"{name}\"\nexe = [\"{name}\"]\n");
        rules.add(&rule, "test").expect("no rule");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("no runtime");
    runtime.block_on(async {
        let mut agent = Agent::open(Options {
            attach: Attach::default(),
            rules: Arc::new(rules),
            audit: Vec::new(),
            series: 5_000,
            patience: observer::agent::PROMPT,
        })
        .expect("no agent");
        assert!(agent.sees(), "no hook");
        println!("before: {}", sizes(&agent));
        let mut started = 0;
        while started < SUPERVISORS {
            let mut batch = Vec::new();
            for _ in 0..AT_ONCE {
                let path = &paths[started % 2];
                batch.push(supervisor(path).spawn().expect("cannot run"));
                started += 1;
            }
            for mut child in batch {
                while child.try_wait().expect("cannot wait").is_none() {
                    let step = Duration::from_millis(5);
                    let _ = tokio::time::timeout(step, agent.pump()).await;
                }
            }
        }
        let _ = tokio::time::timeout(Duration::from_secs(2), agent.pump()).await;
        agent.catch_up();
        println!("after {started} supervisors: {}", sizes(&agent));

        for name in names {
            let own = refused(&agent, name, "supervisor");
            let workloads = refused(&agent, name, "workload");
            println!("{name}: {own} of its own, {workloads} of its workloads");
            assert_eq!(own, SUPERVISORS as u64 / 2);
            assert_eq!(workloads, (SUPERVISORS * WORKLOADS) as u64 / 2);
        }
        assert_eq!(
            orphans(&agent),
            0,
            "processes that are gone are in the tree"
        );
        for table in ["episodes", "checks", "setpcap", "pending", "words"] {
            assert_eq!(size(&agent, table), 0, "{table}");
        }
        assert!(size(&agent, "supervisors") <= 4_096 + SUPERVISORS);
        let shared = agent.shared();
        let ledger = shared.ledger();
        let live = ledger.supervisors.by_name();
        let left = names.iter().any(|name| live.contains_key(name));
        assert!(!left, "{live:?}");
        // They are all of one user, who has his share of rows with names.
        let mut lost = ledger.lost();
        let folded = lost.remove("rows_share").unwrap_or_default();
        println!("{folded} denials without comm and executable");
        assert_eq!(lost["events"], folded, "{lost:?}");
    });
}
