//! Episodes from a log's SYSCALL records: drops that an audit rule asked for, and
//! those that stand beside a module's record. Of a whole log at its end, of a live
//! one as they go.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, VecDeque},
    hash::Hash,
};

use super::{CARRIED_ON_NS, LoggedDrops, logged_episode};
use crate::{
    audit::{Aside, Call, Deed, Epoch, Lsm, Record, Title, Verdict},
    caps::{self, CapSet},
    finding::{Container, Episode, Fate, Launched, Other, Scope, Sort},
    time::Stamp,
};

/// Processes and refused calls that are kept; a log has no end.
const MAX_KEPT: usize = 4_096;
/// Calls of one process so far apart are of another one that has its number.
const APART_NS: u64 = 60_000_000_000;
/// In a live log, what belongs to a call has come by then, by another source too.
pub const SETTLE_NS: u64 = 1_000_000_000;
/// `EPERM`: the capability is missing, or refused by a module.
const EPERM: i32 = 1;
/// `EINVAL`: the kernel knows no such capability.
const EINVAL: i32 = 22;

/// What an event is known by in a log.
type Event = (Option<Epoch>, u64);

/// Who refused, as a record of the same event tells.
#[derive(Clone)]
struct Blame {
    layer: &'static str,
    profile: Option<String>,
}

/// What an event tells of, by number.
#[derive(Clone, Copy)]
enum Target {
    Drops(u64),
    Capset(u64),
    /// A process executed a program, after these drops if any.
    Exec(u32, Option<u64>),
}

/// A live process that a log told of, as it is now.
#[derive(Clone, Debug, Default)]
pub struct Alive {
    /// Basename of its executable, where that may be read.
    pub exe: Option<String>,
    /// Its bounding set, likewise.
    pub bounding: Option<CapSet>,
}

/// What can be looked up of the processes that a log tells of.
pub trait Host {
    /// The supervisor of a process's name and its executable's basename.
    fn supervisor(&self, comm: &str, exe: Option<&str>) -> Option<String>;

    /// What a process is that ran at that time; nothing where it is gone.
    fn alive(&self, pid: u32, since: Stamp) -> Option<Alive>;

    /// The id of a process's cgroup; 0 where it is not known.
    fn cgroup(&self, pid: u32, since: Stamp) -> u64;

    /// The container of a cgroup, and how far from the recorded command it is.
    fn place(&self, cgroup: u64) -> (Option<Container>, Scope);
}

/// The drops of one process.
struct Drops {
    pid: u32,
    ppid: u32,
    comm: String,
    exe: Option<String>,
    serial: u64,
    first: Stamp,
    last: Stamp,
    calls: u32,
    refused: CapSet,
    first_refused: Option<u32>,
    refused_calls: u32,
    dropped: CapSet,
    unknown: u32,
    blame: Option<Blame>,
    /// The effective set that its program was executed with.
    effective: Option<u64>,
    executed: bool,
    /// The program that it went on to.
    went_on: Option<String>,
    cgroup: u64,
    /// Calls at the time that it was told as open.
    told: u32,
}

/// The calls of a log so far.
#[derive(Default)]
pub struct Calls {
    drops: BTreeMap<u64, Drops>,
    /// The last one of each process id.
    open: HashMap<u32, u64>,
    capsets: BTreeMap<u64, (Other, Option<Blame>)>,
    blamed: Recent<Event, Blame>,
    waiting: Recent<Event, Target>,
    /// Events whose call was read: two sources, or two forms of one, tell it twice.
    seen: Recent<Event, ()>,
    /// Titles that came before their call, as `ausearch` prints them.
    titled: Recent<Event, Title>,
    /// Effective sets that programs were executed with, by process id.
    given: Recent<u32, u64>,
    number: u64,
    /// Whether the log tells what is executed.
    tells_execs: bool,
    /// Calls that found no room.
    pub unlisted: u64,
}

