//! Episodes from a log's SYSCALL records: drops that an audit rule asked for, and
//! those that stand beside a module's record. Of a whole log at its end, of a live
//! one as they go.

mod drops;
mod recent;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use drops::{Drops, Outcome};
use recent::Recent;

use crate::{
    audit::{Aside, Call, Deed, Epoch, Lsm, Record, Title, Verdict},
    caps::{self, CapSet},
    finding::{Container, Episode, Fate, Other, Scope, Sort},
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

/// Who refused, as a record of the same event shows.
#[derive(Clone)]
struct Blame {
    layer: &'static str,
    profile: Option<String>,
}

/// What an event reports, by number.
#[derive(Clone, Copy)]
enum Target {
    Drops(u64),
    Capset(u64),
    /// A process executed a program, after these drops if any.
    Exec(u32, Option<u64>),
}

/// A live process that a log reported, as it is now.
#[derive(Clone, Debug, Default)]
pub struct Alive {
    /// Basename of its executable, where that may be read.
    pub exe: Option<String>,
    /// Its bounding set, likewise.
    pub bounding: Option<CapSet>,
}

/// What can be looked up of the processes that a log reports.
pub trait Host {
    /// The supervisor of a process's name and its executable's basename.
    fn supervisor(&self, comm: &str, exe: Option<&str>) -> Option<String>;

    /// What a process is that ran at that time; nothing where it is gone.
    fn alive(&self, pid: u32, since: Stamp) -> Option<Alive>;

    /// The id of a process's cgroup; 0 where it is not known.
    fn cgroup(&self, pid: u32, since: Stamp) -> u64;

    /// The container of a cgroup, and how far from the recorded command it is.
    fn place(&self, cgroup: u64) -> (Option<Arc<Container>>, Scope);
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
    /// Events whose call was read: two sources, or two forms of one, have it twice.
    seen: Recent<Event, ()>,
    /// Titles that came before their call, as `ausearch` prints them.
    titled: Recent<Event, Title>,
    /// Effective sets that programs were executed with, by process id.
    given: Recent<u32, u64>,
    number: u64,
    /// Whether the log shows what is executed.
    shows_execs: bool,
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

    /// What is beside such records.
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
        self.shows_execs = true;
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
                    reported: 0,
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

    /// Of a live log, what can be reported at this time: episodes that are over, and each
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
            if is_open && drops.reported == drops.calls {
                continue;
            }
            drops.reported = drops.calls;
            let episode = drops.episode(outcome, self.shows_execs, host);
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

fn stamp(call: &Call) -> Stamp {
    Stamp(call.epoch.map_or(0, Epoch::nanos))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn basename(path: &[u8]) -> String {
    text(path.rsplit(|byte| *byte == b'/').next().unwrap_or(path))
}

#[cfg(test)]
mod tests;
