//! Restarts: an agent is killed and another goes on with what is pinned, with
//! nothing counted twice and nothing missed.

use std::{
    collections::{BTreeMap, HashMap},
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    serve::{free_address, get, samples},
    until,
};

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

/// Scrapes all the time, and finds counters that fall.
struct Scraper {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(usize, Vec<String>)>,
}

impl Scraper {
    fn start(address: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (address, stopped) = (address.to_owned(), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let mut known: BTreeMap<String, f64> = BTreeMap::new();
            let mut fallen = Vec::new();
            let mut scrapes = 0;
            while !stopped.load(Ordering::Relaxed) {
                if let Some((200, text)) = get(&address, "/metrics") {
                    scrapes += 1;
                    for (series, value) in counters(&text) {
                        let before = known.insert(series.clone(), value).unwrap_or_default();
                        if value < before {
                            fallen.push(format!("{series} fell from {before} to {value}"));
                        }
                    }
                }
                thread::sleep(Duration::from_millis(40));
            }
            (scrapes, fallen)
        });
        Self { stop, thread }
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        let (scrapes, fallen) = self.thread.join().expect("the scraper panicked");
        assert!(scrapes > 10, "{scrapes} scrapes");
        assert!(fallen.is_empty(), "{}", fallen.join("\n"));
    }
}

/// Every counter of capwatch's, buckets of histograms too.
fn counters(text: &str) -> Vec<(String, f64)> {
    let mut kinds: HashMap<&str, &str> = HashMap::new();
    let mut counters = Vec::new();
    for line in text.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            kinds.extend(kind.split_once(' '));
            continue;
        }
        let Some((series, value)) = line.rsplit_once(' ').filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let name = series.split('{').next().expect("a name");
        let histogram = ["_bucket", "_count", "_sum"];
        let histogram = histogram.iter().find_map(|end| name.strip_suffix(end));
        let counts = kinds.get(name) == Some(&"counter")
            || histogram.is_some_and(|name| kinds.get(name) == Some(&"histogram"));
        // What this process used is its own.
        if counts && name.starts_with("capwatch_") {
            counters.push((series.to_owned(), value.parse().expect("a number")));
        }
    }
    counters
}

/// Refused calls and supervisors that die, until so many of both.
struct Storm {
    thread: JoinHandle<()>,
    provoked: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

/// Processes of each wave.
const PROCESSES: u64 = 64;

impl Storm {
    fn start(rig: &Rig, waves: u64, each: u64, fatal: u64) -> Self {
        let program = rig.path(&rig.name);
        let provoked = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&provoked);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let failing: Vec<_> = (0..fatal).collect();
        let failing = Arc::new(Mutex::new(failing));
        let thread = thread::spawn(move || {
            let mut children = Vec::new();
            for wave in (0..waves).take_while(|_| !stopped.load(Ordering::Relaxed)) {
                let mut storm = Command::new(&program);
                storm.args(["storm", "--processes", "--threads"]);
                storm.args([
                    PROCESSES.to_string(),
                    "--count".to_owned(),
                    each.to_string(),
                ]);
                let mut storm = storm.spawn().expect("no storm");
                let due = fatal * (wave + 1) / waves;
                let mut left = failing.lock().expect("nobody panics");
                while left.len() as u64 > fatal - due {
                    let number = left.pop().expect("one is left");
                    // Some fork after the agent was killed, and fail after the next began.
                    let delay = (number % 7 * 100).to_string();
                    let mut command = Command::new(&program);
                    command.args(["do", "sleep", &delay, "fork", "sleep", &delay]);
                    command.args(["lower", "setpcap", "drop", "chown"]);
                    children.push(command.spawn().expect("cannot start"));
                }
                drop(left);
                assert!(storm.wait().expect("no end").success(), "a storm failed");
                count.fetch_add(PROCESSES * each, Ordering::Relaxed);
            }
            for mut child in children {
                child.wait().expect("no end");
            }
        });
        Self {
            thread,
            provoked,
            stop,
        }
    }

    /// Ends it after its wave; how many calls were refused.
    fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.join()
    }

    /// Waits until it ends; how many calls were refused.
    fn join(self) -> u64 {
        self.thread.join().expect("the storm panicked");
        self.provoked.load(Ordering::Relaxed)
    }
}

