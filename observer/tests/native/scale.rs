//! A thousand supervisors and ten thousand processes coming and going, and a
//! process that forks without end: nothing is left in any table, and nothing is
//! counted for the wrong one.

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
    finding::Verdict,
    sources::bpf::Attach,
};

const SUPERVISORS: usize = 1_000;
/// Each with nine workloads: with itself, ten processes.
const WORKLOADS: usize = 9;
const AT_ONCE: usize = 20;

/// In a supervisor: one refusal itself, and one of each workload. Raising a
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

/// Every process with an entry is marked, and no other, but those whose entry is being
/// made or taken out just now.
fn assert_marks(agent: &Agent) {
    let differ = || {
        let marked = ["tasks", "members", "setpcap", "pending"];
        let entries: usize = marked.iter().map(|table| size(agent, table)).sum();
        entries.abs_diff(size(agent, "marks"))
    };
    let settled = (0..20).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        differ() == 0
    });
    assert!(settled, "{}", sizes(agent));
}

fn size(agent: &Agent, table: &str) -> usize {
    let sizes = agent.sizes();
    let found = sizes.iter().find(|(name, _)| *name == table);
    found.expect("no such table").1
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("no runtime")
}

/// An agent in this process, with a rule for each of these programs; within a runtime.
fn agent(names: &[&str]) -> Agent {
    let mut rules = Rules::load(None).expect("no rules");
    for name in names {
        let rule = format!("[[supervisor]]\nname = \"{name}\"\nexe = [\"{name}\"]\n");
        rules.add(&rule, "test").expect("no rule");
    }
    let agent = Agent::open(Options {
        series: 5_000,
        ..Options::new(Attach::default(), Arc::new(rules))
    })
    .expect("no agent");
    assert!(agent.sees(), "no hook");
    agent
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
    runtime().block_on(async {
        let mut agent = agent(&names);
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
        assert_marks(&agent);
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

/// Children of a process with an open episode; a million with `CAPWATCH_FULL=1`.
const CHILDREN: u64 = 30_000;

#[test]
fn a_process_that_forks_without_end_takes_no_room() {
    let Some((stage, _turn)) = crate::stage("forks without end") else {
        return;
    };
    let children = match std::env::var_os("CAPWATCH_FULL") {
        Some(_) => 1_000_000,
        None => CHILDREN,
    };
    runtime().block_on(async {
        let mut agent = agent(&["testsup"]);
        let start = |program: &str, steps: &str| {
            let mut command = Command::new(stage.path("testbed"));
            command.args(["do", "drop", "except:chown", "exec"]);
            command.arg(stage.path(program)).arg("do");
            command
                .args(steps.split_whitespace())
                .spawn()
                .expect("cannot run")
        };
        let steps = format!("drop chown repeat {children} fork exit 0 end end exit 1");
        let mut family = start("testbed", &steps);
        let mut most = 0;
        let mut others = 0;
        while family.try_wait().expect("cannot wait").is_none() {
            // Whatever it forks, others find room.
            if others < 50 {
                others += 1;
                let mut other = start("testsup", "fork drop chown exit 1 end exit 0");
                other.wait().expect("cannot wait");
            }
            let step = Duration::from_millis(5);
            let _ = tokio::time::timeout(step, agent.pump()).await;
            most = most.max(size(&agent, "members"));
        }
        let _ = tokio::time::timeout(Duration::from_secs(2), agent.pump()).await;
        agent.catch_up();
        println!(
            "{children} forks: {}, {most} members at most",
            sizes(&agent)
        );
        assert!(most < 200, "{most} members");
        for table in ["episodes", "members", "pending"] {
            assert_eq!(size(&agent, table), 0, "{table}");
        }
        assert_marks(&agent);
        let shared = agent.shared();
        let ledger = shared.ledger();
        let report = ledger.lost();
        assert_eq!(report["events"], 0, "{report:?}");
        let tallies = ledger.episodes.tallies();
        let counted = |supervisor: &str, verdicts: &[Verdict]| -> u64 {
            let fits = tallies.iter().filter(|(series, _)| {
                series.supervisor == supervisor && verdicts.contains(&series.verdict)
            });
            fits.map(|(_, count)| count).sum()
        };
        // Forking for more than ten seconds, it has carried on.
        let failed = [Verdict::Degraded, Verdict::Fatal];
        assert_eq!(counted("testbed", &failed), 1, "the family is one episode");
        assert_eq!(
            counted("testsup", &[Verdict::Fatal]),
            50,
            "another's children"
        );
        assert_eq!(others, 50, "it ended too soon to be beside anything");
    });
}
