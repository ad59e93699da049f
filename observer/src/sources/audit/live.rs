//! The live sources of this host, behind one channel.

use std::{
    io,
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use thiserror::Error;
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::{
    AuditSource, Counters, Dedup, Sink, SourceEvent, SourceName,
    follow::{self, Follow},
    kmsg::KernelLog,
    netlink::{Netlink, in_initial_network_namespace},
    stream::{self, OpenError},
};
use crate::{
    finding::SourceReport,
    sources::{BATCH, Source},
};

/// Records that wait for the agent; the readers never wait for it.
const CHANNEL: usize = 8_192;
/// Records by which one that two sources report is known again.
const REMEMBERED: usize = 4_096;

/// One of them.
struct Known {
    name: SourceName,
    counters: Arc<Counters>,
    up: bool,
    reason: Option<String>,
}

/// Sources while they are opened.
struct Opening {
    sources: Vec<Known>,
    events: Receiver<SourceEvent>,
    sender: Sender<SourceEvent>,
    dedup: Arc<Mutex<Dedup>>,
    wants_calls: Arc<AtomicBool>,
    /// The socket of the multicast group that systemd passed.
    passed: Option<OwnedFd>,
}

impl Opening {
    fn new(passed: Option<OwnedFd>) -> Self {
        let (sender, events) = mpsc::channel(CHANNEL);
        Self {
            sources: Vec::new(),
            events,
            sender,
            dedup: Arc::new(Mutex::new(Dedup::new(REMEMBERED))),
            wants_calls: Arc::default(),
            passed,
        }
    }

    /// Notes a source, with what is to be said of it.
    fn note(&mut self, name: SourceName, up: bool, reason: Option<String>) -> Sink {
        let counters = Arc::new(Counters::default());
        self.sources.push(Known {
            name,
            counters: Arc::clone(&counters),
            up,
            reason,
        });
        let dedup = Arc::clone(&self.dedup);
        Sink::new(name, self.sender.clone(), counters, dedup)
            .with_calls(Arc::clone(&self.wants_calls))
    }

    /// Whether it can be had.
    fn netlink(&mut self) -> bool {
        let netlink = if let Some(socket) = self.passed.take() {
            Netlink::passed(socket).map_err(|error| error.to_string())
        } else if in_initial_network_namespace() == Some(false) {
            Err(
                "not in the initial network namespace, and the kernel delivers audit records \
                 only there: run it in the host's (podman run --network=host)"
                    .to_owned(),
            )
        } else {
            Netlink::bind().map_err(|error| error.to_string())
        };
        let is_bound = netlink.is_ok();
        match netlink {
            Ok(netlink) => {
                let blind = (!netlink.knows_kernel_lost()).then(|| {
                    "the kernel's count of lost records is not read (it takes \
                     CAP_AUDIT_CONTROL): gaps in the records' numbers show what was lost"
                        .to_owned()
                });
                let sink = self.note(SourceName::Netlink, true, blind);
                tokio::spawn(netlink.run(sink));
            }
            Err(reason) => drop(self.note(SourceName::Netlink, false, Some(reason))),
        }
        is_bound
    }

    fn kmsg(&mut self) {
        match KernelLog::open() {
            Ok(log) => {
                let sink = self.note(SourceName::Kmsg, true, None);
                tokio::spawn(log.run(sink));
            }
            Err(error) => drop(self.note(SourceName::Kmsg, false, Some(error.to_string()))),
        }
    }

    fn named(&mut self, source: &AuditSource) -> Result<(), LiveError> {
        let name = source.name();
        if self.sources.iter().any(|known| known.name == name) {
            return Err(LiveError::Twice(source.clone()));
        }
        let file = |error| LiveError::File {
            source_name: source.clone(),
            error,
        };
        let thread = |error| LiveError::Thread {
            source_name: source.clone(),
            error,
        };
        match source {
            AuditSource::Netlink => drop(self.netlink()),
            AuditSource::Kmsg => self.kmsg(),
            AuditSource::Log(path) => {
                let follow = Follow::open(path, follow::From::End).map_err(file)?;
                let sink = self.note(name, true, None);
                follow.spawn(sink).map_err(thread)?;
            }
            AuditSource::Pipe(path) => {
                stream::check(path).map_err(file)?;
                let waiting = format!("no writer for {} yet", path.display());
                let sink = self.note(name, false, Some(waiting));
                stream::spawn_path(path, sink).map_err(thread)?;
            }
            AuditSource::Stdin => {
                let sink = self.note(name, true, None);
                stream::spawn(io::stdin(), sink).map_err(thread)?;
            }
        }
        Ok(())
    }
}

/// The sources that are connected, and those that can't be.
pub struct Live {
    sources: Vec<Known>,
    events: Receiver<SourceEvent>,
    wants_calls: Arc<AtomicBool>,
}

/// Why a source that an operator named can't be had.
#[derive(Debug, Error)]
pub enum LiveError {
    /// Two would go by one name.
    #[error("{0} is a second source of its kind: name one log, and one pipe or standard input")]
    Twice(AuditSource),
    /// The file is not to be read.
    #[error("audit source {source_name}: {error}")]
    File {
        /// The source.
        source_name: AuditSource,
        /// What the system said.
        error: OpenError,
    },
    /// No thread can be started for it.
    #[error("audit source {source_name}: {error}")]
    Thread {
        /// The source.
        source_name: AuditSource,
        /// What the system said.
        error: io::Error,
    },
}

impl Live {
    /// Listens to the sources that are named; where none is, to the audit
    /// multicast group, and to `/dev/kmsg` where that can't be had. `passed` is a
    /// socket of the group that somebody else made. What the host refuses is reported
    /// by [`Live::report`]. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Where a file that is named can't be read: that is a mistake to fix.
    pub fn open(wanted: &[AuditSource], passed: Option<OwnedFd>) -> Result<Self, LiveError> {
        let mut opening = Opening::new(passed);
        if wanted.is_empty() && !opening.netlink() {
            opening.kmsg();
        }
        for source in wanted {
            opening.named(source)?;
        }
        let Opening {
            sources,
            events,
            wants_calls,
            ..
        } = opening;
        Ok(Self {
            sources,
            events,
            wants_calls,
        })
    }

    /// Makes the sources report calls that change capabilities, or not: where a hook
    /// watches drops, each would count twice.
    pub fn want_calls(&self, wanted: bool) {
        self.wants_calls.store(wanted, Ordering::Relaxed);
    }

    /// Whether they do.
    pub fn wants_calls(&self) -> bool {
        self.wants_calls.load(Ordering::Relaxed)
    }

    fn note(&mut self, event: SourceEvent) -> SourceEvent {
        let (name, up, reason) = match &event {
            SourceEvent::Up { source } => (*source, true, None),
            SourceEvent::Down { source, reason } => (*source, false, Some(reason.clone())),
            _ => return event,
        };
        if let Some(source) = self.sources.iter_mut().find(|source| source.name == name) {
            // What is to be said of one that works stays said.
            if !(up && source.up) {
                source.reason = reason;
            }
            source.up = up;
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

impl Source for Live {
    type Event = SourceEvent;

    async fn next(&mut self, mut hand: impl FnMut(SourceEvent) + Send) -> io::Result<()> {
        let Some(event) = self.events.recv().await else {
            // No source is left.
            return std::future::pending().await;
        };
        hand(self.note(event));
        self.rest(hand);
        Ok(())
    }

    fn rest(&mut self, mut hand: impl FnMut(SourceEvent)) -> bool {
        for handed in 0..BATCH {
            let Ok(event) = self.events.try_recv() else {
                return handed > 0;
            };
            hand(self.note(event));
        }
        true
    }
}