impl Calls {
    /// A module's record, which says who refused a call of the same event.
    pub fn record(&mut self, record: &Record<'_>) {
        let refused = matches!(record.verdict, Some(Verdict::Denied | Verdict::Killed));
        let layer = match record.lsm {
            Some(Lsm::AppArmor) if record.capability == Some(caps::SETPCAP) => "apparmor",
            Some(Lsm::SeLinux) if record.capability == Some(caps::SETPCAP) => "selinux",
            Some(Lsm::Seccomp) => "seccomp",
            _ => return,
        };
        let (true, Some(serial)) = (refused, record.serial) else {
            return;
        };
        let event = (record.epoch, serial);
        let blame = Blame {
            layer,
            profile: record
                .profile
                .as_deref()
                .map(|name| String::from_utf8_lossy(name).into_owned()),
        };
        match self.waiting.get(event) {
            Some(Target::Drops(place)) => {
                if let Some(drops) = self.drops.get_mut(&place) {
                    drops.blame.get_or_insert(blame);
                }
            }
            Some(Target::Capset(place)) => {
                if let Some((_, blamed)) = self.capsets.get_mut(&place) {
                    blamed.get_or_insert(blame);
                }
            }
            Some(Target::Exec(..)) => {}
            None => self.blamed.put(event, blame),
        }
    }

    /// What stands beside such records.
    pub fn aside(&mut self, aside: &Aside, host: &impl Host) {
        match aside {
            Aside::Call(call) => self.call(call, host),
            Aside::Title(title) => self.title(title),
        }
    }

    fn call(&mut self, call: &Call, host: &impl Host) {
        let Some(pid) = call.pid else {
            return;
        };
        if let Some(serial) = call.serial {
            let event = (call.epoch, serial);
            if self.seen.get(event).is_some() {
                return;
            }
            self.seen.put(event, ());
        }
        match call.deed {
            Deed::Drop(capability) => self.drop(pid, capability, call, host),
            Deed::Capset if call.error == Some(EPERM) => self.capset(call),
            Deed::Exec if call.error == Some(0) => self.exec(pid, call),
            Deed::Capset | Deed::Exec => {}
        }
    }

    fn exec(&mut self, pid: u32, call: &Call) {
        self.tells_execs = true;
        self.given.remove(&pid);
        let place = self.open.remove(&pid);
        if let Some(drops) = place.and_then(|place| self.drops.get_mut(&place)) {
            drops.executed = true;
            drops.went_on = call.exe.as_deref().map(basename);
        }
        self.wait(call, Target::Exec(pid, place));
    }

    /// What names the program of a call, where its own record does not.
    fn title(&mut self, title: &Title) {
        let Some(serial) = title.serial else {
            return;
        };
        let event = (title.epoch, serial);
        match self.waiting.get(event) {
            Some(target) => self.name(target, title),
            None => self.titled.put(event, title.clone()),
        }
    }

    fn name(&mut self, target: Target, title: &Title) {
        let program = title.program.as_deref().map(basename);
        match target {
            Target::Drops(place) => {
                if let Some(drops) = self.drops.get_mut(&place) {
                    drops.exe = drops.exe.take().or(program);
                }
            }
            Target::Exec(pid, place) => {
                if let Some(drops) = place.and_then(|place| self.drops.get_mut(&place)) {
                    drops.went_on = drops.went_on.take().or(program);
                }
                if let Some(effective) = title.effective {
                    self.given.put(pid, effective);
                }
            }
            Target::Capset(_) => {}
        }
    }

    fn drop(&mut self, pid: u32, capability: u32, call: &Call, host: &impl Host) {
        let time = stamp(call);
        let exe = call.exe.as_deref().map(basename);
        let known = self.open.get(&pid).copied().filter(|place| {
            self.drops.get(place).is_some_and(|drops| {
                let other = exe.is_some() && drops.exe.is_some() && drops.exe != exe;
                !other && time.since(drops.last) < APART_NS
            })
        });
        let place = match known {
            Some(place) => place,
            None if self.drops.len() >= MAX_KEPT => {
                self.unlisted += 1;
                return;
            }
            None => {
                self.number += 1;
                let drops = Drops {
                    pid,
                    ppid: call.ppid.unwrap_or_default(),
                    comm: call.comm.as_deref().map(text).unwrap_or_default(),
                    exe,
                    serial: call.serial.unwrap_or_default(),
                    first: time,
                    last: time,
                    calls: 0,
                    refused: CapSet::EMPTY,
                    first_refused: None,
                    refused_calls: 0,
                    dropped: CapSet::EMPTY,
                    unknown: 0,
                    blame: None,
                    effective: self.given.get(pid),
                    executed: false,
                    went_on: None,
                    cgroup: host.cgroup(pid, time),
                    told: 0,
                };
                self.drops.insert(self.number, drops);
                self.open.insert(pid, self.number);
                self.number
            }
        };
        let blame = call
            .serial
            .and_then(|serial| self.blamed.get((call.epoch, serial)));
        self.wait(call, Target::Drops(place));
        let Some(drops) = self.drops.get_mut(&place) else {
            return;
        };
        drops.calls = drops.calls.saturating_add(1);
        drops.last = drops.last.max(time);
        let bit = CapSet(1_u64.checked_shl(capability).unwrap_or_default());
        match call.error {
            Some(0) => drops.dropped.0 |= bit.0,
            Some(EINVAL) => drops.unknown += 1,
            Some(_) | None => {
                drops.refused.0 |= bit.0;
                drops.first_refused.get_or_insert(capability);
                drops.refused_calls += 1;
                drops.blame = drops.blame.take().or(blame);
            }
        }
    }