/// A number below another one, different each time.
fn random(below: u64) -> u64 {
    use std::hash::{BuildHasher as _, RandomState};

    RandomState::new().hash_one(0) % below
}

fn is_full() -> bool {
    env::var_os("CAPWATCH_FULL").is_some_and(|value| value == "1")
}

pub fn testbed() -> PathBuf {
    crate::testbed(Path::new(env!("CARGO_BIN_EXE_capwatch")))
}

/// Three kills within one storm; the agents that come after may bring other programs.
fn killed_in_a_storm(
    (waves, each, fatal, away): (u64, u64, u64, u64),
    objects: impl Fn(&Rig) -> [Option<PathBuf>; 3],
) {
    let mut rig = Rig::new(&testbed());
    let objects = objects(&rig);
    rig.start();
    rig.wait_until_ready();
    let scraper = Scraper::start(&rig.address);
    let storm = Storm::start(&rig, waves, each, fatal);
    for object in objects {
        thread::sleep(Duration::from_millis(200 + random(1_000)));
        rig.end(libc::SIGKILL);
        thread::sleep(Duration::from_millis(random(away)));
        rig.start_with(object.as_deref());
        rig.wait_until_ready();
    }
    let truth = storm.join();
    let mut metrics = String::new();
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        metrics.clear();
        metrics.push_str(&rig.metrics());
        let seen = rig.denials(&metrics, "sys_chroot") + misses(&metrics) >= truth;
        if (seen && rig.reported().len() as u64 >= fatal) || Instant::now() > deadline {
            break;
        }
        thread::sleep(Duration::from_millis(100));
    }
    thread::sleep(Duration::from_millis(600));
    let metrics = rig.metrics();
    let counted = rig.denials(&metrics, "sys_chroot");
    let missed = misses(&metrics);
    assert!(
        counted <= truth && truth <= counted + missed,
        "{counted} counted and {missed} missed of {truth}\n{}",
        rig.said()
    );
    let reported = rig.reported();
    let twice: Vec<_> = reported
        .values()
        .filter(|reported| reported.len() > 1)
        .collect();
    assert!(twice.is_empty(), "reported more than once: {twice:?}");
    assert_eq!(reported.len() as u64, fatal, "{}", rig.said());
    for episode in reported.values().flatten() {
        assert_eq!(episode["verdict"], "fatal", "{episode}");
        assert_eq!(episode["fate"], "exit", "{episode}");
        assert_eq!(episode["role"], "supervisor", "{episode}");
        assert!(episode["duration_seconds"].as_f64().is_some(), "{episode}");
    }
    assert_eq!(rig.episodes(&metrics), fatal);
    assert_eq!(rig.denials(&metrics, "setpcap"), fatal);
    scraper.end();
    println!(
        "{counted} of {truth} counted, {missed} missed; {} episodes",
        reported.len()
    );
}

#[test]
fn killed_three_times_in_a_storm_it_counts_on() {
    let Some((_stage, _turn)) = crate::stage("killed in a storm") else {
        return;
    };
    let same = |_: &Rig| [None, None, None];
    if is_full() {
        for _ in 0..20 {
            killed_in_a_storm((125, 125, 200, 5_000), same);
        }
    } else {
        killed_in_a_storm((40, 100, 100, 1_500), same);
    }
}

#[test]
fn an_upgrade_in_a_storm_takes_over_exactly_and_so_does_a_downgrade() {
    let Some((_stage, _turn)) = crate::stage("upgraded in a storm") else {
        return;
    };
    // Other programs; other maps of counts; and what was there at first.
    let versions = |rig: &Rig| {
        [
            Some(rig.other_object(None)),
            Some(rig.other_object(Some(("TOTALS", 4_096)))),
            None,
        ]
    };
    if is_full() {
        for _ in 0..20 {
            killed_in_a_storm((125, 125, 200, 5_000), versions);
        }
    } else {
        killed_in_a_storm((40, 100, 100, 1_500), versions);
    }
}

