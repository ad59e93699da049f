//! `capwatch record`: runs a command with everything attached first, follows
//! its whole tree and what daemons make beside it, and reports.

mod clients;
mod signals;
mod tree;
mod user;

use signals::{Signals, forward};

use std::{
    fs::File,
    io::{self, Write},
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{ExitCode, ExitStatus},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, bail};
use tokio::process::Child;

use user::Login;

use super::args::Record;
use crate::{
    agent::{Agent, Options},
    config::Rules,
    finding::{Command, Course, Gate, Report, Scope},
    ledger::MAX_SERIES,
    outputs::{
        color::Color,
        report::{self, Form, Style},
        terminal,
    },
    sources::{audit::AuditSource, bpf},
    time::monotonic,
};
use clients::{Lookout, Seen};

/// How long open episodes of the tree are waited for.
const GRACE: Duration = Duration::from_secs(2);
/// How long what lies in the rings at the end may take; a gate counts on each.
const DRAIN: Duration = Duration::from_secs(10);
/// How long a security module's denial waits for its audit record, in
/// nanoseconds: kauditd takes some milliseconds, longer under emulation.
const RECORD_DELAY_NS: u64 = 400_000_000;
/// Bytes of the ring that episodes come through: a gate counts on each, and the
/// command may take both processors.
const STATE_RING: u32 = 8 << 20;
/// How long what a daemon was asked for may take to appear.
const APPEAR: Duration = Duration::from_secs(5);
/// How often it is looked at what still runs.
const LOOK: Duration = Duration::from_millis(200);
/// Exit code when `--fail-on` matched.
pub(super) const FAILED: u8 = 3;
/// Exit codes of a command that can't be run, as shells have them.
const NOT_EXECUTABLE: i32 = 126;
const NOT_FOUND: i32 = 127;

/// Runs the command.
pub async fn run(record: Record, rules: Arc<Rules>, color: Color) -> anyhow::Result<ExitCode> {
    let Record {
        attach,
        audit,
        fail_on,
        role,
        scope,
        wait,
        user,
        report: file,
        stream,
        output,
        command,
    } = record;
    if audit.audit.contains(&AuditSource::Stdin) {
        bail!("the command uses standard input: give audit records with pipe:FILE");
    }
    let login = user.as_deref().map(Login::find).transpose()?;
    // Before the command runs: a report that can't be written is no report.
    let out = file.as_deref().map(report_to).transpose()?;
    let stream = stream.map(|path| create(&path, "stream")).transpose()?;
    let argv: Vec<_> = command
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let attach = bpf::Attach {
        state_ring: Some(STATE_RING),
        ..(&attach).into()
    };
    let mut agent = Agent::open(Options {
        audit: audit.audit,
        series: MAX_SERIES,
        patience: crate::agent::PATIENT,
        ..Options::new(attach, Arc::clone(&rules))
    })?;
    if !agent.sees() {
        let hooks = agent.shared().ledger().hooks.clone();
        let why = hooks.into_iter().find_map(|hook| hook.reason);
        return Err(anyhow!(
            "cannot attach any hook, so there is nothing to record: {}; run `capwatch doctor`",
            why.unwrap_or_default()
        ));
    }
    let shared = agent.shared();
    if let Some(stream) = stream {
        // A failure to write is reported by `end_stream` below.
        shared
            .record_stream(Box::new(stream), argv.clone(), scope, &rules)
            .context("cannot write the stream")?;
    }
    let mut signals = Signals::new()?;
    let mut course = Course::default();
    if scope.takes(Scope::Beside) {
        course.beside_unknown = agent.begin_beside().err().map(str::to_owned);
    }
    let mut seen = Seen::of_command(&command);
    let began = Instant::now();
    let code = match spawn(&agent, &command, login.as_ref()) {
        Ok(mut child) => {
            let pid = child.id().unwrap_or_default();
            let lookout = Lookout::start(seen.clients, pid, agent.beside())
                .context("cannot start a thread")?;
            let status = loop {
                tokio::select! {
                    status = child.wait() => break status.context("cannot wait for the command")?,
                    result = agent.pump() => result.context("cannot read from the kernel")?,
                    signal = signals.next() => forward(&child, signal),
                }
            };
            seen = lookout.end();
            exit_code(status)
        }
        Err(error) => unable(&command[0], &error),
    };
    let duration = began.elapsed();
    if let Some(wait) = wait {
        let asked = scope.takes(Scope::Beside) && !seen.clients.is_empty();
        let asked = asked && seen.made.is_empty();
        follow(&mut agent, wait, asked, &mut signals).await?;
    }
    settle(&mut agent, scope).await?;
    conclude(&agent, course, seen);

    shared.refresh();
    let mut report = shared.ledger().report(
        scope,
        Some(Command {
            argv,
            exit_code: code,
            duration_seconds: (duration.as_secs_f64() * 1e6).round() / 1e6,
        }),
    );
    let gate = Gate { fail_on, role };
    report.failed_on = gate.matches(&report);
    show(&report, out, output, &gate, color)?;
    shared
        .end_stream(&report)
        .context("cannot write the stream")?;
    if !report.failed_on.is_empty() {
        return Ok(ExitCode::from(FAILED));
    }
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// Writes the report to where it was asked for, else to stderr. In a test report what the gate
/// stops is a failure; without a gate, each drop that failed.
fn show(
    report: &Report,
    out: Option<Box<dyn Write>>,
    form: Form,
    gate: &Gate,
    color: Color,
) -> io::Result<()> {
    let by_default = Gate::failed_drops();
    let mut style = Style {
        form,
        color: false,
        columns: None,
        gate: if gate.fail_on.is_empty() {
            &by_default
        } else {
            gate
        },
    };
    if let Some(out) = out {
        return report::write(io::BufWriter::new(out), report, style);
    }
    let stderr = io::stderr();
    style.color = color.on(&stderr);
    style.columns = terminal::size(&stderr).map(|(columns, _)| columns);
    report::write(io::BufWriter::new(stderr), report, style)
}

/// Where the report goes: stdout for `-`, as elsewhere.
fn report_to(path: &Path) -> anyhow::Result<Box<dyn Write>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdout()));
    }
    Ok(Box::new(create(path, "report")?))
}

