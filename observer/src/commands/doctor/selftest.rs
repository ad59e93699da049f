//! The self-tests: each provokes a denial or a record, and looks for it.
//!
//! They change nothing on the host: each denial concerns a thread of this process
//! that ends with the test.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::provoke::{self, Child, LSM_THREAD, PROVOKED, THREAD};
use crate::{
    agent::Agent,
    sources::{
        audit::listeners::{Listeners, write_record},
        bpf::Kernel,
    },
    words::Layer,
};

/// How long a test looks for what it provoked.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often.
const STEP: Duration = Duration::from_millis(2);

/// What came of one self-test.
#[derive(Clone, Debug, Serialize)]
pub struct SelfTest {
    /// `hook`, `source` or `lsm`.
    pub kind: &'static str,
    /// The kernel's function, the source, or the module.
    pub name: String,
    /// What was provoked.
    pub provoked: bool,
    /// Whether it was seen; null where it can't be provoked.
    pub seen: Option<bool>,
    /// After how long.
    pub after_seconds: Option<f64>,
    /// Why it was not seen, or not provoked.
    pub why_not: Option<String>,
}

impl SelfTest {
    fn new(kind: &'static str, name: &str) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            provoked: false,
            seen: None,
            after_seconds: None,
            why_not: None,
        }
    }

    fn not_provoked(mut self, why: String) -> Self {
        self.why_not = Some(why);
        self
    }

    /// Looks until it is seen, or until [`PATIENCE`] is over.
    async fn look(mut self, blind: &str, mut seen: impl FnMut() -> bool) -> Self {
        self.provoked = true;
        let began = Instant::now();
        loop {
            if seen() {
                self.seen = Some(true);
                self.after_seconds = Some((began.elapsed().as_secs_f64() * 1e6).round() / 1e6);
                return self;
            }
            if began.elapsed() > PATIENCE {
                self.seen = Some(false);
                self.why_not = Some(blind.to_owned());
                return self;
            }
            tokio::time::sleep(STEP).await;
        }
    }
}

/// Runs all tests that apply to this host.
pub async fn run(agent: &Agent) -> Vec<SelfTest> {
    // Before the first test: a denial by a module writes a record too.
    let mut listeners = Listeners::open();
    let mut tests = vec![commoncap(agent).await, drops(agent).await];
    if attached(agent, "cap_capset") {
        tests.push(rules(agent).await);
    }
    tests.extend(tree(agent).await);
    if agent
        .shared()
        .ledger()
        .host
        .lsm
        .iter()
        .any(|lsm| lsm == "apparmor")
    {
        tests.push(apparmor(agent).await);
    }
    tests.extend(sources(&mut listeners).await);
    tests
}

async fn commoncap(agent: &Agent) -> SelfTest {
    let name = if attached(agent, "security_capable") {
        "security_capable"
    } else {
        "cap_capable"
    };
    let test = SelfTest::new("hook", name);
    let count = || denials(agent, THREAD, Layer::Commoncap);
    let before = count();
    match provoke::commoncap() {
        Ok(()) => test.look(blind(agent), || count() > before).await,
        Err(error) => test.not_provoked(error),
    }
}

async fn drops(agent: &Agent) -> SelfTest {
    let test = SelfTest::new("hook", "cap_task_prctl");
    match provoke::drop_unknown() {
        Ok(()) => {
            let own = std::process::id();
            let seen = || {
                let episodes = agent.open_episodes().unwrap_or_default();
                episodes
                    .iter()
                    .any(|episode| episode.tgid == own && episode.drops > 0)
            };
            test.look(blind(agent), seen).await
        }
        Err(error) => test.not_provoked(error),
    }
}

/// A refusal by a rule, where capwatch can see it.
async fn rules(agent: &Agent) -> SelfTest {
    let test = SelfTest::new("hook", "cap_capset");
    let grown = || {
        let shared = agent.shared();
        let kernel = shared.kernel();
        let ours = |kernel: &Kernel| {
            let grown = kernel.breaches(|key, _| key.comm.bytes() == THREAD.as_bytes());
            !grown.is_empty()
        };
        kernel.as_ref().is_some_and(ours)
    };
    // Reads, and leaves out, refusals of an earlier doctor.
    grown();
    match provoke::raise_permitted() {
        Ok(()) => test.look(blind(agent), grown).await,
        Err(error) => test.not_provoked(error),
    }
}

