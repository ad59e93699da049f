//! `capwatch run`: the agent, with metrics, a status page and JSON lines.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context, ensure};
use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Interval, interval},
};

use super::args::{DEFAULT_ADDRESS, ReadyWithout, Run};
use crate::{
    agent::{Agent, Options},
    caps,
    config::{Release, Rules},
    finding::{HookReport, Scope},
    manager::Manager,
    outputs::{
        alarms::{self, Manner},
        color::Color,
        web::{self, Server},
    },
    privileges,
    sandbox::{self, Plan, Room},
    sources::{
        adopt,
        audit::netlink::{in_initial_network_namespace, take_passed},
        bpf::{Kernel, Pins},
        proc,
    },
    state::{
        Shared,
        kept::State,
        stream::{EventsOutput, waits_for_a_reader},
    },
};

/// Descriptors that the agent asks for, where it may: connections and workloads.
const DESCRIPTORS: u64 = 4_096;

/// Runs the command.
pub async fn run(
    run: Run,
    rules: Arc<Rules>,
    config: Option<PathBuf>,
    color: Color,
) -> anyhow::Result<ExitCode> {
    let Run {
        attach,
        audit,
        listen,
        web_config,
        open_probes,
        systemd_socket,
        hosts,
        events: file,
        max_series,
        ready_without,
        log_format,
        pin,
        attach_only: _,
        state,
        sandbox,
    } = run;
    prepare();
    let manager = Manager::connect();
    // Whatever can fail for a mistake of the operator comes before the hooks.
    let security = web_config.as_deref().map(web::Security::load).transpose()?;
    let mut passed = ListenFd::from_env();
    let audit_socket = take_passed(&mut passed);
    let listeners = listen_on(&listen, systemd_socket.then_some(&mut passed)).await?;
    let out = file.as_deref().map(|path| {
        EventsOutput::open(path)
            .with_context(|| format!("cannot write events to {}", path.display()))
    });
    let out = out.transpose()?;
    let events = file.as_deref().and_then(folder_of);
    sandbox::plan(Plan {
        mode: sandbox,
        writes: events.into_iter().chain(state.clone()).collect(),
        pins: pin.clone().into_iter().collect(),
        web: security
            .as_ref()
            .map(web::Security::folders)
            .unwrap_or_default(),
        sockets: sockets(&listeners),
    });
    let opened = |path: &Path| State::open(path, &crate::agent::host().boot_id);
    let state = state.as_deref().map(opened).transpose()?;
    let pins = pin.as_deref().map(Pins::open).transpose()?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let typed = rules.options().clone();
    let mut agent = Agent::open(Options {
        audit: audit.audit,
        audit_socket,
        series: max_series,
        pins,
        state,
        ..Options::new((&attach).into(), rules)
    })?;
    let shared = agent.shared();
    if let Some(out) = out {
        if waits_for_a_reader(&out) {
            tracing::warn!("no reader for the events yet: they are lost until one opens the pipe");
        }
        let kept = shared.keep_stream(Box::new(out));
        kept.context("cannot write events")?;
    }
    let manner = log_format.map_or(Manner::Columns(color), |_| Manner::Log);
    alarms::start(shared.subscribe(), manner).context("cannot print alarms")?;
    agent.adopt();
    agent.resume(file.as_deref());
    agent.tick();
    shared.set_ready();
    warn_of_missing(&shared.ledger().hooks);
    report_addresses(&listeners, security.as_ref(), log_format.is_some(), &shared)?;
    let view = Arc::clone(&shared) as Arc<dyn web::View>;
    let options = web::Options {
        hosts,
        ready_without_hooks: ready_without.contains(&ReadyWithout::Hooks),
        security,
        open_probes,
    };
    let mut server = Server::start(listeners, view, options).context("cannot serve")?;
    sandbox::enter(Room::Main);
    manager.notify(&NotifyState::Ready);
    let mut watchdog = sd_notify::watchdog_enabled().map(|limit| interval(limit / 2));
    loop {
        tokio::select! {
            () = beat(watchdog.as_mut()) => manager.notify(&NotifyState::Watchdog),
            result = agent.pump() => result.context("cannot read from the kernel")?,
            result = server.ended() => {
                result.context("cannot serve")?;
                break;
            }
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = hangup.recv() => reload(&mut agent, config.as_deref(), &typed),
        }
    }
    manager.notify(&NotifyState::Stopping);
    end(agent, server);
    Ok(ExitCode::SUCCESS)
}

/// Attaches what the next agent takes over, or goes on with what is pinned already,
/// and ends.
pub fn attach_only(run: &Run, rules: &Rules) -> anyhow::Result<ExitCode> {
    let pin = run.pin.as_deref();
    let pin = pin.context("--attach-only needs --pin DIR")?;
    let pins = Pins::open(pin)?;
    let rules = pins.number(rules);
    let (mut kernel, _rings) = Kernel::open(&(&run.attach).into(), &rules, Some(pins))?;
    adopt::adopt(&mut kernel, &rules)
        .context("some processes that were running already have no supervisor")?;
    let hooks: Vec<_> = kernel.hooks().to_vec();
    warn_of_missing(&hooks);
    ensure!(
        hooks.iter().any(|hook| hook.attached),
        "nothing can be attached: run `capwatch doctor` for the reason"
    );
    if kernel.away().is_none() {
        // From here on nobody listens.
        kernel.watch();
    }
    let links = kernel.pinned().map_or(0, |(pins, _)| pins.links().len());
    let path = pin.display();
    eprintln!(
        "capwatch: {links} links pinned in {path}: the kernel counts until an agent takes over"
    );
    Ok(ExitCode::SUCCESS)
}

