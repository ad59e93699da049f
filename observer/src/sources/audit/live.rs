//! The live sources of this host, behind one channel.

use std::sync::{Arc, Mutex};

use tokio::sync::mpsc::{self, Receiver};

use super::{
    Counters, Dedup, Sink, SourceEvent, SourceName,
    kmsg::KernelLog,
    netlink::{Netlink, in_initial_network_namespace},
};
use crate::finding::SourceReport;

/// Records that wait for the agent; the readers never wait for it.
const CHANNEL: usize = 8_192;
/// Records by which one that two sources tell is known again.
const REMEMBERED: usize = 4_096;

/// One source.
struct Source {
    name: SourceName,
    counters: Arc<Counters>,
    up: bool,
    reason: Option<String>,
}

/// The sources that are heard, and those that can't be.
pub struct Live {
    sources: Vec<Source>,
    events: Receiver<SourceEvent>,
}

impl Live {
    /// Listens to the audit multicast group, and to `/dev/kmsg` where that
    /// can't be had. Must be called within a tokio runtime.
    pub fn open() -> Self {
        let (sender, events) = mpsc::channel(CHANNEL);
        let dedup = Arc::new(Mutex::new(Dedup::new(REMEMBERED)));
        let mut sources = Vec::new();
        let mut sink = |name: SourceName, failure: Option<String>| {
            let counters = Arc::new(Counters::default());
            sources.push(Source {
                name,
                counters: Arc::clone(&counters),
                up: failure.is_none(),
                reason: failure,
            });
            Sink::new(name, sender.clone(), counters, Arc::clone(&dedup))
        };
        let netlink = if in_initial_network_namespace() == Some(false) {
            Err(
                "not in the initial network namespace, where alone the kernel sends audit \
                 records: run in the host's (podman run --network=host)"
                    .to_owned(),
            )
        } else {
            Netlink::bind().map_err(|error| error.to_string())
        };
        match netlink {
            Ok(netlink) => {
                tokio::spawn(netlink.run(sink(SourceName::Netlink, None)));
            }
            Err(reason) => {
                drop(sink(SourceName::Netlink, Some(reason)));
                match KernelLog::open() {
                    Ok(log) => {
                        tokio::spawn(log.run(sink(SourceName::Kmsg, None)));
                    }
                    Err(error) => drop(sink(SourceName::Kmsg, Some(error.to_string()))),
                }
            }
        }
        Self { sources, events }
    }

    /// Waits for what a source tells; never returns where no source is left.
    pub async fn next(&mut self) -> SourceEvent {
        match self.events.recv().await {
            Some(event) => self.note(event),
            None => std::future::pending().await,
        }
    }

    /// What lies in the channel now.
    pub fn rest(&mut self) -> Option<SourceEvent> {
        let event = self.events.try_recv().ok()?;
        Some(self.note(event))
    }

    fn note(&mut self, event: SourceEvent) -> SourceEvent {
        let (name, up, reason) = match &event {
            SourceEvent::Up { source } => (*source, true, None),
            SourceEvent::Down { source, reason } => (*source, false, Some(reason.clone())),
            _ => return event,
        };
        if let Some(source) = self.sources.iter_mut().find(|source| source.name == name) {
            source.up = up;
            source.reason = reason;
        }
        event
    }

    /// The state of every source.
    pub fn report(&self) -> Vec<SourceReport> {
        let sources = self.sources.iter();
        sources
            .map(|source| {
                let counters = source.counters.snapshot();
                SourceReport {
                    name: source.name.name().to_owned(),
                    up: source.up,
                    records: counters.records,
                    lost: source.counters.lost_total(),
                    malformed: counters.malformed,
                    reason: source.reason.clone(),
                }
            })
            .collect()
    }
}
