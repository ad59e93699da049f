//! Who it was: the container and the version of what the kernel side tells.
//!
//! Everything is looked up when a supervisor or a cgroup is first seen, and
//! kept, since the cgroup is gone milliseconds after a crash; what is kept is
//! bounded, the oldest goes first.

pub mod cgroup;
mod conmon;
mod docker;
mod files;
mod hierarchy;
mod kubelet;
mod names;
mod oci;
mod recent;
mod state;
mod store;
mod text;
mod version;

use std::{collections::HashMap, fs, io::Read, path::PathBuf, sync::Arc};

use observer_ebpf::{ArgvEvent, Owner, ProcessEvent};

pub use conmon::{Conmon, parse as parse_conmon};
pub use hierarchy::{Hierarchy, of_process as cgroup_of_process};
pub use names::Names;
pub use state::State;
pub use version::of_image;

use recent::Recent;
use version::Digests;

use crate::{config::Rules, finding::Container, open, sources::proc::basename};

/// Supervisors that are kept: as many as the kernel's map has processes.
const MAX_SUPERVISORS: usize = 65_536;
/// Beyond this many, those that are gone are looked for and forgotten. Until
/// then they stay: their last words may still be in a ring.
const CROWDED: usize = 4_096;
/// Cgroups that are kept.
const MAX_CGROUPS: usize = 8_192;
/// Words of a conmon whose own event has not come yet.
const MAX_WORDS: usize = 256;

/// A supervisor's process: process id and start time.
type Process = (u32, u64);

/// What is known of a supervisor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The container that it runs in, or that it runs.
    pub container: Option<Arc<Container>>,
    /// Its version.
    pub version: Option<String>,
}

/// What is known of supervisors and cgroups.
pub struct Who {
    rules: Arc<Rules>,
    state: State,
    hierarchy: Hierarchy,
    digests: Digests,
    names: Arc<Names>,
    words: Recent<Process, Conmon>,
    supervisors: HashMap<Process, Identity>,
    cgroups: Recent<u64, Option<Arc<Container>>>,
}

impl Who {
    /// Nothing is known yet.
    pub fn new(rules: Arc<Rules>, names: Arc<Names>) -> Self {
        let labels = rules.labels().to_vec();
        Self {
            rules,
            state: State::new(PathBuf::from("/"), labels),
            hierarchy: Hierarchy::open(),
            digests: Digests::default(),
            names,
            words: Recent::new(MAX_WORDS),
            supervisors: HashMap::new(),
            cgroups: Recent::new(MAX_CGROUPS),
        }
    }

    /// Names supervisors by other rules from now on.
    pub fn set_rules(&mut self, rules: Arc<Rules>) {
        self.rules = rules;
    }

    /// Keeps a conmon's words until its own event comes.
    pub fn told(&mut self, event: &ArgvEvent) {
        let length = (event.length as usize).min(event.bytes.len());
        if let Some(conmon) = conmon::parse(&event.bytes[..length]) {
            self.words.insert((event.tgid, event.start), conmon);
        }
    }

    /// Looks up a supervisor that has just begun, and which rule it is named by.
    pub fn started(&mut self, event: &ProcessEvent) -> Identity {
        let process = (event.owner.tgid, event.owner.start);
        let exe = &event.exe[..event
            .exe
            .iter()
            .position(|b| *b == 0)
            .unwrap_or(event.exe.len())];
        let words = match self.words.remove(&process) {
            None if exe == b"conmon" => words(event.owner.tgid),
            words => words,
        };
        let watched = words.map(|conmon| Arc::new(self.state.of_conmon(&conmon, event.uid)));
        let container =
            watched.or_else(|| self.container(&event.above, event.cgroup, event.owner.tgid));
        let rule = self.name(event, exe);
        let runtime = self.rules.get(rule).is_some_and(|rule| rule.runtime);
        // A runtime's own program is no part of the image that it runs.
        let image = container.as_deref().filter(|_| !runtime);
        let version = image
            .and_then(of_image)
            .or_else(|| self.digests.of_process(event.owner.tgid, exe));
        let identity = Identity { container, version };
        if self.supervisors.len() < MAX_SUPERVISORS {
            self.supervisors.insert(process, identity.clone());
        }
        identity
    }

    /// The number of the rule that a supervisor is named by: the kernel side's,
    /// unless a rule says more than a basename. A process that is gone by now is
    /// taken at its basename.
    fn name(&self, event: &ProcessEvent, exe: &[u8]) -> u16 {
        let told = event.owner.rule;
        if !self.rules.are_qualified() {
            return told;
        }
        let Ok(path) = fs::read_link(format!("/proc/{}/exe", event.owner.tgid)) else {
            return told;
        };
        if basename(&path).as_deref() != Some(exe) {
            return told;
        }
        let cgroup = hierarchy::of_process(event.owner.tgid);
        let rule = self
            .rules
            .named(exe, &path.to_string_lossy(), cgroup.as_deref());
        if rule != told {
            self.names.set_owner(&event.owner, rule);
        }
        rule
    }

    /// How many entries each table has.
    pub fn sizes(&self) -> [(&'static str, usize); 3] {
        [
            ("words", self.words.len()),
            ("supervisors", self.supervisors.len()),
            ("cgroups", self.cgroups.len()),
        ]
    }

    /// Whether it is time to forget those that are gone.
    pub fn is_crowded(&self) -> bool {
        self.supervisors.len() > CROWDED
    }

    /// Forgets supervisors that are gone.
    pub fn retain(&mut self, lives: impl Fn(&Process) -> bool) {
        self.supervisors.retain(|process, _| lives(process));
        self.names.retain(lives);
    }

    /// What is known of a supervisor.
    pub fn identity(&self, owner: &Owner) -> Identity {
        let known = self.supervisors.get(&(owner.tgid, owner.start));
        known.cloned().unwrap_or_default()
    }

    /// The container of a process: that of its cgroup, else that of its
    /// supervisor, else the unit that its cgroup belongs to.
    pub fn container(&mut self, owner: &Owner, cgroup: u64, pid: u32) -> Option<Arc<Container>> {
        let place = self.of_cgroup(cgroup, pid);
        match place {
            Some(container) if !container.is_unit() => Some(container),
            unit => self.identity(owner).container.or(unit),
        }
    }

    fn of_cgroup(&mut self, id: u64, pid: u32) -> Option<Arc<Container>> {
        if id == 0 {
            return None;
        }
        if let Some(known) = self.cgroups.get(&id) {
            return known.clone();
        }
        let path = self.hierarchy.path(id, pid)?;
        let rule = self.rules.of_cgroup(&path);
        if rule != 0 {
            self.names.set_cgroup(id, rule);
        }
        let place = cgroup::place(&path);
        let container = place.map(|place| Arc::new(self.state.of_place(&place)));
        self.cgroups.insert(id, container.clone());
        container
    }

    /// The id of the cgroup that a process is in now; 0 where it can't be told.
    pub fn cgroup_id(&self, pid: u32) -> u64 {
        let path = hierarchy::of_process(pid);
        path.and_then(|path| self.hierarchy.id(&path)).unwrap_or(0)
    }
}

/// The words of a conmon that began before the agent, or whose words the
/// programs may not read.
fn words(pid: u32) -> Option<Conmon> {
    let mut words = Vec::new();
    let file = open::system(format!("/proc/{pid}/cmdline")).ok()?;
    file.take(4_096).read_to_end(&mut words).ok()?;
    conmon::parse(&words)
}