    fn capset(&mut self, call: &Call) {
        if self.capsets.len() >= MAX_KEPT {
            self.unlisted += 1;
            return;
        }
        self.number += 1;
        let blame = call
            .serial
            .and_then(|serial| self.blamed.get((call.epoch, serial)));
        self.wait(call, Target::Capset(self.number));
        let time = stamp(call);
        let other = Other {
            kind: Sort::Capset,
            lsm: None,
            verdict: Some("denied".to_owned()),
            operation: Some("capset".to_owned()),
            capability: None,
            profile: None,
            comm: call.comm.as_deref().map(text),
            pid: call.pid,
            count: 1,
            first: time,
            last: time,
            explanation: String::new(),
        };
        self.capsets.insert(self.number, (other, blame));
    }

    /// Other records of a call's event may come, or have come.
    fn wait(&mut self, call: &Call, target: Target) {
        let Some(serial) = call.serial else {
            return;
        };
        let event = (call.epoch, serial);
        self.waiting.put(event, target);
        if let Some(title) = self.titled.remove(&event) {
            self.name(target, &title);
        }
    }

    /// The episodes with their times, and the refused calls of capset.
    pub fn finish(mut self, host: &impl Host) -> (Vec<(Stamp, Episode)>, Vec<Other>) {
        let drops = std::mem::take(&mut self.drops);
        let episodes = drops.into_values().map(|drops| {
            let fate = if drops.executed {
                Fate::Exec
            } else {
                Fate::Running
            };
            let outcome = Outcome {
                fate,
                ..Outcome::default()
            };
            (drops.last, drops.episode(outcome, false, host))
        });
        let episodes = episodes.collect();
        (episodes, self.refused(Stamp(u64::MAX)))
    }

    /// Of a live log, what can be told at this time: episodes that are over, and each
    /// open one again when it has grown; the refused calls of capset likewise.
    pub fn settle(&mut self, now: Stamp, host: &impl Host) -> (Vec<(Stamp, Episode)>, Vec<Other>) {
        let (mut episodes, mut over) = (Vec::new(), Vec::new());
        for (place, drops) in &mut self.drops {
            let silent = now.since(drops.last);
            if silent < SETTLE_NS {
                continue;
            }
            let outcome = drops.outcome(host.alive(drops.pid, drops.first), silent);
            let is_open = outcome.fate == Fate::Running;
            if is_open && drops.told == drops.calls {
                continue;
            }
            drops.told = drops.calls;
            let episode = drops.episode(outcome, self.tells_execs, host);
            episodes.push((drops.last, episode));
            if !is_open {
                over.push(*place);
            }
        }
        for place in over {
            if let Some(drops) = self.drops.remove(&place)
                && self.open.get(&drops.pid) == Some(&place)
            {
                self.open.remove(&drops.pid);
            }
        }
        let capsets = self.refused(Stamp(now.0.saturating_sub(SETTLE_NS)));
        (episodes, capsets)
    }

    /// The refused calls of capset up to a time, which are then forgotten.
    fn refused(&mut self, until: Stamp) -> Vec<Other> {
        let due = self
            .capsets
            .extract_if(.., |_, (other, _)| other.last <= until);
        let due = due.map(|(_, (other, blame))| Other {
            lsm: blame.as_ref().map(|blame| blame.layer.to_owned()),
            profile: blame.and_then(|blame| blame.profile),
            ..other
        });
        due.collect()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.drops.is_empty() && self.capsets.is_empty()
    }
}

