//! The loop: what comes from the rings, the log and the clock.

use std::time::{Duration, Instant};

use super::{Agent, held::Item};
use crate::{correlate, sources::Source as _, time::Stamp};

/// How long the end may take to handle what lies in the rings.
const CATCH_UP: Duration = Duration::from_millis(250);

/// How often open episodes and losses are looked at.
const TICK: Duration = Duration::from_millis(500);

impl Agent {
    /// Handles what comes, for ever; a future that may be dropped at any time.
    ///
    /// # Errors
    /// When the rings can't be polled.
    pub async fn pump(&mut self) -> std::io::Result<()> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut events, mut logged) = (Vec::new(), Vec::new());
        loop {
            let reader = self.reader.as_mut();
            let ring = async {
                match reader {
                    Some(reader) => reader.next(|event| events.push(event)).await,
                    None => std::future::pending().await,
                }
            };
            // Whose turn it is is drawn by lot: a ring or a log that a storm keeps
            // full must not starve the others.
            let (bell, until) = (self.desk.bell(), self.held.until());
            let looked_up = async {
                match until {
                    Some(until) => {
                        let _ = tokio::time::timeout_at(until.into(), bell.notified()).await;
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                result = ring => result?,
                () = looked_up => {}
                result = self.log.next(|event| logged.push(event)) => result?,
                _ = tick.tick() => self.tick_now_and_then(),
            }
            for event in logged.drain(..) {
                self.receive(event);
            }
            for event in events.drain(..) {
                self.hold(Item::Event(event));
            }
            self.release_ready();
            // Signals and whatever else waits beside this get theirs too.
            tokio::task::yield_now().await;
        }
    }

    /// Handles what lies in the rings now; under a storm, what can be in a moment.
    /// Returns whether that was all.
    pub fn catch_up(&mut self) -> bool {
        let until = Instant::now() + CATCH_UP;
        let (mut events, mut logged) = (Vec::new(), Vec::new());
        while Instant::now() < until {
            let reader = self.reader.as_mut();
            let more = reader.is_some_and(|reader| reader.rest(|event| events.push(event)));
            for event in events.drain(..) {
                self.hold(Item::Event(event));
            }
            self.release_all();
            let more_logged = self.log.rest(|event| logged.push(event));
            for event in logged.drain(..) {
                self.receive(event);
            }
            if !more && !more_logged {
                return true;
            }
        }
        false
    }

    /// Whether everything is read that the rings had at this time, monotonic: they
    /// are read in order. Others may go on to fill them for ever.
    pub const fn has_read_until(&self, time: u64) -> bool {
        self.reported_until > time
    }

    /// What comes no more: records that no event was seen for.
    pub fn finish(&mut self) {
        self.release_all();
        self.count_breaches(true);
        // The log's last report has no more to wait for.
        self.settle_calls(Stamp(Stamp::now().0.saturating_add(correlate::SETTLE_NS)));
        let findings = self.correlator.finish();
        self.settle(findings);
    }

    /// Whether something younger than so many nanoseconds waits to be joined.
    pub fn waits(&self, younger: u64) -> bool {
        !self.held.is_empty() || self.correlator.waits(Stamp::now(), younger)
    }
}