/// Ends in good order: what was seen is still reported.
fn end(mut agent: Agent, server: Server) {
    let shared = agent.shared();
    // Answers under way end while the last events are handled.
    let stopping = server.stop();
    agent.catch_up();
    agent.tick();
    agent.finish();
    agent.keep();
    shared.refresh();
    let report = shared.ledger().report(Scope::Host, None);
    if let Err(error) = shared.end_stream(&report) {
        // It is no failure of the agent's: what was lost is in its counters.
        tracing::warn!("the last events could not be written: {error}");
    }
    stopping.wait();
}

/// Names the capabilities and hooks that are missing, where nothing else does; to be
/// called before the sandbox takes some.
fn warn_of_missing(hooks: &[HookReport]) {
    let missing = privileges::missing(proc::effective_capabilities());
    for one in missing.filter(|one| one.only_names) {
        let name = caps::name(one.number).to_uppercase();
        tracing::warn!("CAP_{name} is missing: {}", one.lost);
    }
    for hook in hooks.iter().filter(|hook| hook.is_missed()) {
        let reason = hook.reason.as_deref().unwrap_or("unknown reason");
        tracing::warn!("not attached: {}: {reason}", hook.hook);
    }
}

/// Listens: on the sockets that systemd passed, and then on those addresses alone that
/// somebody chose.
async fn listen_on(
    addresses: &[String],
    passed: Option<&mut ListenFd>,
) -> anyhow::Result<Vec<web::Listening>> {
    let Some(passed) = passed else {
        return Ok(web::bind(addresses).await?);
    };
    let mut listeners = web::passed(passed)?;
    if addresses != [DEFAULT_ADDRESS] {
        let chosen = web::bind(addresses).await?;
        for listener in &chosen {
            let address = listener.local_addr()?;
            if address.tcp().is_some() && in_initial_network_namespace() == Some(false) {
                tracing::warn!(
                    "{address} is unreachable: the service has its own network namespace; set \
                     ListenStream= instead (systemctl edit capwatch.socket)"
                );
            }
        }
        listeners.extend(chosen);
    }
    Ok(listeners)
}

/// Says where page and metrics are, in the log or on the terminal, and to who may look
/// at the pins.
fn report_addresses(
    listeners: &[web::Listening],
    security: Option<&web::Security>,
    log: bool,
    shared: &Shared,
) -> anyhow::Result<()> {
    let mut open = Vec::new();
    for listener in listeners {
        let address = listener.local_addr()?;
        let what = serving(&address, security);
        if security.is_none() {
            open.push(address.to_string());
        }
        if log {
            tracing::info!("{what}");
        } else {
            eprintln!("capwatch: {what}");
        }
    }
    if let Some(kernel) = shared.kernel().as_ref() {
        kernel.publish_addresses(&open)?;
    }
    Ok(())
}

/// Where page and metrics are.
fn serving(address: &web::Address, security: Option<&web::Security>) -> String {
    if address.tcp().is_none() {
        return format!("serving / and /metrics on {address}");
    }
    let encrypted = security.is_some_and(|security| security.current().tls.is_some());
    let scheme = if encrypted { "https" } else { "http" };
    format!("serving {scheme}://{address}/ and {scheme}://{address}/metrics")
}

/// The folders of Unix sockets.
fn sockets(listeners: &[web::Listening]) -> Vec<PathBuf> {
    let addresses = listeners.iter().filter_map(|one| one.local_addr().ok());
    let files = addresses.filter_map(|address| match address {
        web::Address::Unix(file) => file,
        web::Address::Tcp(_) => None,
    });
    files.filter_map(|file| folder_of(&file)).collect()
}

/// The folder in which the file of events lies, and its successors; `-` has none.
fn folder_of(file: &Path) -> Option<PathBuf> {
    let folder = file.parent().filter(|_| file != Path::new("-"))?;
    let here = folder.as_os_str().is_empty();
    Some(if here {
        PathBuf::from(".")
    } else {
        folder.to_owned()
    })
}

/// Waits for the next sign of life; without a watchdog, for ever.
async fn beat(watchdog: Option<&mut Interval>) {
    match watchdog {
        Some(watchdog) => {
            watchdog.tick().await;
        }
        None => std::future::pending().await,
    }
}

/// Looks again at the files that the agent was given: a rotated file of events is
/// left for its successor, and rules that changed hold from now on. A mistake in
/// them ends nothing.
fn reload(agent: &mut Agent, config: Option<&Path>, options: &toml::Table) {
    agent.shared().reopen_stream();
    let rules = match Rules::load(config).map(|rules| rules.on(Release::of_host())) {
        Ok(rules) => rules,
        Err(error) => {
            tracing::error!("{error}; the previous rules stay active");
            return;
        }
    };
    if rules.options() != options {
        tracing::warn!(
            "options of [run] changed in the configuration: restart the agent to apply them"
        );
    }
    match agent.reload(rules) {
        Ok(()) => tracing::info!("reloaded the rules"),
        Err(error) => tracing::error!("{error}; the previous rules stay active"),
    }
}

/// What the process itself needs to go on for ever.
fn prepare() {
    use rustix::process::{Resource, getrlimit, setrlimit};

    // SAFETY: no handler runs; a file that may grow no further is then an error of
    // the write, which is counted, instead of the end of the process.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    let mut limit = getrlimit(Resource::Nofile);
    let wanted = DESCRIPTORS.min(limit.maximum.unwrap_or(DESCRIPTORS));
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = Some(wanted);
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::debug!("cannot raise the limit of descriptors: {error}");
        }
    }
}