#[test]
fn takeovers_amid_a_storm_count_each_check_once() {
    let Some((_stage, _turn)) = crate::stage("takeovers in a storm") else {
        return;
    };
    if !is_full() {
        println!("skipped: takeovers in a storm (set CAPWATCH_FULL=1)");
        return;
    }
    let mut rig = Rig::new(&testbed());
    let other = rig.other_object(None);
    rig.start();
    rig.wait_until_ready();
    let storm = Storm::start(&rig, u64::MAX, 1_000, 0);
    for number in 0..40 {
        thread::sleep(Duration::from_millis(100));
        rig.end(libc::SIGKILL);
        rig.start_with((number % 2 == 0).then_some(&*other));
        rig.wait_until_ready();
        assert!(rig.said().contains("took over"), "{}", rig.said());
    }
    let truth = storm.end();
    thread::sleep(Duration::from_secs(1));
    let metrics = rig.metrics();
    let (counted, missed) = (rig.denials(&metrics, "sys_chroot"), misses(&metrics));
    println!("{counted} of {truth} counted, {missed} missed");
    assert!(
        counted <= truth && truth <= counted + missed,
        "{counted} counted and {missed} missed of {truth}"
    );
}

#[test]
fn what_can_not_be_taken_over_is_refused_with_a_word_and_counts_on() {
    let Some((_stage, _turn)) = crate::stage("another layout") else {
        return;
    };
    let mut rig = Rig::new(&testbed());
    rig.start();
    rig.wait_until_ready();
    rig.end(libc::SIGTERM);
    let object = rig.other_object(Some(("EPISODES", 4_096)));
    let mut other = rig.command();
    other.arg("--bpf-object").arg(object);
    let ended = other.output().expect("no agent");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(
        said.contains("EPISODES") && said.contains("capwatch unload"),
        "{said}"
    );
    rig.fail(Duration::ZERO).wait().expect("no end");
    rig.start();
    rig.wait_until_ready();
    until("the episode", || rig.episodes(&rig.metrics()) == 1);
}

#[test]
fn what_finds_no_room_while_nobody_listens_is_counted() {
    let Some((_stage, _turn)) = crate::stage("nobody listens") else {
        return;
    };
    let mut rig = Rig::new(&testbed());
    rig.start();
    rig.wait_until_ready();
    rig.end(libc::SIGKILL);
    // The ring has room for some five hundred.
    let all = if is_full() { 4_000 } else { 900 };
    let began = Instant::now();
    let storm = is_full().then(|| Storm::start(&rig, u64::MAX, 1_000, 0));
    for _ in 0..all / 20 {
        let failing: Vec<_> = (0..20).map(|_| rig.fail(Duration::ZERO)).collect();
        for mut child in failing {
            child.wait().expect("no end");
        }
    }
    if is_full() {
        thread::sleep(Duration::from_mins(1).saturating_sub(began.elapsed()));
    }
    let refused = storm.map_or(0, Storm::end);
    rig.start();
    rig.wait_until_ready();
    until("the episodes", || !rig.reported().is_empty());
    thread::sleep(Duration::from_secs(1));
    let metrics = rig.metrics();
    let reported = rig.reported();
    let lost = |metrics: &str| {
        let labels = ["stage=\"kernel\"", "reason=\"state_ring_full\""];
        whole(samples(metrics, "capwatch_events_lost_total", &labels).sum())
    };
    let lost = lost(&metrics);
    assert!(lost > 0 && !reported.is_empty(), "{lost} lost");
    // Supervisors' comings and goings share the ring.
    assert!(
        reported.len() as u64 + lost >= all,
        "{} reported, {lost} lost",
        reported.len()
    );
    assert!(
        reported
            .values()
            .flatten()
            .all(|episode| episode["while_away"] == true)
    );
    assert_eq!(rig.denials(&metrics, "setpcap"), all);
    let counted = rig.denials(&metrics, "sys_chroot");
    assert!(
        counted <= refused && refused <= counted + misses(&metrics),
        "{counted} counted of {refused}"
    );
    let status = get(&rig.address, "/api/v1/status").expect("no status").1;
    let status: Value = serde_json::from_str(&status).expect("no JSON");
    let reasons = status["sight"]["reasons"].as_array().expect("reasons");
    let away = reasons
        .iter()
        .find(|reason| reason["reason"] == "agent_away");
    let away = away.unwrap_or_else(|| panic!("{status}"));
    let all_lost = status["pins"]["away"]["lost"].as_object().expect("losses");
    let all_lost: u64 = all_lost.values().filter_map(Value::as_u64).sum();
    assert_eq!(away["count"], all_lost, "{away}");
    assert!(
        reasons
            .iter()
            .any(|reason| reason["reason"] == "episodes_lost")
    );
    assert_eq!(
        status["pins"]["away"]["lost"]["state_ring_full"], lost,
        "{status}"
    );
    let said = rig.said();
    assert!(
        said.contains("no agent ran for") && said.contains("state_ring_full"),
        "{said}"
    );
}

