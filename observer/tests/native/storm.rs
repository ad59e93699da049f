//! A storm of refused calls and dying supervisors, and a scraper that finds counters
//! that fall in it.

use std::{
    collections::{BTreeMap, HashMap},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{rig::Rig, serve::get};

/// Scrapes all the time, and finds counters that fall.
pub struct Scraper {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(usize, Vec<String>)>,
}

impl Scraper {
    pub fn start(address: &str) -> Self {
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

    pub fn end(self) {
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
pub struct Storm {
    thread: JoinHandle<()>,
    provoked: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

/// Processes of each wave.
const PROCESSES: u64 = 64;

impl Storm {
    pub fn start(rig: &Rig, waves: u64, each: u64, fatal: u64) -> Self {
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
    pub fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.join()
    }

    /// Waits until it ends; how many calls were refused.
    pub fn join(self) -> u64 {
        self.thread.join().expect("the storm panicked");
        self.provoked.load(Ordering::Relaxed)
    }
}
