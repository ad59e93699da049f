//! Jobs as the machine reports them, each within its time.

use std::{
    io::Write as _,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{BOOT, BOOTS, GRACE, Machine};
use crate::vm::{
    JobOutcome,
    stream::{Event, Splitter},
};

/// A job that has begun and not ended.
struct Current {
    name: String,
    begun: Instant,
    output: Vec<u8>,
}

impl Current {
    fn outcome(self, exit_code: Option<u8>) -> JobOutcome {
        let Self {
            name,
            begun,
            output,
        } = self;
        JobOutcome {
            name,
            exit_code,
            output,
            duration: begun.elapsed(),
        }
    }
}

/// What became of the jobs so far.
#[derive(Default)]
pub(super) struct Jobs {
    current: Option<Current>,
    /// What came while no job was known to run.
    loose: Vec<u8>,
    pub(super) ended: Vec<JobOutcome>,
}

impl Jobs {
    /// Each word comes twice.
    fn begin(&mut self, name: String) {
        if self.current.as_ref().is_some_and(|one| one.name == name) {
            return;
        }
        self.give_up();
        self.loose.clear();
        self.current = Some(Current {
            name,
            begun: Instant::now(),
            output: Vec::new(),
        });
    }

    fn output(&mut self, bytes: Vec<u8>) {
        let current = self.current.as_mut();
        current
            .map_or(&mut self.loose, |current| &mut current.output)
            .extend(bytes);
    }

    /// Where the word that it began was lost, what came since the last one ended is
    /// its output.
    fn end(&mut self, name: String, code: u8) {
        let again = self.ended.last().is_some_and(|last| last.name == name);
        if self.current.is_none() && again {
            return;
        }
        let current = self.current.take().unwrap_or_else(|| {
            let output = std::mem::take(&mut self.loose);
            let lead = String::from_utf8_lossy(&output[..output.len().min(80)]).into_owned();
            eprintln!("xtask: the word that {name} began was lost; in its place: {lead:?}");
            Current {
                name,
                begun: Instant::now(),
                output,
            }
        });
        self.ended.push(current.outcome(Some(code)));
        self.loose.clear();
    }

    /// One that has begun gives no more output.
    pub(super) fn give_up(&mut self) {
        let current = self.current.take();
        self.ended
            .extend(current.map(|current| current.outcome(None)));
    }
}

/// Follows the guest from its boot to its end.
pub(super) struct Watch<'a> {
    pub(super) machine: &'a Machine<'a>,
    pub(super) chunks: Receiver<Vec<u8>>,
    pub(super) splitter: Splitter,
    pub(super) boots: u32,
    /// Whether it booted and no job began since.
    pub(super) fresh: bool,
    pub(super) jobs: Jobs,
}

impl Watch<'_> {
    /// Returns when all jobs have ended, or why the guest was stopped.
    pub(super) fn follow(&mut self) -> Result<(), String> {
        let followed = self.events();
        // Then only the last word is missing.
        let all = self.jobs.ended.len() == self.machine.options.jobs.len();
        if all && self.boots > 0 {
            Ok(())
        } else {
            followed
        }
    }

    fn events(&mut self) -> Result<(), String> {
        let mut deadline = Instant::now() + BOOT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let bytes = match self.chunks.recv_timeout(left) {
                Ok(bytes) => bytes,
                Err(RecvTimeoutError::Disconnected) => return Err(self.gone()),
                Err(RecvTimeoutError::Timeout) => return Err(self.late()),
            };
            for event in self.splitter.push(&bytes) {
                match event {
                    Event::Ready => {
                        // Each word comes twice.
                        if !std::mem::replace(&mut self.fresh, true) {
                            self.boots += 1;
                        }
                        if self.boots > BOOTS {
                            return Err(format!("the machine booted {} times", self.boots));
                        }
                        deadline = Instant::now() + GRACE;
                    }
                    Event::Begin(name) => {
                        self.fresh = false;
                        deadline = Instant::now() + self.limit(&name) + GRACE;
                        self.jobs.begin(name);
                    }
                    Event::Output(bytes) => self.output(bytes),
                    Event::End(name, code) => {
                        deadline = Instant::now() + GRACE;
                        self.jobs.end(name, code);
                    }
                    Event::Bye => return Ok(()),
                }
            }
        }
    }

    fn output(&mut self, bytes: Vec<u8>) {
        if self.machine.options.echo {
            // A reader that has gone away doesn't change the script's outcome.
            let _ = std::io::stdout().write_all(&bytes);
            let _ = std::io::stdout().flush();
        }
        self.jobs.output(bytes);
    }

    fn limit(&self, name: &str) -> Duration {
        let jobs = &self.machine.options.jobs;
        jobs.iter()
            .find(|job| job.name == name)
            .map_or(BOOT, |job| job.timeout)
    }

    fn gone(&self) -> String {
        match &self.jobs.current {
            Some(current) => format!("the machine went down in {}", current.name),
            None => "the machine went down".to_owned(),
        }
    }

    fn late(&self) -> String {
        match &self.jobs.current {
            Some(current) => format!("the machine hangs in {}", current.name),
            None if self.boots > 0 => "the machine hangs between jobs".to_owned(),
            None => format!("user space wasn't reached in {} s", BOOT.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_whose_beginning_was_lost_has_its_output() {
        let mut jobs = Jobs::default();
        jobs.output(b"boot".to_vec());
        jobs.begin("a".to_owned());
        jobs.begin("a".to_owned());
        jobs.output(b"ok a\n".to_vec());
        jobs.end("a".to_owned(), 0);
        jobs.end("a".to_owned(), 0);
        jobs.output(b"ok b\n".to_vec());
        jobs.end("b".to_owned(), 3);
        jobs.begin("c".to_owned());
        jobs.give_up();
        let outcomes = jobs.ended.iter();
        let outcomes =
            outcomes.map(|job| (job.name.as_str(), job.exit_code, job.output.as_slice()));
        let outcomes: Vec<_> = outcomes.collect();
        let expected: [(&str, Option<u8>, &[u8]); 3] = [
            ("a", Some(0), b"ok a\n"),
            ("b", Some(3), b"ok b\n"),
            ("c", None, b""),
        ];
        assert_eq!(outcomes, expected);
    }
}
