//! `replay --serve`: the agent's page over a recording, for somebody who does not have
//! the machine.

use std::{io::Read, path::Path, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::broadcast::Receiver,
};

use super::stream;
use crate::{
    config::Rules,
    finding::{Event, Report, Workload},
    outputs::web::{self, Options, Server, Status, Supervisor, Tally, TimedEpisode, View},
    state::Shared,
};

/// A recording as the page shows it.
pub struct Recording {
    /// Its name, in the place of the host's.
    name: String,
    report: Report,
    shared: Shared,
}

impl Recording {
    /// Reads a recorded stream of this file, as far as it goes; says what is wrong
    /// with it.
    pub fn read(input: impl Read, file: &Path, rules: Arc<Rules>) -> (Self, Option<anyhow::Error>) {
        let (report, ledger, broken) = stream::read(input, &file.display().to_string(), rules);
        let name = file.file_name().unwrap_or(file.as_os_str());
        let shared = Shared::new(ledger, None, None);
        shared.set_ready();
        let recording = Self {
            name: name.to_string_lossy().into_owned(),
            report,
            shared,
        };
        (recording, broken)
    }
}

impl View for Recording {
    fn report(&self) -> Report {
        self.report.clone()
    }

    fn episodes(&self) -> Vec<TimedEpisode> {
        self.shared.episodes()
    }

    fn tallies(&self) -> Vec<Tally> {
        self.shared.tallies()
    }

    fn supervisors(&self) -> Vec<Supervisor> {
        // None of them lives here.
        Vec::new()
    }

    fn workloads(&self) -> Vec<Workload> {
        Vec::new()
    }

    fn status(&self) -> Status {
        Status {
            node: self.name.clone(),
            sight: self.report.sight.clone(),
            ..self.shared.status()
        }
    }

    fn metrics(&self) -> Result<String, String> {
        Err("a recording has no metrics: scrape an agent".to_owned())
    }

    fn subscribe(&self) -> Receiver<Arc<Event>> {
        self.shared.subscribe()
    }
}

/// Serves the page until a signal comes.
pub(super) fn run(address: &str, recording: Recording) -> anyhow::Result<ExitCode> {
    let name = recording.name.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let listeners = web::bind(&[address]).await?;
        for listener in &listeners {
            let address = listener.local_addr()?;
            let scheme = if address.tcp().is_some() {
                "http://"
            } else {
                ""
            };
            eprintln!("capwatch: serving {name} on {scheme}{address}");
        }
        let mut server = Server::start(listeners, Arc::new(recording), Options::default())
            .context("cannot serve")?;
        tokio::select! {
            result = server.ended() => result.context("cannot serve")?,
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        server.stop().wait();
        Ok(ExitCode::SUCCESS)
    })
}
