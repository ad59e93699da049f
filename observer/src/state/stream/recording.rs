//! A command's recording: what sources saw of it, written whole.

use std::{
    collections::{HashMap, VecDeque},
    io::{self, Write},
    sync::mpsc::{SyncSender, sync_channel},
    thread::{Builder, JoinHandle},
};

use super::{QUEUE, whole, write};
use crate::{
    audit::Lsm,
    config::Rules,
    correlate::{HOLD_NS, NEAR_NS},
    finding::{End, Episode, Header, LossEvent, Scope, SourceReport, Sources},
    observation::{
        Observation, Row, Total,
        stream::{CountedRow, CountedTotal, Line, Logged, RecordedRules, Says},
    },
    sight::Sight,
    time::Stamp,
    words::{Audited, Layer},
};

/// For so long others' observations are held, and what may need them is known: longer
/// than an event and its record wait for one another.
const KNOWN_NS: u64 = HOLD_NS + 500_000_000;
/// What is held, and what may need it.
const MAX_HELD: usize = 8_192;

/// Writes a recording.
#[derive(Debug)]
pub struct Recording {
    queue: SyncSender<Vec<u8>>,
    writer: JoinHandle<io::Result<()>>,
    scope: Scope,
    /// How much each row had counted when it was written last.
    rows: HashMap<Row, u64>,
    totals: HashMap<Total, u64>,
    sources: Vec<SourceReport>,
    sight: Sight,
    /// What came of other processes, until something of the command needs it.
    held: VecDeque<(Stamp, Observation)>,
    /// What of the command may need it.
    lately: VecDeque<(Stamp, Lately)>,
}

/// What was written of the command lately, as far as others' observations matter to it.
#[derive(Debug)]
struct Lately {
    pid: Option<u32>,
    /// Its thread's name, where `SELinux` refused: the log has each denial of a row, and
    /// may name another process of that name.
    comm: Option<Vec<u8>>,
    /// When a drop failed that no module refused: another's denial near it is named as
    /// what is not the cause.
    failed: Option<Stamp>,
}

impl Lately {
    fn of(observation: &Observation) -> Self {
        let (mut comm, mut failed) = (None, None);
        match observation {
            Observation::Denial(seen) if seen.row().layer == Layer::Selinux => {
                comm = Some(seen.row().comm.bytes().to_vec());
            }
            Observation::Episode(seen) if seen.episode.layer == Layer::Commoncap => {
                failed = Some(seen.until);
            }
            _ => {}
        }
        Self {
            pid: observation.pid(),
            comm,
            failed,
        }
    }

    /// Whether another's observation matters to it.
    fn needs(&self, other: &Observation) -> bool {
        let of_it = self.pid.is_some() && other.pid() == self.pid;
        of_it
            || match other {
                Observation::Audit(seen) => {
                    let comm = self.comm.as_deref();
                    seen.record.lsm == Some(Lsm::SeLinux)
                        && comm.is_some()
                        && comm == seen.record.comm.as_deref()
                }
                Observation::Denial(seen) => {
                    let near = |at: Stamp| at.0.abs_diff(seen.time.0) <= NEAR_NS;
                    seen.row().audited == Audited::Yes && self.failed.is_some_and(near)
                }
                _ => false,
            }
    }
}

/// Whether an observation of another process may matter to what comes of the command.
fn may_matter(observation: &Observation) -> bool {
    match observation {
        Observation::Audit(_) => true,
        Observation::Denial(seen) => {
            let layer = seen.row().layer;
            matches!(layer, Layer::Apparmor | Layer::Selinux | Layer::Lsm)
        }
        _ => false,
    }
}

impl Recording {
    /// Begins one: it is to be whole, and a failure to write is reported by
    /// [`Recording::finish`].
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn begin(out: Box<dyn Write + Send>, header: Header, rules: &Rules) -> io::Result<Self> {
        let (queue, lines) = sync_channel(QUEUE);
        let writer = Builder::new()
            .name("events".to_owned())
            .spawn(move || write(out, &lines))?;
        let recording = Self {
            queue,
            writer,
            scope: header.scope.unwrap_or_default(),
            rows: HashMap::new(),
            totals: HashMap::new(),
            sources: header.sources.clone(),
            sight: Sight::default(),
            held: VecDeque::new(),
            lately: VecDeque::new(),
        };
        let rules = RecordedRules {
            names: rules.names(),
            supervisors: rules.typed().to_vec(),
            release: rules.release(),
        };
        recording.say(Says::Header(Box::new(header)));
        recording.say(Says::Rules(Box::new(rules)));
        Ok(recording)
    }