/// What has become of a process with drops.
#[derive(Default)]
struct Outcome {
    fate: Fate,
    /// Its bounding set now.
    bounding: Option<CapSet>,
    /// The program that it runs now.
    exe: Option<String>,
}

impl Drops {
    fn outcome(&self, alive: Option<Alive>, silent: u64) -> Outcome {
        let is_alive = alive.is_some();
        let Alive { exe, bounding } = alive.unwrap_or_default();
        let differs = self.exe.is_some() && exe.is_some() && self.exe != exe;
        let fate = match is_alive {
            _ if self.executed => Fate::Exec,
            false => Fate::Exit,
            true if differs => Fate::Exec,
            true if silent >= CARRIED_ON_NS => Fate::CarriedOn,
            true => Fate::Running,
        };
        Outcome {
            fate,
            bounding,
            exe,
        }
    }

    fn episode(&self, outcome: Outcome, tells_execs: bool, host: &impl Host) -> Episode {
        let Outcome {
            fate,
            bounding,
            exe,
        } = outcome;
        let kept = CapSet(self.refused.0 & !self.dropped.0);
        let left = CapSet(kept.0 & bounding.map_or(u64::MAX, |set| set.0));
        let names = |set: CapSet| set.names().map(Cow::into_owned).collect();
        let has_setpcap = self
            .effective
            .is_some_and(|set| CapSet(set).contains(caps::SETPCAP));
        let (layer, profile) = match &self.blame {
            Some(blame) => (Some(blame.layer), blame.profile.clone()),
            None if self.refused_calls == 0 => (None, None),
            // It was executed with SETPCAP, and no record names the module.
            None if has_setpcap => (Some("lsm"), None),
            None => (Some("commoncap"), None),
        };
        let went_on = || self.went_on.clone().or(exe);
        let workload = (fate == Fate::Exec && !left.is_empty()).then(|| Launched {
            pid: self.pid,
            exe: went_on(),
            count: 1,
        });
        let (container, scope) = host.place(self.cgroup);
        logged_episode(LoggedDrops {
            id: format!("log-{:x}-{}", self.serial, self.pid),
            supervisor: host.supervisor(&self.comm, self.exe.as_deref()),
            pid: self.pid,
            ppid: self.ppid,
            comm: self.comm.clone(),
            exe: self.exe.clone(),
            container,
            scope,
            effective: self.effective.map(|set| format!("{set:#x}")),
            layer: layer.map(str::to_owned),
            profile,
            drops: self.calls,
            refused: self.refused_calls,
            unknown: self.unknown,
            first_refused: self
                .first_refused
                .map(|number| caps::name(number).into_owned()),
            left: names(left),
            was_absent: left.is_empty() && !kept.is_empty(),
            fate,
            tells_execs,
            workload,
            seconds: self.last.seconds_since(self.first),
        })
    }
}

fn stamp(call: &Call) -> Stamp {
    Stamp(call.epoch.map_or(0, Epoch::nanos))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn basename(path: &[u8]) -> String {
    text(path.rsplit(|byte| *byte == b'/').next().unwrap_or(path))
}

/// The newest of something, of which a log may have others between.
struct Recent<K, T> {
    known: HashMap<K, T>,
    order: VecDeque<K>,
}

impl<K, T> Default for Recent<K, T> {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            order: VecDeque::new(),
        }
    }
}

