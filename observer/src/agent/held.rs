//! What waits for a look-up, for a short time: the agent goes on meanwhile, and
//! in the end with what is known.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::Agent;
use crate::{
    finding::EventKind,
    ledger::LOOKUP,
    observation::{Episode, Observation, ProcessChange, ProcessEvent, Task},
    sources::bpf::KernelEvent,
    time::Stamp,
    who::Ticket,
};

/// How long an event waits for what is looked up of it, where somebody is alarmed by it.
pub const PROMPT: Duration = Duration::from_millis(200);
/// The same where a report is made of it in the end.
pub const PATIENT: Duration = Duration::from_secs(2);
/// The same for what ran before the agent: all of it is looked up at once.
const AT_START: Duration = Duration::from_secs(2);
/// Events that wait; beyond it the first goes on with what is known.
const MAX_HELD: usize = 4_096;
/// Supervisors that were reported before they were looked up.
const MAX_LATE: usize = 1_024;

/// What waits.
pub(super) enum Item {
    /// An event of a ring.
    Event(KernelEvent),
    /// A copy of an open episode.
    Open(Box<Episode>, u64),
    /// A workload that began before the agent.
    Workload(u32, Box<Task>),
}

struct Held {
    item: Item,
    ticket: Option<Ticket>,
    until: Instant,
}

/// Events in the order in which they came, each with what it waits for.
#[derive(Default)]
pub(super) struct Queue {
    held: VecDeque<Held>,
    late: Vec<(ProcessEvent, Ticket)>,
    /// Whether what ran before the agent is being looked up.
    pub(super) is_starting: bool,
    /// Events that went on before they were looked up.
    count: u64,
}

impl Queue {
    /// When the first has waited for long enough; none where nothing waits.
    pub(super) fn until(&self) -> Option<Instant> {
        self.held.front().map(|held| held.until)
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// The first, where it need not wait any more, and whether it comes too early.
    fn next(&mut self, now: Instant) -> Option<(Item, Option<Ticket>)> {
        let front = self.held.front()?;
        let is_done = front.ticket.as_ref().is_none_or(Ticket::is_done);
        if !is_done && now < front.until && self.held.len() <= MAX_HELD {
            return None;
        }
        let Held { item, ticket, .. } = self.held.pop_front()?;
        let late = ticket.filter(|_| !is_done);
        self.count += u64::from(late.is_some());
        Some((item, late))
    }
}

impl Agent {
    /// Handles an event as soon as what it needs is looked up, after those that
    /// came before it.
    pub(super) fn hold(&mut self, item: Item) {
        if let Item::Event(event) = &item {
            self.reported_until = self.reported_until.max(time_of(event));
        }
        let ticket = match &item {
            Item::Event(KernelEvent::Denial(event)) => {
                self.desk.cgroup(event.row.cgroup, event.tgid)
            }
            Item::Event(KernelEvent::Episode(event)) => {
                self.desk.cgroup(event.episode.cgroup, event.episode.tgid)
            }
            Item::Event(KernelEvent::Workload(event)) if event.inner_pid == 1 => {
                self.desk.launched(event.cgroup, event.tgid)
            }
            Item::Event(KernelEvent::Workload(event)) => self.desk.cgroup(event.cgroup, event.tgid),
            Item::Event(KernelEvent::Breach(event)) => {
                let pid = event.caller.map_or(0, |(pid, _)| pid);
                self.desk.cgroup(event.key.cgroup, pid)
            }
            Item::Event(KernelEvent::Process(event)) => {
                let began = event.change == ProcessChange::Started;
                began.then(|| self.desk.started(event)).flatten()
            }
            // Kept at once, since its own event comes next.
            Item::Event(KernelEvent::Argv(event)) => {
                self.who.keep_argv(event);
                return;
            }
            Item::Open(episode, _) => self.desk.cgroup(episode.cgroup, episode.tgid),
            Item::Workload(pid, _) => self.desk.cgroup(self.who.cgroup_id(*pid), *pid),
        };
        if ticket.is_none() && self.held.is_empty() {
            return self.release(item);
        }
        self.held.held.push_back(Held {
            item,
            ticket,
            until: Instant::now()
                + if self.held.is_starting {
                    AT_START
                } else {
                    self.patience
                },
        });
        if self.held.held.len() > MAX_HELD {
            self.release_ready();
        }
    }

    /// Handles what has waited for long enough.
    pub(super) fn release_ready(&mut self) {
        while let Some((item, late)) = self.held.next(Instant::now()) {
            if let (Some(ticket), Item::Event(KernelEvent::Process(event))) = (late, &item)
                && self.held.late.len() < MAX_LATE
            {
                self.held.late.push(((**event).clone(), ticket));
            }
            self.release(item);
        }
    }

    /// Waits for what was looked up of those that ran before the agent.
    pub(super) fn release_started(&mut self) {
        self.release_all();
        self.held.is_starting = false;
    }

    /// Waits until nothing is held any more; a short time at most.
    pub(super) fn release_all(&mut self) {
        self.release_ready();
        while let Some(until) = self.held.until() {
            let step = until.saturating_duration_since(Instant::now());
            std::thread::sleep(step.min(Duration::from_millis(1)));
            self.release_ready();
        }
    }

    /// Supervisors of which more is known by now are listed with it; and what was
    /// not looked up in time is counted.
    pub(super) fn note_late(&mut self) {
        self.desk.relieve();
        let late = std::mem::take(&mut self.held.late);
        for (event, ticket) in late {
            if ticket.is_done() {
                self.relist(event);
            } else {
                self.held.late.push((event, ticket));
            }
        }
        let count = std::mem::take(&mut self.held.count) + self.desk.take_refused();
        if count > 0 {
            self.shared.lose(LOOKUP, "lookups_late", count);
        }
    }

    fn relist(&self, event: ProcessEvent) {
        let Some(seen) = self.supervisor(event, Stamp::now()) else {
            return;
        };
        let finding = self.correlator.process(&seen);
        let mut ledger = self.shared.ledger();
        let tgid = seen.event.owner.tgid;
        if ledger.supervisors.live().contains_key(&tgid) {
            ledger.enter(&finding);
        } else if let EventKind::Supervisor(event) = &finding.event.kind {
            // Its version's failures are counted from nought all the same.
            let version = event.version.as_deref().unwrap_or_default();
            ledger.episodes.appear(&event.supervisor, version);
        }
    }

    fn release(&mut self, item: Item) {
        match item {
            Item::Event(event) => self.handle(event),
            Item::Open(episode, now) => {
                let until = self.clock.stamp(now);
                let seen = self.episode(&episode, None, until);
                self.enter(now, Observation::Episode(Box::new(seen)));
            }
            Item::Workload(pid, task) => self.look_at_workload(pid, &task),
        }
    }
}

/// When a state was reported; a denial's detail has its own ring, and its count is
/// in the kernel.
const fn time_of(event: &KernelEvent) -> u64 {
    match event {
        KernelEvent::Episode(episode) => episode.end.time,
        KernelEvent::Process(process) => process.time,
        KernelEvent::Workload(workload) => workload.time,
        KernelEvent::Breach(breach) => breach.time,
        KernelEvent::Denial(_) | KernelEvent::Argv(_) => 0,
    }
}
