//! The way from a reader to the channel: counted, deduplicated, spread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use super::counters::{Counters, bump};
use super::dedup::Dedup;
use super::event::{LostReason, SourceEvent, SourceName};
use crate::audit::{Aside, Foreign, Form, LossCount, Lsm, Parsed};

/// All reports of one source go through here.
#[derive(Debug)]
pub struct Sink {
    source: SourceName,
    sender: Sender<SourceEvent>,
    counters: Arc<Counters>,
    dedup: Arc<Mutex<Dedup>>,
    wants_calls: Arc<AtomicBool>,
    when_full: WhenFull,
    losses: LossCount,
}

/// How to send: kernel sockets overflow while one waits, files do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WhenFull {
    Drop,
    Wait,
}

impl Sink {
    /// For `source`; `dedup` is shared by all sources, `counters` by the metrics.
    pub fn new(
        source: SourceName,
        sender: Sender<SourceEvent>,
        counters: Arc<Counters>,
        dedup: Arc<Mutex<Dedup>>,
    ) -> Self {
        Self {
            source,
            sender,
            counters,
            dedup,
            wants_calls: Arc::new(AtomicBool::new(false)),
            when_full: WhenFull::Drop,
            losses: LossCount::new(),
        }
    }

    /// Reports calls too while this says so: a host may log every exec.
    #[must_use]
    pub(super) fn with_calls(self, wants_calls: Arc<AtomicBool>) -> Self {
        Self {
            wants_calls,
            ..self
        }
    }

    /// Whether calls are to be reported.
    pub(super) fn wants_calls(&self) -> bool {
        self.wants_calls.load(Ordering::Relaxed)
    }

    /// Reports what is beside records.
    pub(super) fn offer_aside(&self, aside: Option<Aside>) {
        if let Some(aside) = aside.filter(|_| self.wants_calls()) {
            let aside = Box::new(aside);
            self.send(SourceEvent::Aside { aside });
        }
    }

    /// Whether nobody listens any more, so the source may end.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// The same, but waiting for room in the channel: for readers that have a
    /// their own thread, outside of the runtime.
    #[must_use]
    pub(super) fn patient(self) -> Self {
        Self {
            when_full: WhenFull::Wait,
            ..self
        }
    }

    /// Reports what was received at `received`.
    pub fn offer(&mut self, parsed: Parsed<'_>, received: u64) {
        self.offer_formed(Form::default(), parsed, received);
    }

    /// The same of a log that may hold a record in several forms.
    pub fn offer_formed(&mut self, form: Form, parsed: Parsed<'_>, received: u64) {
        match parsed {
            Parsed::Record(record) => {
                bump(&self.counters.records);
                // A poisoned lock guards counts that are whole between statements.
                let is_new = self
                    .dedup
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .is_new(self.source, form, &record);
                if !is_new {
                    bump(&self.counters.duplicates);
                    return;
                }
                // The others are counted, and nobody asks for more of them: a flood of
                // file accesses is to leave room for what matters.
                let names_filter = record.lsm == Some(Lsm::Seccomp) && self.wants_calls();
                if !record.is_about_capability() && !names_filter {
                    return;
                }
                for one in record.into_owned().each() {
                    let record = Box::new(one);
                    self.send(SourceEvent::Record {
                        source: self.source,
                        record,
                        received,
                    });
                }
            }
            Parsed::Foreign(Foreign::Loss(loss)) => {
                bump(&self.counters.foreign);
                let count = self.losses.newly(loss);
                self.lost(LostReason::Log(loss.reason), count);
            }
            Parsed::Foreign(_) => bump(&self.counters.foreign),
            Parsed::Malformed(why) => {
                bump(&self.counters.malformed);
                self.send(SourceEvent::Malformed {
                    source: self.source,
                    why,
                });
            }
        }
    }

    /// Reports that records were lost.
    pub fn lost(&self, reason: LostReason, count: u64) {
        self.counters.add_lost(reason, count);
        self.send(SourceEvent::Lost {
            source: self.source,
            reason,
            count,
        });
    }

    /// Reports that the source works.
    pub fn up(&self) {
        self.counters.set_up(true);
        self.send(SourceEvent::Up {
            source: self.source,
        });
    }

    /// Reports that the source does not work, and why.
    pub fn down(&self, reason: impl Into<String>) {
        self.counters.set_up(false);
        let reason = reason.into();
        self.send(SourceEvent::Down {
            source: self.source,
            reason,
        });
    }

    fn send(&self, event: SourceEvent) {
        let dropped = match self.when_full {
            WhenFull::Drop => match self.sender.try_send(event) {
                Ok(()) | Err(TrySendError::Closed(_)) => return,
                Err(TrySendError::Full(event)) => event,
            },
            // Fails only when nobody listens, which is no loss.
            WhenFull::Wait => match self.sender.blocking_send(event) {
                Ok(()) | Err(_) => return,
            },
        };
        if matches!(
            dropped,
            SourceEvent::Record { .. } | SourceEvent::Aside { .. }
        ) {
            self.counters.add_lost(LostReason::ChannelFull, 1);
        }
    }
}

/// Nanoseconds since 1970.
pub fn realtime() -> u64 {
    let now = clock_gettime(ClockId::Realtime);
    let (seconds, nanos) = (u64::try_from(now.tv_sec), u64::try_from(now.tv_nsec));
    seconds
        .unwrap_or(0)
        .saturating_mul(1_000_000_000)
        .saturating_add(nanos.unwrap_or(0))
}