    /// Whose observations it has.
    pub const fn scope(&self) -> Scope {
        self.scope
    }

    /// Writes what a source reported, where it is of the scope that was asked for. What is
    /// of another process, or of one that is gone and may have been the command's, waits
    /// until something of the command needs it.
    pub fn observed(&mut self, observation: &Observation) {
        let now = Stamp::now();
        let old = |since: Stamp| now.since(since) > KNOWN_NS;
        while self.held.pop_front_if(|(since, _)| old(*since)).is_some() {}
        while self.lately.pop_front_if(|(since, _)| old(*since)).is_some() {}
        if self.scope.takes(observation.scope()) {
            let lately = Lately::of(observation);
            for (since, other) in std::mem::take(&mut self.held) {
                if lately.needs(&other) {
                    self.say(Says::Observed(other));
                } else {
                    self.held.push_back((since, other));
                }
            }
            if self.lately.len() == MAX_HELD {
                self.lately.pop_front();
            }
            self.lately.push_back((now, lately));
        } else if !may_matter(observation) {
            return;
        } else if !self.lately.iter().any(|(_, one)| one.needs(observation)) {
            if self.held.len() == MAX_HELD {
                self.held.pop_front();
            }
            self.held.push_back((now, observation.clone()));
            return;
        }
        self.say(Says::Observed(observation.clone()));
    }

    /// Writes that the clock was looked at. What nothing of the command needed by now, it
    /// never will.
    pub fn clock(&mut self, now: Stamp) {
        self.held.retain(|(_, other)| match other {
            Observation::Audit(seen) => now.since(seen.received) <= HOLD_NS,
            Observation::Denial(seen) => now.since(seen.time) <= HOLD_NS,
            _ => false,
        });
        self.say(Says::Clock(now));
    }

    /// Writes what a log alone reported of drops.
    pub fn logged(&self, episode: &Episode, time: Stamp) {
        if self.scope.takes(episode.scope) {
            let episode = episode.clone();
            self.say(Says::Logged(Box::new(Logged { time, episode })));
        }
    }

    /// Writes that something was lost, which may concern the command.
    pub fn loss(&self, loss: &LossEvent) {
        self.say(Says::Loss(loss.clone()));
    }

    /// Writes the state of a row, unless it is the one written last.
    pub fn row(&mut self, row: CountedRow) {
        if row.folded {
            self.rows.remove(&row.row);
        } else if self.rows.insert(row.row, row.count) == Some(row.count) {
            return;
        }
        self.say(Says::Row(Box::new(row)));
    }

    /// Writes how many denials found no row, unless that was written last.
    pub fn total(&mut self, total: CountedTotal) {
        if self.totals.insert(total.total, total.count) != Some(total.count) {
            self.say(Says::Total(Box::new(total)));
        }
    }

    /// Writes the state of the sources, and what was not seen, unless it is what was
    /// written last.
    pub fn sources(&mut self, sources: &[SourceReport], sight: &Sight) {
        if self.sources == sources && self.sight == *sight {
            return;
        }
        self.sources = sources.to_vec();
        self.sight = sight.clone();
        self.say(Says::Sources(Box::new(Sources {
            sources: sources.to_vec(),
            sight: Some(sight.clone()),
        })));
    }

    /// Writes the last line, and waits until everything is written.
    ///
    /// # Errors
    /// The writer's own.
    pub fn finish(self, end: End) -> io::Result<()> {
        self.say(Says::End(Box::new(end)));
        drop(self.queue);
        whole(self.writer)
    }

    fn say(&self, says: Says) {
        // Plain structs with text keys: serialising them can't fail.
        if let Ok(mut text) = serde_json::to_vec(&Line::new(Stamp::now(), says)) {
            text.push(b'\n');
            // A writer that failed reports so at the end.
            let _ = self.queue.send(text);
        }
    }
}
