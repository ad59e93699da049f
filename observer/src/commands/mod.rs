//! The commands: each wires the same rooms to another output.

mod args;
mod attach;
mod config;
mod doctor;
mod explain;
mod form;
mod man;
mod probe;
mod record;
mod replay;
mod report;
mod run;
mod settings;
mod suggest;
mod unload;
mod version;
mod watch;

pub use args::{Cli, command};
pub use replay::Recording;

use std::{process::ExitCode, sync::Arc};

use anyhow::Context;

use crate::{
    config::{Release, Rules},
    memory,
    outputs::log::Json,
};
use args::{Global, LogFormat, Task};
use settings::Problem;

/// Parses the command line and runs the command.
pub fn main() -> ExitCode {
    memory::set_up();
    let words: Vec<_> = std::env::args_os().collect();
    let (cli, rules) = match settings::resolve(&words) {
        Ok(resolved) => resolved,
        Err(Problem::Config(error)) => {
            eprintln!("capwatch: {error}");
            return ExitCode::FAILURE;
        }
        Err(Problem::Typed(error)) => {
            // Help and version are success, everything else is misuse: clap's 0 and 2.
            let code = u8::try_from(error.exit_code()).unwrap_or(2);
            return match error.print() {
                Ok(()) => ExitCode::from(code),
                Err(_) => ExitCode::FAILURE,
            };
        }
    };
    let format = match &cli.task {
        Task::Run(run) => run.log_format,
        _ => None,
    };
    log_to_stderr(&cli.global, format);
    let result = dispatch(cli, rules);
    match result {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("capwatch: {}", each_cause_once(&error));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: Cli, rules: Option<Rules>) -> anyhow::Result<ExitCode> {
    let Cli { global, task } = cli;
    match &task {
        Task::Config(action) => return config::run(action, &global),
        Task::Replay(replay) => {
            let rules = Arc::new(Rules::load(global.config.as_deref())?);
            return replay::run(replay, rules, global.color);
        }
        Task::Explain(options) => {
            let rules = Arc::new(Rules::load(global.config.as_deref())?);
            return explain::run(options, rules);
        }
        Task::Report(options) => return report::run(options),
        Task::Unload(options) => return unload::run(options),
        Task::ProbeTrial(trial) => return probe::run_trial(trial),
        Task::ProbeSteps(trial) => return probe::run_steps(trial),
        Task::Completions { shell } => {
            // A configuration that is broken has no names to complete.
            let rules = Rules::load(global.config.as_deref()).or_else(|_| Rules::load(None))?;
            let rules = rules.supervisors().iter();
            let names: Vec<_> = rules.map(|rule| rule.name.to_string()).collect();
            let mut command = args::public_command(&names);
            clap_complete::generate(*shell, &mut command, "capwatch", &mut std::io::stdout());
            return Ok(ExitCode::SUCCESS);
        }
        Task::Man { command } => {
            man::write(command.as_deref(), std::io::stdout())?;
            return Ok(ExitCode::SUCCESS);
        }
        _ => {}
    }
    // `run` has read them already, with its options.
    let rules = match rules {
        Some(rules) => rules,
        None => Rules::load(global.config.as_deref())?,
    };
    let rules = Arc::new(rules.on(Release::of_host()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async move {
        match task {
            Task::Run(options) if options.attach_only => run::attach_only(&options, &rules),
            Task::Run(options) => run::run(options, rules, global.config, global.color).await,
            Task::Doctor(options) => doctor::run(options, rules).await,
            Task::Probe(options) => probe::run(options, rules).await,
            Task::Watch(options) => {
                let configured = global.config.is_some();
                watch::run(options, rules, configured, global.color).await
            }
            Task::Record(options) => record::run(options, rules, global.color).await,
            Task::Replay(_)
            | Task::Config(_)
            | Task::Explain(_)
            | Task::Report(_)
            | Task::Unload(_)
            | Task::ProbeTrial(_)
            | Task::ProbeSteps(_)
            | Task::Completions { .. }
            | Task::Man { .. } => Ok(ExitCode::SUCCESS),
        }
    })
}

fn log_to_stderr(global: &Global, format: Option<LogFormat>) {
    use tracing::level_filters::LevelFilter;
    use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

    let level = match (global.quiet, global.verbose) {
        (true, _) => LevelFilter::ERROR,
        // A log that is kept has the agent's actions, too.
        (false, 0) if format.is_some() => LevelFilter::INFO,
        (false, 0) => LevelFilter::WARN,
        (false, 1) => LevelFilter::INFO,
        (false, 2) => LevelFilter::DEBUG,
        (false, _) => LevelFilter::TRACE,
    };
    // The BPF loader logs every relocation: only where all is asked for.
    let loader = level.min(LevelFilter::INFO);
    let loader = if global.verbose > 2 { level } else { loader };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(global.color.on(&std::io::stderr()))
        .with_target(false);
    let wanted = Targets::new()
        .with_default(level)
        .with_target("aya_obj", loader)
        .with_target("aya", loader);
    let registry = tracing_subscriber::registry();
    match format {
        Some(LogFormat::Json) => registry.with(lines.event_format(Json)).with(wanted).init(),
        Some(LogFormat::Text) | None => registry.with(lines).with(wanted).init(),
    }
}

/// An error and what caused it, without a cause that was said already.
fn each_cause_once(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if said.contains(&cause) {
            continue;
        }
        if !said.is_empty() {
            said.push_str(": ");
        }
        said.push_str(&cause);
    }
    said
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>();
        // A long line of JSON reaches the pipe while it is written.
        let json = cause.downcast_ref::<serde_json::Error>();
        let kind = io.map(std::io::Error::kind);
        let kind = kind.or_else(|| json.and_then(serde_json::Error::io_error_kind));
        kind == Some(std::io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// As a pipe whose reader is gone.
    struct Gone;

    impl io::Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_left_is_known_by_whoever_wrote() {
        let json = serde_json::to_writer(Gone, &[1, 2]).unwrap_err();
        assert!(is_broken_pipe(&json.into()));
        let plain = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_broken_pipe(
            &anyhow::Error::from(plain).context("reported")
        ));
        let other = io::Error::from(io::ErrorKind::NotFound);
        assert!(!is_broken_pipe(&other.into()));
    }
}
