//! Joins an LSM's audit record with the event of the same denial: by process,
//! capability and profile within a window, never by time or profile alone.
//!
//! LSMs leave records out by design, so an event without a record is normal; a
//! record without an event means that a hook is missing or an event was lost,
//! and is reported, never thrown away.

use std::collections::VecDeque;

use crate::{
    audit::{Lsm, Record, Verdict},
    finding::Scope,
    observation::{AuditSeen, Comm, DenialSeen, Row},
    time::Stamp,
    words::Layer,
};

/// A record's stamp is that of the last tick, 0 to 10 ms behind the event
/// (`ktime_get_coarse_real`), and never after it but for the clocks' sampling.
const BEFORE_NS: u64 = 2_000_000;
/// How far an event may lie behind its record's stamp: a tick, and the length
/// of a system call where auditing stamps its entry.
const AFTER_NS: u64 = 260_000_000;
/// How long the kernel side does not report a row again (`TELL_AGAIN_NS`).
const QUIET_NS: u64 = 1_000_000_000;
/// How long either waits for the other.
pub const HOLD_NS: u64 = 2_000_000_000;
/// Events and records that wait at one time; beyond, the oldest is settled.
const MAX_WAITING: usize = 8_192;

/// An LSM's denial as the hooks reported it.
#[derive(Clone, Debug)]
struct Event {
    row: Row,
    time: Stamp,
    tgid: u32,
    capability: u32,
    layer: Layer,
    profile: Option<String>,
    supervisor: Option<String>,
    scope: Scope,
}

/// A record, and what it was joined with.
#[derive(Clone, Debug)]
pub struct Joined {
    /// The record.
    pub seen: AuditSeen,
    /// The row of the event that was found for it.
    pub row: Option<Row>,
    /// Whether several events would have fitted, and time decided.
    pub ambiguous: bool,
    /// Whether the record says that the refused check was allowed.
    pub contradicted: bool,
}

/// Events and records that wait for one another.
#[derive(Debug, Default)]
pub struct Join {
    events: VecDeque<Event>,
    records: VecDeque<AuditSeen>,
    /// `SELinux`'s of late: the kernel side reports a row's first denial and then one
    /// a second, while the log has each.
    reported: VecDeque<Reported>,
}

/// A row that was reported, and when.
#[derive(Clone, Debug)]
struct Reported {
    event: Event,
    comm: Comm,
}

impl Join {
    /// Takes in an event; gives the record that waited for it, or what it pushed out.
    pub fn event(&mut self, seen: &DenialSeen, supervisor: Option<String>) -> Vec<Joined> {
        let row = seen.row();
        let layer = row.layer;
        if !matches!(layer, Layer::Apparmor | Layer::Selinux | Layer::Lsm) {
            return Vec::new();
        }
        let event = Event {
            row: *row,
            time: seen.time,
            tgid: seen.event.tgid,
            capability: row.capability.into(),
            layer,
            profile: seen.profile.clone(),
            supervisor,
            scope: seen.scope,
        };
        if layer == Layer::Selinux {
            if self.reported.len() == MAX_WAITING {
                self.reported.pop_front();
            }
            self.reported.push_back(Reported {
                event: event.clone(),
                comm: row.comm,
            });
        }
        let waiting = self
            .records
            .iter()
            .position(|record| is_denial(&record.record) && fits(&event, &record.record));
        if let Some(seen) = waiting.and_then(|index| self.records.remove(index)) {
            return vec![joined(seen, event)];
        }
        let mut settled = Vec::new();
        if self.events.len() == MAX_WAITING
            && let Some(oldest) = self.events.pop_front()
        {
            settled.extend(self.contradicted(oldest));
        }
        self.events.push_back(event);
        settled
    }

    /// Takes in a record; gives it back at once where its event came before it.
    pub fn record(&mut self, seen: AuditSeen) -> Vec<Joined> {
        // What was allowed has no event, unless no other record claims one.
        if is_denial(&seen.record) {
            let mut candidates =
                (0..self.events.len()).filter(|index| fits(&self.events[*index], &seen.record));
            // The latest one before the record came, as the kernel logs at once.
            let first = candidates.next();
            let last = candidates.next_back().or(first);
            if let Some(event) = last.and_then(|index| self.events.remove(index)) {
                return vec![Joined {
                    ambiguous: last != first,
                    ..joined(seen, event)
                }];
            }
        }
        let mut settled = Vec::new();
        if self.records.len() == MAX_WAITING {
            let oldest = self.records.pop_front();
            settled.extend(oldest.map(|record| self.alone(record)));
        }
        self.records.push_back(seen);
        settled
    }

