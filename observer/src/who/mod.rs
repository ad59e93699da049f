//! Who it was: the container and the version of what the kernel side reports.
//!
//! Everything is looked up when a supervisor or a cgroup is first seen, and
//! kept, since the cgroup is gone milliseconds after a crash; what is kept is
//! bounded, the oldest goes first.
//!
//! Files that are read here may belong to anybody and may never answer, so
//! look-ups have separate threads ([`Desk`]).

mod beside;
pub mod cgroup;
mod conmon;
mod containers;
mod desk;
mod docker;
mod files;
mod hierarchy;
mod kubelet;
mod names;
mod oci;
mod recent;
mod roots;
mod runtime;
mod scopes;
mod shim;
mod state;
mod store;
mod text;
mod version;

use std::{
    collections::HashMap,
    io::Read,
    os::fd::OwnedFd,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

pub use conmon::{Conmon, parse as parse_conmon};
pub use desk::{Desk, Ticket};
pub use hierarchy::{Hierarchy, of_process as cgroup_of_process};
pub use names::Names;
pub use scopes::Scopes;
pub use shim::{Shim, parse as parse_shim};
pub use state::State;
pub use version::{marked, of_image};

use containers::{Cgroup, Standing};
use recent::Recent;
use version::{Digests, Program};

use crate::{
    config::Rules,
    finding::Container,
    observation::{ArgvEvent, Owner, ProcessEvent},
    open,
    sources::bpf::MadeCgroups,
};

/// Supervisors that are kept: as many as the kernel's map has processes.
const MAX_SUPERVISORS: usize = 65_536;
/// Beyond this many, those that are gone are looked for and forgotten. Until
/// then they stay: their last words may still be in a ring.
const CROWDED: usize = 4_096;
/// Cgroups that are kept.
const MAX_CGROUPS: usize = 8_192;
/// Words of a conmon whose own event has not come yet.
const MAX_WORDS: usize = 256;
/// A user whose files have not answered for so long has no more of them read.
const HUNG: Duration = Duration::from_secs(1);

/// A supervisor's process: process id and start time.
type Process = (u32, u64);

/// What is known of a supervisor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The container that it runs in, or that it runs.
    pub container: Option<Arc<Container>>,
    /// Its version.
    pub version: Option<String>,
    /// User id of its executable's owner.
    pub exe_uid: Option<u32>,
}

/// What is known of supervisors and cgroups.
pub struct Who {
    rules: Mutex<Arc<Rules>>,
    state: State,
    hierarchy: Hierarchy,
    digests: Digests,
    names: Arc<Names>,
    scopes: Arc<Scopes>,
    known: Mutex<Known>,
}

/// What was found. The lock is not held while anything is read.
struct Known {
    words: Recent<Process, Conmon>,
    /// Conmons whose bundle only their child can see.
    unread: Recent<Process, (Conmon, u32)>,
    supervisors: HashMap<Process, Identity>,
    cgroups: Recent<u64, Cgroup>,
    /// Users whose files are being read, and since when.
    busy: HashMap<u32, Instant>,
}

