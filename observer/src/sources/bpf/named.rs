//! The border: from the memory that the programs write to observations with names,
//! and back. Nothing above this folder knows a layout.

mod rows;

use observer_ebpf as abi;

use crate::{
    caps::CapSet,
    config::Recognised,
    finding::Link,
    observation::{
        ArgvEvent, BreachEvent, DenialEvent, Episode, EpisodeEnd, EpisodeEvent, Executed, Left,
        Open, Owner, ProcessChange, ProcessEvent, Task, WorkloadEvent,
    },
    words::{Layer, Reason, Role},
};

/// A zero-terminated name as text; bytes that are not UTF-8 are replaced.
pub fn text(bytes: &[u8]) -> String {
    let end = memchr::memchr(0, bytes).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn named(bytes: &[u8]) -> Option<String> {
    Some(text(bytes)).filter(|name| !name.is_empty())
}

/// The processes above, which end where one has no id.
fn links(ancestors: &[abi::Ancestor]) -> Vec<Link> {
    let known = ancestors.iter().take_while(|ancestor| ancestor.pid != 0);
    let links = known.map(|ancestor| Link {
        pid: ancestor.pid,
        comm: text(&ancestor.comm),
    });
    links.collect()
}

impl From<&abi::Owner> for Owner {
    fn from(owner: &abi::Owner) -> Self {
        let abi::Owner {
            start,
            tgid,
            rule,
            role,
            in_tree,
        } = *owner;
        Self {
            start,
            tgid,
            rule,
            role: Role::from_byte(role),
            in_tree: in_tree == abi::TASK_IN_TREE,
        }
    }
}

impl From<&Owner> for abi::Owner {
    fn from(owner: &Owner) -> Self {
        let Owner {
            start,
            tgid,
            rule,
            role,
            in_tree,
        } = *owner;
        Self {
            start,
            tgid,
            rule,
            role: role as u8,
            in_tree: if in_tree { abi::TASK_IN_TREE } else { 0 },
        }
    }
}

impl From<&abi::Task> for Task {
    fn from(task: &abi::Task) -> Self {
        Self {
            start: task.start,
            owner: (&task.owner).into(),
            ppid: task.ppid,
        }
    }
}

impl From<&abi::DenialEvent> for DenialEvent {
    fn from(event: &abi::DenialEvent) -> Self {
        Self {
            time: event.time,
            row: (&event.row).into(),
            tgid: event.tgid,
            exe: named(&event.exe),
            target: event.target,
            ancestors: links(&event.ancestors),
        }
    }
}

/// A word that is in four bytes.
fn word<T: Copy + Default>(all: &[T], number: u32) -> T {
    all.get(number as usize).copied().unwrap_or_default()
}

impl From<&abi::Episode> for Episode {
    fn from(raw: &abi::Episode) -> Self {
        Self {
            id: raw.id,
            first: raw.first,
            last: raw.last,
            last_refused: raw.last_refused,
            ended: raw.ended,
            status: raw.status,
            owner: (&raw.owner).into(),
            cgroup: raw.cgroup,
            before: CapSet(raw.before),
            after: CapSet(raw.after),
            effective: CapSet(raw.effective),
            profile: raw.profile,
            workload: Executed {
                bounding: CapSet(raw.workload.bounding),
                tgid: raw.workload.tgid,
                tid: raw.workload.tid,
                exe: named(&raw.workload.exe.0),
            },
            tgid: raw.tgid,
            tid: raw.tid,
            ppid: raw.ppid,
            uid: raw.uid,
            namespace: raw.namespace,
            level: raw.level,
            drops: raw.drops,
            refused_raised: raw.refused_raised,
            refused_lowered: raw.refused_lowered,
            unknown: raw.unknown,
            // The kernel side adds one, so nought is none.
            first_refused: raw.first_refused.checked_sub(1),
            layer: word(Layer::ALL, raw.layer),
            reason: word(Reason::ALL, raw.reason),
            raised: raw.raised,
            clean: raw.clean,
            refilled: raw.refilled,
            refused: CapSet(abi::decide::mask(&raw.refused)),
            granted: CapSet(abi::decide::mask(&raw.granted)),
            comm: text(&raw.comm),
            exe: named(&raw.exe),
            ancestors: links(&raw.ancestors),
        }
    }
}

impl From<&abi::EpisodeEnd> for EpisodeEnd {
    fn from(end: &abi::EpisodeEnd) -> Self {
        Self {
            time: end.time,
            after: CapSet(end.after),
            left: if end.fate == abi::Fate::Exec as u32 {
                Left::Exec
            } else {
                Left::Exit
            },
            status: end.status,
            namespace: end.namespace,
            open: end.open == 1,
        }
    }
}

impl From<&abi::EpisodeEvent> for EpisodeEvent {
    fn from(event: &abi::EpisodeEvent) -> Self {
        Self {
            episode: (&event.episode).into(),
            end: (&event.end).into(),
        }
    }
}

impl From<&abi::Episode> for Open {
    fn from(raw: &abi::Episode) -> Self {
        Self {
            id: raw.id,
            last: raw.last,
            last_refused: raw.last_refused,
            raised: raw.raised,
        }
    }
}

impl From<&abi::ProcessEvent> for ProcessEvent {
    fn from(event: &abi::ProcessEvent) -> Self {
        let change = match event.change {
            change if change == abi::ProcessChange::Started as u32 => ProcessChange::Started,
            change if change == abi::ProcessChange::Replaced as u32 => ProcessChange::Replaced,
            _ => ProcessChange::Ended,
        };
        Self {
            change,
            time: event.time,
            owner: (&event.owner).into(),
            cgroup: event.cgroup,
            ppid: event.ppid,
            uid: event.uid,
            above: (&event.above).into(),
            exe: named(&event.exe),
            exe_uid: Some(event.exe_uid).filter(|uid| *uid != abi::UNKNOWN_UID),
        }
    }
}

impl From<&abi::ArgvEvent> for ArgvEvent {
    fn from(event: &abi::ArgvEvent) -> Self {
        let length = (event.length as usize).min(event.bytes.len());
        Self {
            tgid: event.tgid,
            start: event.start,
            bytes: event.bytes[..length].to_vec(),
        }
    }
}

impl From<&abi::WorkloadEvent> for WorkloadEvent {
    fn from(event: &abi::WorkloadEvent) -> Self {
        Self {
            time: event.time,
            owner: (&event.owner).into(),
            cgroup: event.cgroup,
            bounding: CapSet(event.bounding),
            effective: CapSet(event.effective),
            episode: event.episode,
            tgid: event.tgid,
            ppid: event.ppid,
            namespace: event.namespace,
            level: event.level,
            above: event.above,
            inner_pid: event.inner_pid,
            comm: text(&event.comm),
            exe: named(&event.exe),
            ancestors: links(&event.ancestors),
        }
    }
}

impl From<&abi::BreachEvent> for BreachEvent {
    fn from(event: &abi::BreachEvent) -> Self {
        Self {
            time: event.time,
            key: (&event.key).into(),
            caller: (event.tgid != 0).then_some((event.tgid, event.uid)),
            exe: named(&event.exe),
            path: named(&event.path),
        }
    }
}

impl From<Recognised> for abi::Rule {
    fn from(rule: Recognised) -> Self {
        let Recognised {
            id,
            runtime,
            argv,
            judged,
        } = rule;
        Self {
            id,
            runtime: u8::from(runtime),
            argv: u8::from(argv),
            judged: u8::from(judged),
            reserved: [0; 3],
        }
    }
}

/// Sizes of what the programs write: a version with others can't read what one with
/// these has kept.
pub const fn layout() -> [usize; 7] {
    [
        size_of::<abi::RowKey>(),
        size_of::<abi::EpisodeEvent>(),
        size_of::<abi::ProcessEvent>(),
        size_of::<abi::WorkloadEvent>(),
        size_of::<abi::ArgvEvent>(),
        size_of::<abi::BreachKey>(),
        size_of::<abi::BreachEvent>(),
    ]
}

#[cfg(test)]
mod tests;