    /// Gives up on what has waited for too long; gives the records among it.
    pub fn expire(&mut self, now: Stamp) -> Vec<Joined> {
        let mut settled = Vec::new();
        // Whatever came before it: each waits for so long and no longer.
        let old = |since: Stamp| now.since(since) > HOLD_NS;
        let events = std::mem::take(&mut self.events).into_iter();
        let (late, events): (VecDeque<_>, _) = events.partition(|event| old(event.time));
        self.events = events;
        for event in late {
            settled.extend(self.contradicted(event));
        }
        let records = std::mem::take(&mut self.records).into_iter();
        let (late, records): (VecDeque<_>, _) = records.partition(|record| old(record.received));
        self.records = records;
        for record in late {
            settled.push(self.alone(record));
        }
        let old = HOLD_NS + QUIET_NS;
        while self
            .reported
            .pop_front_if(|reported| now.since(reported.event.time) > 2 * old)
            .is_some()
        {}
        settled
    }

    /// Gives every record that still waits, at the end.
    pub fn finish(&mut self) -> Vec<Joined> {
        let events = std::mem::take(&mut self.events);
        let joined: Vec<_> = events
            .into_iter()
            .filter_map(|event| self.contradicted(event))
            .collect();
        let records = std::mem::take(&mut self.records);
        let alone = records.into_iter().map(|record| self.alone(record));
        joined.into_iter().chain(alone).collect()
    }

    /// The record that says of a refused check that it was allowed, where no
    /// other record reports it.
    fn contradicted(&mut self, event: Event) -> Option<Joined> {
        let waiting = self
            .records
            .iter()
            .position(|record| fits(&event, &record.record))?;
        let seen = self.records.remove(waiting)?;
        Some(Joined {
            contradicted: !is_denial(&seen.record),
            ..joined(seen, event)
        })
    }

    /// A record that no event came for: of a denial of a row that was reported a moment
    /// before it, or of one that the hooks did not see.
    fn alone(&self, seen: AuditSeen) -> Joined {
        let mut reported = self.reported.iter().rev();
        let reported = reported.find(|reported| reported.is_of(&seen.record));
        match reported {
            Some(reported) if is_denial(&seen.record) => joined(seen, reported.event.clone()),
            _ => Joined {
                seen,
                row: None,
                ambiguous: false,
                contradicted: false,
            },
        }
    }

    /// Whether anything waits, or is remembered for what comes.
    pub fn is_waiting(&self) -> bool {
        !self.events.is_empty() || !self.records.is_empty() || !self.reported.is_empty()
    }

    /// Whether an event younger than so many nanoseconds still waits for its record.
    pub fn waits(&self, now: Stamp, younger: u64) -> bool {
        self.events
            .iter()
            .any(|event| now.since(event.time) < younger)
            || self
                .records
                .iter()
                .any(|record| now.since(record.received) < younger)
    }
}

impl Reported {
    /// Whether a record is of the row, and of the second in which it is not reported
    /// again. Another process of the same name counts in the same row.
    fn is_of(&self, record: &Record<'_>) -> bool {
        let Self { event, comm } = self;
        let same_name = || record.comm.as_deref() == Some(comm.bytes());
        let stamp = record.epoch.filter(|epoch| !epoch.is_zero());
        let in_time = stamp.is_some_and(|epoch| {
            let stamp = epoch.nanos();
            event.time.0 <= stamp + AFTER_NS && stamp <= event.time.0 + QUIET_NS + AFTER_NS
        });
        record.lsm == Some(Lsm::SeLinux)
            && record.capability == Some(event.capability)
            && in_time
            && (record.pid == Some(event.tgid) || same_name())
    }
}

fn joined(seen: AuditSeen, event: Event) -> Joined {
    Joined {
        seen: AuditSeen {
            supervisor: event.supervisor,
            scope: event.scope,
            ..seen
        },
        row: Some(event.row),
        ambiguous: false,
        contradicted: false,
    }
}

fn fits(event: &Event, record: &Record<'_>) -> bool {
    let lsm = match event.layer {
        Layer::Apparmor => record.lsm == Some(Lsm::AppArmor),
        Layer::Selinux => record.lsm == Some(Lsm::SeLinux),
        _ => true,
    };
    lsm && record.pid == Some(event.tgid)
        && record.capability == Some(event.capability)
        && profile_fits(event.profile.as_deref(), record)
        && time_fits(event.time, record)
}

/// A stack's label names all its profiles, its record one of them.
fn profile_fits(profile: Option<&str>, record: &Record<'_>) -> bool {
    let (Some(profile), Some(logged)) = (profile, record.profile.as_deref()) else {
        return true;
    };
    let logged = String::from_utf8_lossy(logged);
    profile == logged || profile.split("//&").any(|member| member == logged)
}

fn time_fits(time: Stamp, record: &Record<'_>) -> bool {
    let Some(epoch) = record.epoch.filter(|epoch| !epoch.is_zero()) else {
        return true;
    };
    let stamp = epoch.nanos();
    time.0 + BEFORE_NS >= stamp && time.0 <= stamp + AFTER_NS
}

/// Whether a record reports a denial: what complain mode allows is none,
/// unless an event shows that the check was refused all the same.
pub fn is_denial(record: &Record<'_>) -> bool {
    record.is_about_capability()
        && matches!(
            record.verdict,
            Some(Verdict::Denied | Verdict::Killed) | None
        )
}

#[cfg(test)]
mod tests;