fn create(path: &Path, what: &str) -> anyhow::Result<File> {
    crate::open::create(path)
        .with_context(|| format!("cannot write the {what} to {}", path.display()))
}

/// Starts the command as part of the followed tree: the agent itself is in the
/// tree while it forks, so the child is in it from its first instruction.
fn spawn(
    agent: &Agent,
    command: &[std::ffi::OsString],
    login: Option<&Login>,
) -> io::Result<Child> {
    let shared = agent.shared();
    let own = std::process::id();
    if let Some(kernel) = shared.kernel_mut().as_mut() {
        kernel.follow_tree(own).map_err(io::Error::other)?;
    }
    #[expect(
        clippy::disallowed_types,
        reason = "`record` and `probe` are the two commands that start programs"
    )]
    let mut started = tokio::process::Command::new(&command[0]);
    started.args(&command[1..]);
    if let Some(login) = login {
        login.dress(&mut started);
    }
    let child = started.spawn();
    if let Some(kernel) = shared.kernel_mut().as_mut() {
        kernel.unfollow(own);
    }
    child
}

/// Says why the command can't be run, and gives its code as shells have it.
fn unable(command: &std::ffi::OsStr, error: &io::Error) -> i32 {
    let shown = command.to_string_lossy();
    eprintln!(
        "capwatch: cannot run {}: {error}",
        crate::clean::clean(&shown)
    );
    if error.kind() == io::ErrorKind::NotFound {
        NOT_FOUND
    } else {
        NOT_EXECUTABLE
    }
}

/// Enters what counts don't show of the command's scope.
fn conclude(agent: &Agent, mut course: Course, seen: Seen) {
    course.clients = seen.clients.names();
    (course.running, course.running_unlisted) = tree::running(agent);
    let living = agent.living_beside();
    let shared = agent.shared();
    let mut ledger = shared.ledger();
    ledger.course = course;
    for made in seen.made.into_iter().chain(living) {
        ledger.keep_made(made, 0);
    }
}

/// Goes on until nothing runs any more of the tree, nor of what was made beside it;
/// for so long at most, or until a signal comes. Where a daemon was `asked` and
/// nothing of its making was seen, that is waited for, for a while.
async fn follow(
    agent: &mut Agent,
    wait: Duration,
    asked: bool,
    signals: &mut Signals,
) -> io::Result<()> {
    let began = Instant::now();
    let deadline = began + wait;
    loop {
        let living = agent.living_beside();
        let shared = agent.shared();
        let is_awaited = {
            let mut ledger = shared.ledger();
            let lives = !living.is_empty();
            for made in living {
                ledger.keep_made(made, 0);
            }
            lives || (asked && !ledger.has_made() && began.elapsed() < APPEAR)
        };
        let lives = is_awaited || !tree::running(agent).0.is_empty();
        let left = deadline.saturating_duration_since(Instant::now());
        if !lives || left.is_zero() {
            return Ok(());
        }
        tokio::select! {
            result = agent.pump() => result?,
            () = tokio::time::sleep(LOOK.min(left)) => {}
            _ = signals.next() => return Ok(()),
        }
    }
}

/// Waits until every episode of the tree and of what was made beside it is closed,
/// for two seconds at most; one that is still open then is reported as running.
async fn settle(agent: &mut Agent, scope: Scope) -> io::Result<()> {
    let shared = agent.shared();
    let deadline = Instant::now() + GRACE;
    loop {
        // The wait is also what lets the last events come through the ring.
        let step = Duration::from_millis(20);
        let pumped = tokio::time::timeout(step, agent.pump()).await;
        if let Ok(Err(error)) = pumped {
            return Err(error);
        }
        let open = agent.open_episodes().is_none_or(|episodes| {
            episodes.iter().any(|episode| {
                let of = shared.scopes().now(&episode.owner, episode.cgroup);
                of != Scope::Host && scope.takes(of)
            })
        });
        let settled = !open && !agent.waits(RECORD_DELAY_NS);
        if settled || Instant::now() >= deadline {
            break;
        }
    }
    let (ended, deadline) = (monotonic(), Instant::now() + DRAIN);
    let mut is_all = agent.catch_up();
    while !is_all && Instant::now() < deadline {
        is_all = agent.catch_up() || agent.has_read_until(ended);
    }
    if !is_all {
        shared.lose("ring", "ring_unread", 1);
    }
    agent.tick();
    agent.report_open(0);
    agent.finish();
    Ok(())
}

fn exit_code(status: ExitStatus) -> i32 {
    match (status.code(), status.signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 1,
    }
}
