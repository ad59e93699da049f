//! `capwatch run`: the agent, with metrics, a status page and JSON lines.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::broadcast::{Receiver, error::RecvError},
};

use super::args::Run;
use crate::{
    agent::{Agent, Options},
    config::Rules,
    finding::{Event, EventKind, Verdict},
    outputs::{color::Color, columns::Layout, terminal, told::Told, web},
};

/// Runs the command.
pub async fn run(run: Run, rules: Arc<Rules>, color: Color) -> anyhow::Result<ExitCode> {
    let Run {
        attach,
        audit,
        listen,
        hosts,
        events: file,
        max_series,
    } = run;
    // Whatever can fail for a mistake of the operator comes before the hooks.
    let listeners = web::bind(&listen).await?;
    let out = file.as_deref().map(open).transpose()?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut agent = Agent::open(Options {
        attach: (&attach).into(),
        rules,
        audit: audit.audit,
        series: max_series,
    })?;
    let shared = agent.shared();
    let failure = out
        .map(|out| shared.start_stream(out, None))
        .transpose()
        .context("cannot write events")?;
    agent.adopt();
    agent.tick();
    shared.set_ready();
    for hook in shared.ledger().hooks.iter().filter(|hook| hook.is_missed()) {
        let reason = hook.reason.as_deref().unwrap_or("not told");
        tracing::warn!("not attached: {}: {reason}", hook.hook);
    }
    for listener in &listeners {
        let address = listener.local_addr()?;
        eprintln!("capwatch: serving http://{address}/ and http://{address}/metrics");
    }
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = web::serve(
        listeners,
        Arc::clone(&shared) as Arc<dyn web::View>,
        web::Options { hosts },
        async {
            // The sender gone is a stop too.
            let _ = stopped.await;
        },
    );
    let stderr = io::stderr();
    let incidents = print_incidents(shared.subscribe(), color.on(&stderr));
    let mut incidents = std::pin::pin!(incidents);
    let mut server = std::pin::pin!(server);
    let mut failure = std::pin::pin!(async {
        if let Some(failure) = failure
            && let Ok(error) = failure.await
        {
            return error;
        }
        std::future::pending().await
    });
    tokio::select! {
        result = agent.pump() => result.context("cannot read from the kernel")?,
        result = &mut server => result.context("cannot serve")?,
        error = &mut failure => return Err(error).context("cannot write events"),
        () = &mut incidents => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    drop(stop);
    server.await.context("cannot serve")?;
    agent.catch_up();
    agent.tick();
    agent.finish();
    shared.refresh();
    let report = shared.ledger().report(false, None);
    shared.end_stream(&report).context("cannot write events")?;
    Ok(ExitCode::SUCCESS)
}

/// Tells an operator of every drop that failed, in one line and a sentence.
async fn print_incidents(mut events: Receiver<Arc<Event>>, color: bool) {
    let mut told = Told::default();
    loop {
        match events.recv().await {
            Ok(event) => {
                let failed = matches!(
                    &event.kind,
                    EventKind::Episode(episode) if episode.verdict >= Verdict::Pending
                );
                let layout = terminal::size(&io::stderr());
                let layout = layout.map_or_else(Layout::piped, |(columns, _)| Layout::fit(columns));
                let line = told.again(&event).or_else(|| layout.line(&event, color));
                if failed && let Some(line) = line {
                    eprintln!("{line}");
                }
            }
            // The ledger has them, and the page and the metrics show them.
            Err(RecvError::Lagged(count)) => eprintln!("capwatch: {count} findings not printed"),
            Err(RecvError::Closed) => return,
        }
    }
}

fn open(path: &Path) -> anyhow::Result<Box<dyn Write + Send>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdout()));
    }
    let file = crate::open::append(path);
    let file = file.with_context(|| format!("cannot write events to {}", path.display()))?;
    Ok(Box::new(file))
}