#[test]
fn a_second_agent_says_who_has_the_pins_and_a_dead_one_has_none() {
    let Some((_stage, _turn)) = crate::stage("two agents") else {
        return;
    };
    let mut rig = Rig::new(&testbed());
    rig.start();
    rig.wait_until_ready();
    let first = rig.agent.as_ref().expect("an agent").id();
    for arguments in [
        [
            "run",
            "--web.listen-address=127.0.0.1:0",
            "--pin",
            "bpf/capwatch",
        ]
        .as_slice(),
        &["unload", "--pin", "bpf/capwatch", "--state", "state"],
    ] {
        let second = rig.capwatch().args(arguments).output().expect("no second");
        assert_eq!(second.status.code(), Some(1));
        let said = String::from_utf8_lossy(&second.stderr).into_owned();
        assert!(said.contains(&format!("pid {first} since 2")), "{said}");
    }
    rig.end(libc::SIGKILL);
    rig.start();
    rig.wait_until_ready();
    rig.end(libc::SIGTERM);
    assert!(rig.said().contains("no agent ran"), "{}", rig.said());
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

#[test]
fn unload_leaves_nothing() {
    let Some((_stage, _turn)) = crate::stage("unload") else {
        return;
    };
    let testbed = testbed();
    let mut rig = Rig::new(&testbed);
    let before = loaded(&testbed);
    rig.start();
    rig.wait_until_ready();
    let during = loaded(&testbed);
    rig.end(libc::SIGTERM);
    let added: Vec<_> = during
        .iter()
        .filter(|name| !before.contains(name))
        .collect();
    let links = added.iter().filter(|name| name.starts_with("link")).count();
    assert!(links > 0, "{added:?}");
    let mut unload = rig.capwatch();
    unload.args(["unload", "--pin", "bpf/capwatch", "--state", "state"]);
    let unloaded = unload.output().expect("no unload");
    let said = String::from_utf8_lossy(&unloaded.stdout).into_owned();
    assert!(unloaded.status.success(), "{unloaded:?}");
    assert!(said.contains(&format!("{links} links")), "{said}");
    assert!(!rig.pins().exists());
    assert_eq!(
        fs::read_dir(rig.path("state")).map_or(0, Iterator::count),
        0
    );
    until("the programs to go", || {
        let now = loaded(&testbed);
        added.iter().all(|name| !now.contains(name))
    });
    let again = unload.output().expect("no unload");
    assert!(again.status.success(), "{again:?}");
    let said = String::from_utf8_lossy(&again.stdout).into_owned();
    assert!(said.contains("nothing"), "{said}");
}

#[test]
fn pins_that_are_not_the_agents_own_are_refused() {
    let Some((_stage, _turn)) = crate::stage("hostile pins") else {
        return;
    };
    let rig = Rig::new(&testbed());
    let refused = |path: &str, why: &str| {
        let mut command = rig.capwatch();
        command.args(["run", "--web.listen-address=127.0.0.1:0", "--pin", path]);
        let ended = command.output().expect("no agent");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert!(said.contains(why), "{path}: {said}");
    };
    refused("plain", "not on a bpf file system");
    let pins = rig.pins();
    fs::create_dir(&pins).expect("no folder");
    fs::set_permissions(&pins, fs::Permissions::from_mode(0o755)).expect("no mode");
    refused("bpf/capwatch", "mode 755");
    fs::set_permissions(&pins, fs::Permissions::from_mode(0o700)).expect("no mode");
    std::os::unix::fs::symlink(&pins, rig.path("link")).expect("no link");
    refused("link", "cannot pin below");
    std::os::unix::fs::chown(&pins, Some(65534), None).expect("no owner");
    refused("bpf/capwatch", "uid 65534");
}

#[test]
fn a_torn_or_foreign_state_begins_anew_with_a_word() {
    let Some((_stage, _turn)) = crate::stage("torn state") else {
        return;
    };
    let mut rig = Rig::new(&testbed());
    rig.start();
    rig.wait_until_ready();
    rig.fail(Duration::ZERO).wait().expect("no end");
    until("the episode", || rig.episodes(&rig.metrics()) == 1);
    rig.end(libc::SIGTERM);
    let state = rig.path("state/state.json");
    let whole = fs::read(&state).expect("no state");
    fs::write(&state, &whole[..whole.len() / 2]).expect("cannot write");
    rig.start();
    rig.wait_until_ready();
    let said = rig.said();
    assert!(
        said.contains("state.json") && said.contains("refused-"),
        "{said}"
    );
    assert_eq!(rig.episodes(&rig.metrics()), 0);
    // The kernel's own counts go on all the same.
    assert_eq!(rig.denials(&rig.metrics(), "setpcap"), 1);
}

#[test]
fn a_rule_that_stands_elsewhere_or_is_gone_keeps_what_it_counted() {
    let Some((_stage, _turn)) = crate::stage("other rules") else {
        return;
    };
    let mut rig = Rig::new(&testbed());
    rig.start();
    rig.wait_until_ready();
    rig.fail(Duration::ZERO).wait().expect("no end");
    until("the first episode", || rig.episodes(&rig.metrics()) == 1);
    let others: [&[&str]; 2] = [&["anothersup", &rig.name.clone()], &["anothersup"]];
    for (expected, names) in (2..).zip(others) {
        rig.end(libc::SIGKILL);
        rig.configure(names);
        rig.fail(Duration::ZERO).wait().expect("no end");
        rig.start();
        rig.wait_until_ready();
        until("the episodes", || rig.episodes(&rig.metrics()) == expected);
        let metrics = rig.metrics();
        assert_eq!(rig.denials(&metrics, "setpcap"), expected, "{metrics}");
        let other = ["supervisor=\"anothersup\""];
        let of_other = samples(&metrics, "capwatch_denials_total", &other).sum();
        assert_eq!(whole(of_other), 0, "{metrics}");
        assert!(!rig.said().contains("anew"), "{}", rig.said());
    }
    // It is no supervisor any more, and nobody else's.
    rig.fail(Duration::ZERO).wait().expect("no end");
    let none = ["supervisor=\"none\"", "capability=\"setpcap\""];
    until("the denial", || {
        whole(samples(&rig.metrics(), "capwatch_denials_total", &none).sum()) > 0
    });
    assert_eq!(rig.denials(&rig.metrics(), "setpcap"), 3);
}

#[test]
fn doctor_says_what_is_pinned_since_when_and_by_whom() {
    let Some((_stage, _turn)) = crate::stage("doctor and pins") else {
        return;
    };
    let mut rig = Rig::new(&testbed());
    rig.start();
    rig.wait_until_ready();
    let pid = rig.agent.as_ref().expect("an agent").id();
    let doctor = |rig: &Rig| {
        let mut command = rig.capwatch();
        command.args(["doctor", "-o", "json", "--pin", "bpf/capwatch"]);
        let output = command.output().expect("no doctor");
        let report: Value = serde_json::from_slice(&output.stdout).expect("no JSON");
        report["pins"].clone()
    };
    let pins = doctor(&rig);
    assert_eq!(pins["held"], true, "{pins}");
    assert_eq!(pins["pid"], pid, "{pins}");
    assert_eq!(pins["version"], env!("CARGO_PKG_VERSION"), "{pins}");
    assert!(
        pins["since"]
            .as_str()
            .is_some_and(|since| since.starts_with("20")),
        "{pins}"
    );
    assert!(
        pins["links"]
            .as_array()
            .is_some_and(|links| !links.is_empty()),
        "{pins}"
    );
    assert!(pins["misses"].as_u64().is_some(), "{pins}");
    rig.end(libc::SIGKILL);
    let pins = doctor(&rig);
    assert_eq!(pins["held"], false, "{pins}");
}