impl Who {
    /// Nothing is known yet.
    pub fn new(
        rules: Arc<Rules>,
        names: Arc<Names>,
        scopes: Arc<Scopes>,
        made: Option<Arc<MadeCgroups>>,
    ) -> Self {
        let labels = rules.labels().to_vec();
        Self {
            rules: Mutex::new(rules),
            state: State::new(PathBuf::from("/"), labels),
            hierarchy: Hierarchy::open(made),
            digests: Digests::default(),
            names,
            scopes,
            known: Mutex::new(Known {
                words: Recent::new(MAX_WORDS),
                unread: Recent::new(MAX_WORDS),
                supervisors: HashMap::new(),
                cgroups: Recent::new(MAX_CGROUPS),
                busy: HashMap::new(),
            }),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names supervisors by other rules from now on.
    pub fn set_rules(&self, rules: Arc<Rules>) {
        *self.rules.lock().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps a conmon's words until its own event comes.
    pub fn keep_argv(&self, event: &ArgvEvent) {
        if let Some(conmon) = conmon::parse(&event.bytes) {
            self.known().words.insert((event.tgid, event.start), conmon);
        }
    }

    /// Looks up a supervisor that has just begun, and which rule it is named by.
    /// `executable` is its place, where it was opened by now.
    pub fn started(&self, event: &ProcessEvent, executable: Option<&OwnedFd>) -> Identity {
        let process = (event.owner.tgid, event.owner.start);
        let opened = match executable {
            Some(_) => None,
            None => open::place_of_executable(event.owner.tgid).ok(),
        };
        let executable = executable.or(opened.as_ref());
        let exe = event.exe.as_deref().unwrap_or_default().as_bytes();
        let reads = self.may_read(event.uid);
        self.read_late(event);
        let again = self.standing(event.cgroup, false) == Standing::Early;
        let place = self.of_cgroup(event.cgroup, event.owner.tgid, again);
        let container = match reads.as_ref().and_then(|_| self.maker(event, exe)) {
            Some(maker) => Some(joined(place, maker)),
            // Its cgroup was looked up just now.
            None => self.container_now(&event.above, event.cgroup),
        };
        // Before its executable is read, which takes long: what it started may be looked up
        // meanwhile, by another thread, and be in the same container by its word alone.
        self.keep(process, |identity| {
            identity.container.clone_from(&container);
        });
        let program = reads
            .as_ref()
            .and_then(|_| self.digests.of_executable(executable?, exe));
        let rule = self.name(event, exe, program.as_ref());
        let rules = self.rules();
        let runtime = rules.get(rule).is_some_and(|rule| rule.runtime);
        let below_runtime = rules.get(event.above.rule).is_some_and(|rule| rule.runtime);
        if !runtime && below_runtime && container.as_deref().is_some_and(is_by_cgroup) {
            // Whatever ran the runtime (setpriv, capsh, a sandbox) is not of its
            // container; the kernel side can't know.
            self.names.set_again(&event.owner);
        }
        // A runtime's own program is no part of the image that it runs.
        let image = container.as_deref().filter(|_| !runtime);
        let of_image = image.and_then(|container| {
            let version = of_image(container)?;
            Some(marked(&version, container.vouched_by().unwrap_or(0)))
        });
        // The sealed copy that a runtime executes again is the first exec's program.
        let first = exe
            .starts_with(b"memfd:")
            .then(|| self.known().supervisors.get(&process)?.version.clone());
        let version = of_image.or(first.flatten()).or_else(|| {
            let program = program?;
            Some(marked(&program.digest?, program.uid))
        });
        let identity = Identity {
            container,
            version,
            exe_uid: event.exe_uid,
        };
        self.keep(process, |kept| kept.clone_from(&identity));
        identity
    }

    /// Changes what is known of a supervisor, where there is room for it.
    fn keep(&self, process: Process, change: impl FnOnce(&mut Identity)) {
        let mut known = self.known();
        let has_room = known.supervisors.len() < MAX_SUPERVISORS;
        if has_room || known.supervisors.contains_key(&process) {
            change(known.supervisors.entry(process).or_default());
        }
    }

    /// The container of which a runtime's process says itself that it makes it.
    fn maker(&self, event: &ProcessEvent, exe: &[u8]) -> Option<Container> {
        let pid = event.owner.tgid;
        if exe == b"conmon" {
            let process = (pid, event.owner.start);
            let kept = self.known().words.remove(&process);
            let conmon = kept.or_else(|| conmon::parse(&words(pid)?))?;
            let found = self.state.of_conmon(&conmon, event.uid, &[pid]);
            if found.is_none() {
                let unread = (conmon, event.uid);
                self.known().unread.insert(process, unread);
            }
            return found;
        }
        let is_shim = exe.starts_with(b"containerd-shim") || exe == b"docker-containerd-shim";
        let words = is_shim.then(|| words(pid)).flatten()?;
        self.state.of_shim(&shim::parse(&words)?, event.uid)
    }

    /// A conmon leaves its child alone at once, before its own bundle could be
    /// read; its child shows it, in a container's files also.
    fn read_late(&self, event: &ProcessEvent) {
        let above = (event.above.tgid, event.above.start);
        let Some((conmon, uid)) = self.known().unread.remove(&above) else {
            return;
        };
        let found = self.state.of_conmon(&conmon, uid, &[event.ppid]);
        let Some(maker) = found else { return };
        let mut known = self.known();
        let identity = known.supervisors.entry(above).or_default();
        let place = identity.container.take();
        identity.container = Some(joined(place, maker));
    }

    /// The number of the rule that a supervisor is named by: the kernel side's,
    /// unless a rule says more than a basename. Of a process that is gone by now the
    /// basename and the executable's owner are known.
    fn name(&self, event: &ProcessEvent, exe: &[u8], program: Option<&Program>) -> u16 {
        let reported = event.owner.rule;
        let rules = self.rules();
        if !rules.are_qualified() {
            return reported;
        }
        let owner = event.exe_uid;
        let path = program.and_then(|program| program.path.as_deref());
        let rule = match path {
            None if rules.get(reported).is_none_or(|rule| rule.trusts(owner)) => reported,
            None => rules.named(exe, None, None, owner),
            Some(path) => {
                let cgroup = hierarchy::of_process(event.owner.tgid);
                let path = path.to_string_lossy();
                rules.named(exe, Some(&path), cgroup.as_deref(), owner)
            }
        };
        if rule != reported {
            self.names.set_owner(&event.owner, rule);
        }
        rule
    }

    /// How many entries each table has.
    pub fn sizes(&self) -> [(&'static str, usize); 3] {
        let known = self.known();
        [
            ("words", known.words.len()),
            ("supervisors", known.supervisors.len()),
            ("cgroups", known.cgroups.len()),
        ]
    }

    /// Whether it is time to forget those that are gone.
    pub fn is_crowded(&self) -> bool {
        self.known().supervisors.len() > CROWDED
    }

    /// Forgets supervisors that are gone.
    pub fn retain(&self, lives: impl Fn(&Process) -> bool) {
        self.known().supervisors.retain(|process, _| lives(process));
        self.names.retain(lives);
    }

    /// What is known of a supervisor.
    pub fn identity(&self, owner: &Owner) -> Identity {
        let known = self.known();
        let identity = known.supervisors.get(&(owner.tgid, owner.start));
        identity.cloned().unwrap_or_default()
    }

    /// Leave to read files that are this user's; `None` while some of them do not
    /// answer, so that one user takes one thread at most.
    fn may_read(&self, uid: u32) -> Option<Reading<'_>> {
        let mut known = self.known();
        let since = known.busy.get(&uid);
        if uid != 0 && since.is_some_and(|since| since.elapsed() > HUNG) {
            return None;
        }
        let is_first = since.is_none();
        if is_first && uid != 0 {
            known.busy.insert(uid, Instant::now());
        }
        Some(Reading {
            who: self,
            uid: Some(uid).filter(|uid| is_first && *uid != 0),
        })
    }
}

/// A user's files are being read as long as this lives.
struct Reading<'a> {
    who: &'a Who,
    uid: Option<u32>,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        if let Some(uid) = self.uid {
            self.who.known().busy.remove(&uid);
        }
    }
}

/// A container by its maker's word, and the place that the maker is in: the same
/// one, or the one around it.
fn joined(place: Option<Arc<Container>>, mut maker: Container) -> Arc<Container> {
    let Some(place) = place.filter(|place| !place.is_unit()) else {
        return Arc::new(maker);
    };
    if place.id == maker.id {
        let mut both = Arc::unwrap_or_clone(place);
        both.join(&maker);
        return Arc::new(both);
    }
    maker.within = Some(place.id.clone());
    Arc::new(maker)
}

/// Whether it is a container that its cgroup shows: a process can't give
/// itself one.
fn is_by_cgroup(container: &Container) -> bool {
    let from = container.origin.get("id").map(String::as_str);
    !container.is_unit() && from == Some("cgroup")
}

/// The words of a process that began before the agent, or whose words the
/// programs may not read.
fn words(pid: u32) -> Option<Vec<u8>> {
    let mut words = Vec::new();
    let file = open::system(format!("/proc/{pid}/cmdline")).ok()?;
    file.take(4_096).read_to_end(&mut words).ok()?;
    Some(words)
}

#[cfg(test)]
mod tests;