impl<K: Copy + Eq + Hash, T: Clone> Recent<K, T> {
    fn put(&mut self, key: K, one: T) {
        if self.known.insert(key, one).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > MAX_KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    fn get(&self, key: K) -> Option<T> {
        self.known.get(&key).cloned()
    }

    /// Its place in the order is given up in turn.
    fn remove(&mut self, key: &K) -> Option<T> {
        self.known.remove(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Verdict as Worth;

    /// No process is there any more.
    struct Gone;

    impl Host for Gone {
        fn supervisor(&self, _: &str, _: Option<&str>) -> Option<String> {
            None
        }

        fn alive(&self, _: u32, _: Stamp) -> Option<Alive> {
            None
        }

        fn cgroup(&self, _: u32, _: Stamp) -> u64 {
            0
        }

        fn place(&self, _: u64) -> (Option<Container>, Scope) {
            (None, Scope::Host)
        }
    }

    fn call(deed: Deed, error: i32, serial: u64) -> Call {
        Call {
            deed,
            error: Some(error),
            pid: Some(7),
            ppid: Some(6),
            comm: Some(b"box"[..].into()),
            exe: Some(b"/opt/box"[..].into()),
            epoch: Epoch::from_millis(1_795_458_347_188 + serial),
            serial: Some(serial),
        }
    }

    fn aside(calls: &mut Calls, call: Call) {
        calls.aside(&Aside::Call(call), &Gone);
    }

    fn told(calls: Calls) -> Vec<Episode> {
        let (episodes, _) = calls.finish(&Gone);
        episodes.into_iter().map(|(_, episode)| episode).collect()
    }

    fn denied(serial: u64) -> Record<'static> {
        Record {
            lsm: Some(Lsm::AppArmor),
            verdict: Some(Verdict::Denied),
            capability: Some(caps::SETPCAP),
            profile: Some(b"jail"[..].into()),
            epoch: Epoch::from_millis(1_795_458_347_188 + serial),
            serial: Some(serial),
            ..Record::default()
        }
    }

    #[test]
    fn a_refusal_alone_is_commoncaps_and_beside_a_record_the_modules() {
        for (record_first, record_last, layer) in [
            (false, false, "commoncap"),
            (true, false, "apparmor"),
            (false, true, "apparmor"),
        ] {
            let mut calls = Calls::default();
            if record_first {
                calls.record(&denied(1));
            }
            aside(&mut calls, call(Deed::Drop(21), 1, 1));
            if record_last {
                calls.record(&denied(1));
            }
            aside(&mut calls, call(Deed::Drop(22), 1, 2));
            let [episode] = &told(calls)[..] else {
                panic!("one");
            };
            assert_eq!(episode.layer.as_deref(), Some(layer));
            assert_eq!((episode.drops, episode.refused_raised), (2, 2));
            assert_eq!(episode.verdict, Worth::Pending);
            assert_eq!(episode.residual, ["sys_admin", "sys_boot"]);
        }
    }

    #[test]
    fn what_came_of_it_decides_on_the_verdict() {
        let of = |all: &[(Deed, i32)]| {
            let mut calls = Calls::default();
            for (serial, (deed, error)) in all.iter().enumerate() {
                aside(&mut calls, call(*deed, *error, serial as u64));
            }
            told(calls)[0].verdict
        };
        assert_eq!(of(&[(Deed::Drop(21), 0)]), Worth::Ok);
        assert_eq!(of(&[(Deed::Drop(63), EINVAL)]), Worth::Ok);
        assert_eq!(of(&[(Deed::Drop(21), 1), (Deed::Drop(21), 0)]), Worth::Ok);
        assert_eq!(of(&[(Deed::Drop(21), 1), (Deed::Exec, 0)]), Worth::Degraded);
        assert_eq!(of(&[(Deed::Drop(21), 1), (Deed::Exec, 2)]), Worth::Pending);
    }

    #[test]
    fn a_number_used_again_is_another_process_and_all_is_bounded() {
        let mut calls = Calls::default();
        for serial in 0..3 {
            aside(&mut calls, call(Deed::Drop(21), 1, serial * 100_000));
        }
        assert_eq!(told(calls).len(), 3);
        let mut calls = Calls::default();
        for serial in 0..10_000 {
            let mut one = call(Deed::Drop(21), 1, serial);
            one.pid = u32::try_from(serial).ok();
            aside(&mut calls, one);
        }
        assert_eq!(calls.unlisted, 10_000 - MAX_KEPT as u64);
        assert!(calls.waiting.known.len() <= MAX_KEPT);
        assert_eq!(told(calls).len(), MAX_KEPT);
    }

    /// A process that is still there.
    struct There(Alive);

    impl Host for There {
        fn alive(&self, _: u32, _: Stamp) -> Option<Alive> {
            Some(self.0.clone())
        }

        fn supervisor(&self, _: &str, _: Option<&str>) -> Option<String> {
            None
        }

        fn cgroup(&self, _: u32, _: Stamp) -> u64 {
            0
        }

        fn place(&self, _: u64) -> (Option<Container>, Scope) {
            (None, Scope::Host)
        }
    }

    /// So long after the first call.
    fn after(seconds: u64) -> Stamp {
        Stamp(1_795_458_347_188_000_000 + seconds * 1_000_000_000)
    }

    #[test]
    fn a_live_log_s_episodes_end_with_what_became_of_the_process() {
        let refused = || {
            let mut calls = Calls::default();
            aside(&mut calls, call(Deed::Drop(21), 1, 1));
            aside(&mut calls, call(Deed::Drop(21), 1, 1));
            calls
        };
        let of = |calls: &mut Calls, seconds: u64, host: &dyn Fn() -> Option<Alive>| {
            let (episodes, _) = match host() {
                Some(alive) => calls.settle(after(seconds), &There(alive)),
                None => calls.settle(after(seconds), &Gone),
            };
            let episodes = episodes.into_iter();
            let told = episodes.map(|(_, one)| (one.verdict, one.fate, one.drops));
            told.collect::<Vec<_>>()
        };
        let gone = || None;
        let same = || {
            Some(Alive {
                exe: Some("box".to_owned()),
                bounding: Some(CapSet(u64::MAX)),
            })
        };
        let other = || {
            Some(Alive {
                exe: Some("web".to_owned()),
                ..Alive::default()
            })
        };
        let without = || {
            Some(Alive {
                exe: Some("web".to_owned()),
                bounding: Some(CapSet::EMPTY),
            })
        };
        // Two sources told the same call, and what belongs to it may still come.
        let mut calls = refused();
        assert!(of(&mut calls, 0, &gone).is_empty());
        assert_eq!(of(&mut calls, 2, &gone), [(Worth::Degraded, Fate::Exit, 1)]);
        assert!(calls.is_empty());
        let mut calls = refused();
        let mut exec = call(Deed::Exec, 0, 2);
        exec.pid = Some(99);
        aside(&mut calls, exec);
        assert_eq!(of(&mut calls, 2, &gone), [(Worth::Fatal, Fate::Exit, 1)]);
        let mut calls = refused();
        assert_eq!(
            of(&mut calls, 2, &same),
            [(Worth::Pending, Fate::Running, 1)]
        );
        assert!(of(&mut calls, 3, &same).is_empty(), "told once");
        assert_eq!(
            of(&mut calls, 11, &same),
            [(Worth::Degraded, Fate::CarriedOn, 1)]
        );
        assert_eq!(
            of(&mut refused(), 2, &other),
            [(Worth::Degraded, Fate::Exec, 1)]
        );
        assert_eq!(
            of(&mut refused(), 2, &without),
            [(Worth::Harmless, Fate::Exec, 1)]
        );
    }

    #[test]
    fn other_records_of_an_event_name_the_programs() {
        let title = |program: &str, effective, serial| {
            Aside::Title(Title {
                program: (!program.is_empty()).then(|| program.as_bytes().to_vec().into()),
                effective,
                epoch: Epoch::from_millis(1_795_458_347_188 + serial),
                serial: Some(serial),
            })
        };
        for title_first in [false, true] {
            let mut calls = Calls::default();
            // Executed with SETPCAP, by its file's capabilities.
            aside(&mut calls, call(Deed::Exec, 0, 1));
            calls.aside(&title("", Some(0x100), 1), &Gone);
            let mut nameless = call(Deed::Drop(21), 1, 2);
            nameless.exe = None;
            let names = title("/opt/box", None, 2);
            if title_first {
                calls.aside(&names, &Gone);
                aside(&mut calls, nameless);
            } else {
                aside(&mut calls, nameless);
                calls.aside(&names, &Gone);
            }
            let mut exec = call(Deed::Exec, 0, 3);
            exec.exe = None;
            aside(&mut calls, exec);
            calls.aside(&title("/srv/web", None, 3), &Gone);
            let [episode] = &told(calls)[..] else {
                panic!("one");
            };
            assert_eq!(episode.exe.as_deref(), Some("box"));
            assert_eq!(episode.effective, "0x100");
            assert_eq!(episode.layer.as_deref(), Some("lsm"));
            let workload = episode.workload.as_ref().and_then(|one| one.exe.as_deref());
            assert_eq!(workload, Some("web"));
            assert!(
                episode.explanation.contains("executed with CAP_SETPCAP"),
                "{}",
                episode.explanation
            );
        }
    }
}
