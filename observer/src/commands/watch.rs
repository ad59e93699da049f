//! `capwatch watch`: findings as they happen.

use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context, anyhow};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::broadcast::error::RecvError,
};

use super::args::{LineForm, Watch};
use crate::{
    agent::{Agent, Options},
    config::Rules,
    finding::{Event, EventKind},
    ledger::NONE,
    outputs::text::{self, Color},
};

/// Runs the command.
pub async fn run(watch: Watch, rules: Arc<Rules>, color: Color) -> anyhow::Result<ExitCode> {
    let mut agent = Agent::open(Options {
        attach: (&watch.attach).into(),
        rules,
        audit: watch.audit.audit.clone(),
        series: usize::MAX,
    })?;
    if !agent.sees() {
        return Err(anyhow!("nothing can be attached: see `capwatch doctor`"));
    }
    let shared = agent.shared();
    let mut events = shared.subscribe();
    agent.adopt();
    let stdout = io::stdout();
    let color = color.on(&stdout);
    if watch.output == LineForm::Text {
        writeln!(&stdout, "{}", text::heading())?;
    }
    (&stdout).flush()?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    loop {
        let event = tokio::select! {
            result = agent.pump() => {
                result.context("cannot read from the kernel")?;
                continue;
            }
            event = events.recv() => event,
            _ = interrupt.recv() => return Ok(ExitCode::SUCCESS),
            _ = terminate.recv() => return Ok(ExitCode::SUCCESS),
        };
        match event {
            Ok(event) if wanted(&event, &watch) => {
                write_event(&stdout, &event, watch.output, color)?;
            }
            Ok(_) => {}
            Err(RecvError::Lagged(count)) => shared.lose("output", "watch_lagged", count),
            Err(RecvError::Closed) => return Ok(ExitCode::SUCCESS),
        }
    }
}

fn write_event(
    mut out: impl Write,
    event: &Event,
    form: LineForm,
    color: bool,
) -> anyhow::Result<()> {
    match form {
        LineForm::Json => {
            serde_json::to_writer(&mut out, event)?;
            out.write_all(b"\n")?;
        }
        LineForm::Text => {
            let Some(line) = text::line(event, color) else {
                return Ok(());
            };
            writeln!(out, "{line}")?;
        }
    }
    out.flush()?;
    Ok(())
}

fn wanted(event: &Event, watch: &Watch) -> bool {
    let (kind, supervisor) = match &event.kind {
        EventKind::Denial(denial) => (!watch.episodes, denial.supervisor.as_deref()),
        EventKind::Episode(episode) => (!watch.denials, episode.supervisor.as_deref()),
        EventKind::Supervisor(event) => (
            !watch.denials && !watch.episodes,
            Some(event.supervisor.as_str()),
        ),
        EventKind::Audit(audit) => (
            !watch.denials && !watch.episodes,
            audit.supervisor.as_deref(),
        ),
        // A loss concerns whoever looks.
        EventKind::Loss(_) => return true,
    };
    let name = watch.supervisor.as_deref();
    kind && name.is_none_or(|name| name == supervisor.unwrap_or(NONE))
}
