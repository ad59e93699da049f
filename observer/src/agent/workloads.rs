//! Workloads that run on with what was refused, until they end: a bounded number,
//! and of descriptors for them fewer still.

use std::{
    collections::BTreeMap,
    os::fd::{AsFd as _, OwnedFd},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, PidfdFlags, Resource, getrlimit, pidfd_open},
};

use crate::sources::proc;

/// Workloads that are watched at one time.
const MOST: usize = 4_096;
/// Of those, by a descriptor each, which shows the end at once.
const MOST_DESCRIPTORS: usize = 512;
/// Of the descriptors that the process may have, one in so many is a workload's.
const DESCRIPTORS: usize = 8;
/// Workloads without one that are looked for in `/proc` at a time.
const LOOKS: usize = 256;

/// How the end of a workload is noticed.
#[derive(Debug)]
enum By {
    /// Its descriptor becomes readable.
    Descriptor(OwnedFd),
    /// No process of its number has started then any more.
    Start(u64),
}

/// What came of watching a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Its end will be noticed.
    Watched,
    /// It has ended.
    Ended,
    /// There is no room for it.
    Full,
}

/// The workloads that are watched.
#[derive(Debug)]
pub struct Workloads {
    watched: BTreeMap<u32, By>,
    descriptors: usize,
    most_descriptors: usize,
    /// Where the look through `/proc` goes on.
    next: u32,
}

impl Default for Workloads {
    fn default() -> Self {
        let limit = getrlimit(Resource::Nofile).current;
        let limit = limit.map_or(usize::MAX, |limit| {
            usize::try_from(limit).unwrap_or(usize::MAX)
        });
        Self {
            watched: BTreeMap::new(),
            descriptors: 0,
            most_descriptors: MOST_DESCRIPTORS.min(limit / DESCRIPTORS),
            next: 0,
        }
    }
}

impl Workloads {
    /// How many are watched.
    pub fn len(&self) -> usize {
        self.watched.len()
    }

    /// Whether this one is watched.
    pub fn has(&self, pid: u32) -> bool {
        self.watched.contains_key(&pid)
    }

    /// Watches a process until it ends.
    pub fn watch(&mut self, pid: u32) -> Watch {
        if self.watched.len() >= MOST && !self.has(pid) {
            return Watch::Full;
        }
        self.forget(pid);
        if self.descriptors < self.most_descriptors {
            let id = i32::try_from(pid).ok().and_then(Pid::from_raw);
            let Some(id) = id else {
                return Watch::Ended;
            };
            match pidfd_open(id, PidfdFlags::empty()) {
                Ok(descriptor) => {
                    self.descriptors += 1;
                    self.watched.insert(pid, By::Descriptor(descriptor));
                    return Watch::Watched;
                }
                Err(Errno::SRCH | Errno::INVAL) => return Watch::Ended,
                // No descriptor is left, or the kernel has none of the kind.
                Err(error) => tracing::debug!("no pidfd for {pid}: {error}"),
            }
        }
        match proc::start(pid) {
            Some(start) => {
                self.watched.insert(pid, By::Start(start));
                Watch::Watched
            }
            None => Watch::Ended,
        }
    }

    fn forget(&mut self, pid: u32) {
        if let Some(By::Descriptor(_)) = self.watched.remove(&pid) {
            self.descriptors -= 1;
        }
    }

    /// Forgets those that ended: all that have a descriptor, and some of the
    /// others at a time.
    pub fn forget_ended(&mut self) {
        let mut ended = self.ended_descriptors();
        let others = |by: &By| match by {
            By::Start(start) => Some(*start),
            By::Descriptor(_) => None,
        };
        let mut looks = 0;
        let mut next = 0;
        for (pid, by) in self.watched.range(self.next..) {
            let Some(start) = others(by) else {
                continue;
            };
            if looks == LOOKS {
                next = *pid;
                break;
            }
            looks += 1;
            if proc::start(*pid) != Some(start) {
                ended.push(*pid);
            }
        }
        self.next = next;
        for pid in ended {
            self.forget(pid);
        }
    }

    fn ended_descriptors(&self) -> Vec<u32> {
        let mut pids = Vec::with_capacity(self.descriptors);
        let mut polled = Vec::with_capacity(self.descriptors);
        for (pid, by) in &self.watched {
            if let By::Descriptor(descriptor) = by {
                pids.push(*pid);
                polled.push(PollFd::from_borrowed_fd(descriptor.as_fd(), PollFlags::IN));
            }
        }
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        match poll(&mut polled, Some(&at_once)) {
            Ok(ready) if ready > 0 => {
                let states = pids.into_iter().zip(polled);
                let ended = states.filter(|(_, state)| !state.revents().is_empty());
                ended.map(|(pid, _)| pid).collect()
            }
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_types,
    reason = "the agent starts no programs, its tests do"
)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("60").spawn().unwrap()
    }

    fn end(mut child: Child) {
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn with(most_descriptors: usize) -> Workloads {
        Workloads {
            most_descriptors,
            ..Workloads::default()
        }
    }

    #[test]
    fn the_end_is_noticed_with_and_without_a_descriptor() {
        let mut workloads = with(1);
        let children = [sleeper(), sleeper(), sleeper()];
        let pids = children.each_ref().map(Child::id);
        for pid in pids {
            assert_eq!(workloads.watch(pid), Watch::Watched);
        }
        assert_eq!(workloads.descriptors, 1, "the others do without");
        workloads.forget_ended();
        assert_eq!(workloads.len(), 3, "running out of them is no end");
        let [first, second, third] = children;
        end(first);
        end(second);
        workloads.forget_ended();
        assert_eq!(pids.map(|pid| workloads.has(pid)), [false, false, true]);
        assert_eq!(workloads.descriptors, 0);
        let ended = third.id();
        end(third);
        assert_eq!(workloads.watch(ended), Watch::Ended);
        assert_eq!(workloads.len(), 0);
    }

    #[test]
    fn a_number_that_is_used_again_is_another_process() {
        let mut workloads = with(0);
        let child = sleeper();
        assert_eq!(workloads.watch(child.id()), Watch::Watched);
        // As if it had started at another time.
        workloads.watched.insert(child.id(), By::Start(1));
        workloads.forget_ended();
        assert_eq!(workloads.len(), 0);
        end(child);
    }

    #[test]
    fn there_is_an_end_to_what_is_watched_and_each_gets_its_look() {
        let mut workloads = with(0);
        let gone = |number: u32| u32::MAX - number;
        for number in 0..u32::try_from(MOST).unwrap() {
            workloads.watched.insert(gone(number), By::Start(1));
        }
        assert_eq!(workloads.watch(std::process::id()), Watch::Full);
        for _ in 0..=MOST / LOOKS {
            workloads.forget_ended();
        }
        assert_eq!(workloads.len(), 0);
    }
}