/// Fork and exit, by a child that only waits and ends.
async fn tree(agent: &Agent) -> Vec<SelfTest> {
    let fork = SelfTest::new("hook", "sched_process_fork");
    let exit = SelfTest::new("hook", "sched_process_exit");
    let exec = SelfTest::new("hook", "sched_process_exec")
        .not_provoked("doctor starts no program".to_owned());
    let shared = agent.shared();
    let own = std::process::id();
    let followed = shared
        .kernel_mut()
        .as_mut()
        .map(|kernel| kernel.follow_tree(own));
    let child = match followed {
        Some(Ok(())) => Child::start().map_err(|error| error.to_string()),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("nothing is attached".to_owned()),
    };
    let result = match child {
        Ok(child) => {
            let known = |pid| {
                let kernel = shared.kernel();
                kernel
                    .as_ref()
                    .and_then(|kernel| kernel.task(pid))
                    .is_some()
            };
            let pid = child.pid();
            let fork = fork.look(blind(agent), || known(pid)).await;
            child.end();
            let exit = if fork.seen == Some(true) {
                exit.look(blind(agent), || !known(pid)).await
            } else {
                exit.not_provoked("no hook reported the fork".to_owned())
            };
            vec![fork, exec, exit]
        }
        Err(why) => vec![fork.not_provoked(why.clone()), exec, exit.not_provoked(why)],
    };
    if let Some(kernel) = shared.kernel_mut().as_mut() {
        kernel.unfollow(own);
    }
    result
}

async fn apparmor(agent: &Agent) -> SelfTest {
    let test = SelfTest::new("lsm", "apparmor");
    let count = || denials(agent, LSM_THREAD, Layer::Apparmor);
    let before = count();
    match provoke::apparmor() {
        Ok(()) => test.look(blind(agent), || count() > before).await,
        Err(why) => test.not_provoked(why),
    }
}

/// A test record, in each source that doctor can connect to.
async fn sources(listeners: &mut Listeners) -> Vec<SelfTest> {
    let word = format!("capwatch-doctor-{}", std::process::id());
    let written = write_record(&format!("op=self-test comm=\"{word}\""));
    let mut tests = Vec::new();
    for (source, error) in listeners.sources() {
        let test = SelfTest::new("source", source);
        let test = match (&written, error) {
            (_, Some(why)) => test.not_provoked(format!("cannot connect to it: {why}")),
            (Err(error), None) => test.not_provoked(format!(
                "cannot write a test record: {error} (CAP_AUDIT_WRITE, which the agent does not need)"
            )),
            (Ok(()), None) => {
                let silent = if source == "kmsg" {
                    "the record did not arrive: a daemon receives the records, or the rate limit \
                     of printk was reached"
                } else {
                    "the record did not arrive"
                };
                test.look(silent, || listeners.received(source, &word)).await
            }
        };
        tests.push(test);
    }
    tests
}

fn attached(agent: &Agent, name: &str) -> bool {
    let shared = agent.shared();
    let ledger = shared.ledger();
    ledger
        .hooks
        .iter()
        .any(|hook| hook.attached && hook.hook == name)
}

fn blind(agent: &Agent) -> &'static str {
    if agent.sees() {
        "hooks are attached, but none of them reported it"
    } else {
        "no hook is attached"
    }
}

/// How often a layer refused the capability to threads of this name. An agent's
/// programs count those of an earlier doctor, too.
fn denials(agent: &Agent, thread: &str, layer: Layer) -> u64 {
    let shared = agent.shared();
    let kernel = shared.kernel();
    let rows = kernel.as_ref().map(Kernel::rows).unwrap_or_default();
    let ours = rows.iter().filter(|(_, row, _)| {
        u32::from(row.capability) == PROVOKED
            && row.layer == layer
            && row.comm.bytes() == thread.as_bytes()
    });
    ours.map(|(_, _, counted)| counted.count).sum()
}
