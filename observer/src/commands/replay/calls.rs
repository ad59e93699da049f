//! Episodes from a log's SYSCALL records: drops that an audit rule asked for, and
//! those that stand beside a module's record.

use std::{
    borrow::Cow,
    collections::{HashMap, VecDeque},
};

use crate::{
    audit::{Call, Deed, Epoch, Lsm, Record, Verdict},
    caps::{self, CapSet},
    correlate::{LoggedDrops, logged_episode},
    finding::{Episode, Other, Sort},
    time::Stamp,
};

/// Processes and refused calls that are kept; a log has no end.
const MAX_KEPT: usize = 4_096;
/// Calls of one process so far apart are of another one that has its number.
const APART_NS: u64 = 60_000_000_000;
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

/// Whose refusal an event tells of.
#[derive(Clone, Copy)]
enum Target {
    Drops(usize),
    Capset(usize),
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
    executed: bool,
}

/// The calls of a log so far.
#[derive(Default)]
pub struct Calls {
    drops: Vec<Drops>,
    /// The last one of each process id.
    open: HashMap<u32, usize>,
    capsets: Vec<(Other, Option<Blame>)>,
    blamed: Recent<Blame>,
    waiting: Recent<Target>,
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
                self.drops[place].blame.get_or_insert(blame);
            }
            Some(Target::Capset(place)) => {
                self.capsets[place].1.get_or_insert(blame);
            }
            None => self.blamed.put(event, blame),
        }
    }

    /// A call.
    pub fn call(&mut self, call: &Call) {
        let Some(pid) = call.pid else {
            return;
        };
        match call.deed {
            Deed::Drop(capability) => self.drop(pid, capability, call),
            Deed::Capset if call.error == Some(EPERM) => self.capset(call),
            Deed::Exec if call.error == Some(0) => {
                if let Some(place) = self.open.remove(&pid) {
                    self.drops[place].executed = true;
                }
            }
            Deed::Capset | Deed::Exec => {}
        }
    }

    fn drop(&mut self, pid: u32, capability: u32, call: &Call) {
        let time = stamp(call);
        let exe = call.exe.as_deref().map(text);
        let known = self.open.get(&pid).copied().filter(|place| {
            let drops = &self.drops[*place];
            drops.exe == exe && time.since(drops.last) < APART_NS
        });
        let place = match known {
            Some(place) => place,
            None if self.drops.len() >= MAX_KEPT => {
                self.unlisted += 1;
                return;
            }
            None => {
                self.drops.push(Drops {
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
                    executed: false,
                });
                self.open.insert(pid, self.drops.len() - 1);
                self.drops.len() - 1
            }
        };
        let drops = &mut self.drops[place];
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
                if drops.blame.is_none() {
                    let blame = self.blame(call, Target::Drops(place));
                    self.drops[place].blame = blame;
                }
            }
        }
    }

    fn capset(&mut self, call: &Call) {
        if self.capsets.len() >= MAX_KEPT {
            self.unlisted += 1;
            return;
        }
        let blame = self.blame(call, Target::Capset(self.capsets.len()));
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
        self.capsets.push((other, blame));
    }

    fn blame(&mut self, call: &Call, target: Target) -> Option<Blame> {
        let event = (call.epoch, call.serial?);
        let blame = self.blamed.get(event);
        if blame.is_none() {
            self.waiting.put(event, target);
        }
        blame
    }

    /// The episodes with their times, and the refused calls of capset.
    pub fn finish(
        self,
        supervisor: impl Fn(&str, Option<&str>) -> Option<String>,
    ) -> (Vec<(Stamp, Episode)>, Vec<Other>) {
        let episodes = self.drops.into_iter().map(|drops| {
            let time = drops.last;
            (time, drops.episode(&supervisor))
        });
        let capsets = self.capsets.into_iter().map(|(other, blame)| Other {
            lsm: blame.as_ref().map(|blame| blame.layer.to_owned()),
            profile: blame.and_then(|blame| blame.profile),
            ..other
        });
        (episodes.collect(), capsets.collect())
    }
}

impl Drops {
    fn episode(self, supervisor: impl Fn(&str, Option<&str>) -> Option<String>) -> Episode {
        let exe = self
            .exe
            .as_deref()
            .map(|path| path.rsplit('/').next().unwrap_or(path).to_owned());
        let left = CapSet(self.refused.0 & !self.dropped.0);
        let names = |set: CapSet| set.names().map(Cow::into_owned).collect();
        let (layer, profile) = match self.blame {
            Some(blame) => (Some(blame.layer.to_owned()), blame.profile),
            None if self.refused_calls > 0 => (Some("commoncap".to_owned()), None),
            None => (None, None),
        };
        logged_episode(LoggedDrops {
            id: format!("log-{:x}-{}", self.serial, self.pid),
            supervisor: supervisor(&self.comm, exe.as_deref()),
            pid: self.pid,
            ppid: self.ppid,
            comm: self.comm,
            exe,
            layer,
            profile,
            drops: self.calls,
            refused: self.refused_calls,
            unknown: self.unknown,
            first_refused: self
                .first_refused
                .map(|number| caps::name(number).into_owned()),
            left: names(left),
            executed: self.executed,
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

/// The newest events, of which a log may have others between.
struct Recent<T> {
    known: HashMap<Event, T>,
    order: VecDeque<Event>,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            order: VecDeque::new(),
        }
    }
}

impl<T: Clone> Recent<T> {
    fn put(&mut self, event: Event, one: T) {
        if self.known.insert(event, one).is_none() {
            self.order.push_back(event);
        }
        if self.order.len() > MAX_KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    fn get(&self, event: Event) -> Option<T> {
        self.known.get(&event).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Verdict as Worth;

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

    fn told(calls: Calls) -> Vec<Episode> {
        let (episodes, _) = calls.finish(|_, _| None);
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
            calls.call(&call(Deed::Drop(21), 1, 1));
            if record_last {
                calls.record(&denied(1));
            }
            calls.call(&call(Deed::Drop(22), 1, 2));
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
                calls.call(&call(*deed, *error, serial as u64));
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
            calls.call(&call(Deed::Drop(21), 1, serial * 100_000));
        }
        assert_eq!(told(calls).len(), 3);
        let mut calls = Calls::default();
        for serial in 0..10_000 {
            let mut one = call(Deed::Drop(21), 1, serial);
            one.pid = u32::try_from(serial).ok();
            calls.call(&one);
        }
        assert_eq!(calls.unlisted, 10_000 - MAX_KEPT as u64);
        assert!(calls.waiting.known.len() <= MAX_KEPT);
        assert_eq!(told(calls).len(), MAX_KEPT);
    }
}
