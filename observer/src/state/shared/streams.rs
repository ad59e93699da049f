//! The stream that is written of what happens: of a command, or for as long as the agent runs.

use std::{io, sync::PoisonError};

use super::Shared;
use crate::{
    config::Rules,
    finding::{End, Episode, Header, Report, Scope},
    observation::Observation,
    state::stream::{LeftOut, Lines, Recorder, Recording},
    time::Stamp,
};

/// Rows whose texts are made at a time.
const ROWS_AT_ONCE: usize = 512;

impl Shared {
    /// Whether every line of the stream is written by now.
    pub(crate) fn is_written(&self) -> bool {
        self.recorder().as_ref().is_none_or(Recorder::is_written)
    }

    /// Records what sources see of a command's scope from now on.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn record_stream(
        &self,
        out: Box<dyn io::Write + Send>,
        command: Vec<String>,
        scope: Scope,
        rules: &Rules,
    ) -> io::Result<()> {
        let header = Header {
            command: Some(command),
            scope: Some(scope),
            ..self.header()
        };
        let recording = Recording::begin(out, header, rules)?;
        *self.recording() = Some(recording);
        Ok(())
    }

    /// Records what was found of a command, as 0.1 did.
    #[cfg(test)]
    pub(crate) fn record_findings(
        &self,
        out: Box<dyn io::Write + Send>,
        command: Vec<String>,
        scope: Scope,
    ) -> io::Result<()> {
        let header = Header {
            command: Some(command),
            scope: Some(scope),
            ..self.header()
        };
        *self.recorder() = Some(Recorder::record(out, header)?);
        Ok(())
    }

    /// Records what a source reported, before it is judged.
    pub(crate) fn record(&self, observation: &Observation) {
        if let Some(recording) = self.recording().as_mut() {
            recording.observed(observation);
        }
    }

    /// Records that the clock was looked at while something waited.
    pub(crate) fn record_clock(&self, now: Stamp) {
        if let Some(recording) = self.recording().as_mut() {
            recording.clock(now);
        }
    }

    /// Records drops that a log alone reported.
    pub(crate) fn record_logged(&self, episode: &Episode, time: Stamp) {
        if let Some(recording) = self.recording().as_ref() {
            recording.logged(episode, time);
        }
    }

    /// Writes a stream of the host from now on, for as long as the agent runs,
    /// whatever becomes of the file.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn keep_stream(&self, out: Box<dyn Lines>) -> io::Result<()> {
        let recorder = Recorder::keep(out, &self.header())?;
        *self.recorder() = Some(recorder);
        Ok(())
    }

    fn header(&self) -> Header {
        let ledger = self.ledger();
        Header {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: ledger.host.clone(),
            hooks: ledger.hooks.clone(),
            sources: ledger.sources.clone(),
            command: None,
            scope: None,
        }
    }

    /// Looks whether another file has the stream's name by now, since somebody
    /// rotated it.
    pub fn reopen_stream(&self) {
        if let Some(recorder) = self.recorder().as_ref() {
            recorder.reopen();
        }
    }

    /// Enters what was left out of the stream.
    pub fn note_left_out(&self) {
        let recorder = self.recorder().as_mut().map(Recorder::take_left_out);
        let LeftOut { lagged, unwritten } = recorder.unwrap_or_default();
        for (reason, count) in [("events_lagged", lagged), ("events_unwritten", unwritten)] {
            if count > 0 {
                self.lose("output", reason, count);
            }
        }
    }

    /// Writes the state of rows and sources to the stream, if there is one.
    pub fn checkpoint_stream(&self) {
        if self.recording().is_some() {
            self.refresh();
            self.record_counts();
        }
        let Some(scope) = self.recorder().as_ref().map(Recorder::scope) else {
            return;
        };
        self.refresh();
        if let Some(recorder) = self.recorder().as_mut() {
            recorder.checkpoint();
        }
        // The rows stay as they are meanwhile. Their texts are made some at a time, so
        // that neither the ledger is held up nor much memory taken.
        let turn = self.counting.lock().unwrap_or_else(PoisonError::into_inner);
        for part in 0.. {
            let rows = {
                let ledger = self.ledger();
                let grounds = ledger.grounds();
                let from = part * ROWS_AT_ONCE;
                ledger.denials.part(scope, &grounds, from, ROWS_AT_ONCE)
            };
            let is_last = rows.len() < ROWS_AT_ONCE;
            if let Some(recorder) = self.recorder().as_mut() {
                for (name, denial) in rows {
                    recorder.row(name, denial, false);
                }
            }
            if is_last {
                break;
            }
        }
        drop(turn);
        let (sources, sight) = {
            let ledger = self.ledger();
            (ledger.sources.clone(), ledger.sight.overall())
        };
        if let Some(recorder) = self.recorder().as_mut() {
            recorder.sources(&sources, &sight);
        }
        self.note_left_out();
    }

    /// Records what the kernel has counted by now, and what is not seen.
    fn record_counts(&self) {
        let Some(scope) = self.recording().as_ref().map(Recording::scope) else {
            return;
        };
        let (rows, totals, sources, sight) = {
            let ledger = self.ledger();
            (
                ledger.denials.counted_rows(scope),
                ledger.denials.counted_totals(scope),
                ledger.sources.clone(),
                ledger.sight.overall(),
            )
        };
        if let Some(recording) = self.recording().as_mut() {
            for row in rows {
                recording.row(row);
            }
            for total in totals {
                recording.total(total);
            }
            recording.sources(&sources, &sight);
        }
    }

    /// Ends the stream, if there is one, with what a report says at the end.
    ///
    /// # Errors
    /// When it could not be written.
    pub fn end_stream(&self, report: &Report) -> io::Result<()> {
        self.record_counts();
        let end = End {
            sources: report.sources.clone(),
            command: report.command.clone(),
            failed_on: report.failed_on.clone(),
            sight: Some(report.sight.clone()),
            scope: report.scope.clone().map(Box::new),
        };
        if let Some(recording) = self.recording().take() {
            return recording.finish(end);
        }
        let Some(mut recorder) = self.recorder().take() else {
            return Ok(());
        };
        let ledger = self.ledger();
        let grounds = ledger.grounds();
        for (name, denial) in ledger.denials.rows(recorder.scope(), &grounds) {
            recorder.row(name, denial, false);
        }
        drop(ledger);
        recorder.finish(end)
    }
}
