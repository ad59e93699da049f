//! A host for agents that come and go: what they pin, keep and write outlives each.

use std::{
    collections::HashMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::serve::{free_address, get, samples};

/// A host for agents that come and go: a bpf file system, a folder for state, a
/// stream, and a supervisor that nobody else on this machine has.
pub struct Rig {
    directory: tempfile::TempDir,
    pub name: String,
    pub address: String,
    agent: Option<Child>,
    log: u32,
}

impl Rig {
    pub fn new(testbed: &Path) -> Self {
        let directory = tempfile::tempdir().expect("no directory");
        let bpf = directory.path().join("bpf");
        fs::create_dir(&bpf).expect("no directory");
        let mut mount = Command::new("mount");
        mount.args(["-t", "bpf", "bpf"]).arg(&bpf);
        assert!(mount.status().expect("no mount").success(), "no bpffs");
        let name = format!("pin{}", std::process::id());
        fs::copy(testbed, directory.path().join(&name)).expect("cannot copy");
        let rig = Self {
            directory,
            name,
            address: free_address(),
            agent: None,
            log: 0,
        };
        rig.configure(&[&rig.name]);
        rig
    }

    /// Has agents know these supervisors from the next one on, in this order.
    pub fn configure(&self, names: &[&str]) {
        let rules = names.iter();
        let rules =
            rules.map(|name| format!("[[supervisor]]\nname = \"{name}\"\nexe = [\"{name}\"]\n"));
        let rules: String = rules.collect();
        fs::write(self.path("config.toml"), rules).expect("cannot write");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn pins(&self) -> PathBuf {
        self.path("bpf/capwatch")
    }

    pub fn capwatch(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_capwatch"));
        command.current_dir(self.directory.path());
        command
    }

    /// The agent's command, with everything that outlives it.
    pub fn command(&self) -> Command {
        let mut command = self.capwatch();
        command
            .args(["--config", "config.toml", "run", "--log-format", "text"])
            .args(["--pin", "bpf/capwatch", "--state", "state"])
            .args([
                "--events",
                "events.jsonl",
                "--audit-source",
                "pipe:/dev/null",
            ])
            .args(["--web.listen-address", &self.address])
            .stdout(Stdio::null());
        command
    }

    pub fn start(&mut self) {
        let command = self.command();
        self.start_as(command);
    }

    pub fn start_as(&mut self, mut command: Command) {
        self.log += 1;
        let log = fs::File::create(self.path(&format!("log.{}", self.log))).expect("no log");
        self.agent = Some(command.stderr(log).spawn().expect("cannot start"));
    }

    /// What the last agent said.
    pub fn said(&self) -> String {
        fs::read_to_string(self.path(&format!("log.{}", self.log))).expect("no log")
    }

    /// The same with other programs.
    pub fn start_with(&mut self, object: Option<&Path>) {
        let mut command = self.command();
        if let Some(object) = object {
            command.arg("--bpf-object").arg(object);
        }
        self.start_as(command);
    }

    /// An object of another version: with a map of another size, where one is named.
    pub fn other_object(&self, map: Option<(&str, u32)>) -> PathBuf {
        let bytes = testbed::checks::object::other(map).expect("no object");
        let path = self.path(&format!("{}.o", map.map_or("other", |(map, _)| map)));
        fs::write(&path, bytes).expect("cannot write");
        path
    }

    pub fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if get(&self.address, "/-/ready").is_some_and(|(status, _)| status == 200) {
                return;
            }
            let ended = self.agent.as_mut().and_then(|agent| agent.try_wait().ok()?);
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "not ready: {ended:?}\n{}",
                self.said()
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The process id of the agent that runs.
    pub fn pid(&self) -> u32 {
        self.agent.as_ref().expect("an agent").id()
    }

    pub fn signal(&self, signal: i32) {
        let agent = self.agent.as_ref().expect("an agent");
        let pid = i32::try_from(agent.id()).expect("a process id");
        // SAFETY: numbers only; the child is not waited for yet.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0, "cannot signal");
    }

    pub fn end(&mut self, signal: i32) {
        let Some(mut agent) = self.agent.take() else {
            return;
        };
        let pid = i32::try_from(agent.id()).expect("a process id");
        // SAFETY: numbers only; the child is not waited for yet.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0, "cannot signal");
        agent.wait().expect("cannot wait");
    }

    pub fn metrics(&self) -> String {
        get(&self.address, "/metrics").map_or_else(String::new, |(_, body)| body)
    }

    /// The supervisor of this rig.
    pub fn supervisor(&self) -> Command {
        Command::new(self.path(&self.name))
    }

    /// A supervisor that can't drop, and dies of it.
    pub fn fail(&self, delay: Duration) -> Child {
        let mut command = self.supervisor();
        let milliseconds = delay.as_millis().to_string();
        command.args([
            "do",
            "sleep",
            &milliseconds,
            "lower",
            "setpcap",
            "drop",
            "chown",
        ]);
        command.stdout(Stdio::null()).spawn().expect("cannot start")
    }

    /// Closed episodes of the supervisor in the stream, by id: how often each was
    /// reported, and whether while nobody listened.
    pub fn reported(&self) -> HashMap<String, Vec<Value>> {
        let text = fs::read_to_string(self.path("events.jsonl")).unwrap_or_default();
        let mut reported: HashMap<String, Vec<Value>> = HashMap::new();
        for line in text.lines() {
            let event: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("cut: {line}"));
            let own = event["supervisor"] == self.name.as_str();
            if event["kind"] == "episode" && own && event["fate"] != "running" {
                let id = event["id"].as_str().expect("an id").to_owned();
                reported.entry(id).or_default().push(event);
            }
        }
        reported
    }

    fn own(&self) -> String {
        format!("supervisor=\"{}\"", self.name)
    }

    /// Refusals of a capability, as the metrics have them.
    pub fn denials(&self, metrics: &str, capability: &str) -> u64 {
        let capability = format!("capability=\"{capability}\"");
        whole(
            samples(
                metrics,
                "capwatch_denials_total",
                &[&self.own(), &capability],
            )
            .sum(),
        )
    }

    /// Closed episodes, as the metrics have them.
    pub fn episodes(&self, metrics: &str) -> u64 {
        let name = "capwatch_bounding_drop_episodes_total";
        whole(samples(metrics, name, &[&self.own()]).sum())
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            let _ = agent.kill();
            let _ = agent.wait();
        }
        let mut unmount = Command::new("umount");
        let _ = unmount.arg(self.path("bpf")).status();
    }
}

pub fn whole(number: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts"
    )]
    let count = number as u64;
    count
}

/// Runs that the kernel skipped, of all programs.
pub fn misses(metrics: &str) -> u64 {
    whole(samples(metrics, "capwatch_program_misses_total", &[]).sum())
}

/// Whether tests that take long are asked for.
pub fn is_full() -> bool {
    env::var_os("CAPWATCH_FULL").is_some_and(|value| value == "1")
}

pub fn testbed() -> PathBuf {
    crate::testbed(Path::new(env!("CARGO_BIN_EXE_capwatch")))
}

/// What the kernel holds of BPF, as `testbed loaded` lists it.
pub fn loaded(testbed: &Path) -> Vec<String> {
    let listed = Command::new(testbed)
        .arg("loaded")
        .output()
        .expect("no list");
    let text = String::from_utf8(listed.stdout).expect("no text");
    text.lines().map(str::to_owned).collect()
}
