//! `capwatch probe`: repeats what supervisors do (fork, clear the bounding set,
//! exec), with and without SETPCAP, in and out of a user namespace and under a
//! profile, and says what came of it and who refused.
//!
//! A trial uses only the results of its own calls, so it needs
//! neither privilege nor eBPF; where hooks can be attached, their result is shown with it.

mod attempt;
mod behaviour;
mod child;
mod file;
mod show;
mod steps;
mod trial;
mod typed;

use behaviour::As;
pub use steps::{StepsTrial, run_trial as run_steps};
pub use trial::{Trial, run as run_trial};
pub use typed::Probe;

use std::{
    io::{self, Write as _},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use serde::Serialize;

use super::form::DiagnosisForm;
use crate::{
    agent::{Agent, Options, host},
    caps::{self, CapSet},
    config::Rules,
    finding::{EventKind, Host, Verdict},
    sources::proc::effective_capabilities,
};
use attempt::Attempt;
use trial::Came;

/// How long the hooks' word is waited for; emulated machines are slow.
const PATIENCE: Duration = Duration::from_secs(2);
/// Exit code of `--check`, as that of `record --fail-on`.
const FAILED: u8 = 3;

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    host: Host,
    #[serde(rename = "as")]
    program: As,
    hooks: Hooks,
    trials: Vec<Row>,
    /// What a sandbox needs besides, with and without what is often missing.
    steps: Vec<steps::Row>,
    /// Whether the first trial, with the privileges at hand, left nothing raised.
    cleared: bool,
}

#[derive(Serialize)]
struct Hooks {
    attached: bool,
    reason: Option<String>,
}

/// One trial.
#[derive(Serialize)]
struct Row {
    namespace: &'static str,
    setpcap: &'static str,
    profile: Option<String>,
    tried: bool,
    why_not: Option<String>,
    verdict: Option<Verdict>,
    layer: Option<&'static str>,
    drops: u32,
    refused_raised: u32,
    refused_lowered: u32,
    unknown_capability: u32,
    first_refused: Option<String>,
    bounding_before: Option<String>,
    bounding_after: Option<String>,
    residual: Vec<String>,
    fate: Option<&'static str>,
    exit_code: Option<i32>,
    workload_bounding: Option<String>,
    explanation: String,
    seen: Option<Seen>,
}

/// What the hooks reported of it.
#[derive(Serialize)]
struct Seen {
    verdict: Verdict,
    layer: Option<String>,
    profile: Option<String>,
    agrees: bool,
}

/// What is different about a trial.
#[derive(Clone, Copy)]
struct Plan<'a> {
    profile: Option<&'a str>,
    new_namespace: bool,
    without_setpcap: bool,
}

/// Runs the command.
pub async fn run(options: Probe, rules: Arc<Rules>) -> anyhow::Result<ExitCode> {
    let Probe {
        attach,
        program,
        profile,
        check,
        output,
        exe,
        file,
    } = options;
    if let Some(path) = file {
        return file::run(&path, check, output);
    }
    let (mut agent, reason) = open(Options::new((&attach).into(), rules))?;
    let profiles = std::iter::once(None).chain(profile.as_deref().map(Some));
    let mut trials = Vec::new();
    for profile in profiles.filter(|_| program.drops()) {
        for new_namespace in [false, true] {
            for without_setpcap in [false, true] {
                let plan = Plan {
                    profile,
                    new_namespace,
                    without_setpcap,
                };
                let name = format!("cw-probe-{}", trials.len());
                trials.push(one(&name, plan, program, agent.as_mut()).await?);
            }
        }
    }
    // The last of the host's namespace with what is at hand: under the profile, if any.
    let at_hand = |row: &&Row| row.namespace == "host" && row.setpcap != "given_up";
    let decisive = trials.iter().rfind(at_hand);
    let cleared = decisive.is_some_and(|row| row.workload_bounding.as_deref() == Some("0x0"));
    let steps = steps::try_all(program, exe.as_deref()).await?;
    // A supervisor that makes no namespaces fails at none.
    let sound = !steps::decide(program) || steps.first().is_none_or(|row| row.failed.is_none());
    let report = Report {
        schema: "capwatch.probe/1",
        host: host(),
        program,
        hooks: Hooks {
            attached: agent.is_some(),
            reason,
        },
        trials,
        steps,
        cleared,
    };
    let mut out = io::stdout().lock();
    match output {
        DiagnosisForm::Json => {
            serde_json::to_writer_pretty(&mut out, &report)?;
            out.write_all(b"\n")?;
        }
        DiagnosisForm::Text => show::show(&mut out, &report)?,
    }
    let passes = sound && (cleared || !program.drops());
    Ok(if check && !passes {
        ExitCode::from(FAILED)
    } else {
        ExitCode::SUCCESS
    })
}

/// The hooks, where this process may attach any; else why not.
fn open(options: Options) -> io::Result<(Option<Agent>, Option<String>)> {
    let held = effective_capabilities();
    if !held.contains(caps::BPF) && !held.contains(caps::SYS_ADMIN) {
        return Ok((None, Some("CAP_BPF is missing".to_owned())));
    }
    let agent = Agent::open(options)?;
    if agent.sees() {
        return Ok((Some(agent), None));
    }
    let hooks = agent.shared().ledger().hooks.clone();
    Ok((None, hooks.into_iter().find_map(|hook| hook.reason)))
}

async fn one(
    name: &str,
    plan: Plan<'_>,
    program: As,
    mut agent: Option<&mut Agent>,
) -> anyhow::Result<Row> {
    let mut events = agent.as_ref().map(|agent| agent.shared().subscribe());
    let came = start(name, plan, program)
        .await
        .context("cannot run a trial")?;
    let mut row = Row::new(plan, &came);
    let (Some(agent), Some(events), Came::Tried { attempt, .. }) =
        (agent.as_mut(), events.as_mut(), &came)
    else {
        return Ok(row);
    };
    if attempt.drops == 0 {
        return Ok(row);
    }
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while row.seen.is_none() && tokio::time::Instant::now() < deadline {
        let step = Duration::from_millis(10);
        if let Ok(result) = tokio::time::timeout(step, agent.pump()).await {
            result.context("cannot read from the kernel")?;
        }
        while let Ok(event) = events.try_recv() {
            if let EventKind::Episode(episode) = &event.kind
                && episode.comm == name
            {
                row.seen = Some(Seen::new(attempt, row.verdict, episode));
            }
        }
    }
    Ok(row)
}

async fn start(name: &str, plan: Plan<'_>, program: As) -> anyhow::Result<Came> {
    #[expect(
        clippy::disallowed_types,
        reason = "`record` and `probe` are the two commands that start programs"
    )]
    let mut command = tokio::process::Command::new("/proc/self/exe");
    command.args(["probe-trial", "--name", name, "--as", &program.word()]);
    if plan.new_namespace {
        command.arg("--new-namespace");
    }
    if plan.without_setpcap {
        command.arg("--without-setpcap");
    }
    if let Some(profile) = plan.profile {
        command.arg(format!("--profile={profile}"));
    }
    let output = command.stdin(std::process::Stdio::null()).output().await?;
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("the trial's process ended with {}: {said}", output.status))
}

impl Row {
    fn new(plan: Plan<'_>, came: &Came) -> Self {
        let mut row = Self {
            namespace: if plan.new_namespace { "new" } else { "host" },
            setpcap: if plan.without_setpcap {
                "given_up"
            } else {
                "held"
            },
            profile: plan.profile.map(str::to_owned),
            tried: false,
            why_not: None,
            verdict: None,
            layer: None,
            drops: 0,
            refused_raised: 0,
            refused_lowered: 0,
            unknown_capability: 0,
            first_refused: None,
            bounding_before: None,
            bounding_after: None,
            residual: Vec::new(),
            fate: None,
            exit_code: None,
            workload_bounding: None,
            explanation: String::new(),
            seen: None,
        };
        match came {
            Came::NotTried(why) => {
                row.why_not = Some(why.clone());
                row.explanation.clone_from(why);
            }
            Came::Tried {
                attempt,
                workload,
                code,
                error,
            } => row.enter(attempt, *workload, *code, error.as_deref()),
        }
        row
    }

    fn enter(
        &mut self,
        attempt: &Attempt,
        workload: Option<u64>,
        code: Option<i32>,
        error: Option<&str>,
    ) {
        let hexadecimal = |set: u64| format!("{set:#x}");
        let ended = Attempt {
            gave_up: attempt.gave_up || workload.is_none(),
            ..attempt.clone()
        };
        self.tried = true;
        if !attempt.setpcap && self.setpcap == "held" {
            self.setpcap = "missing";
        }
        self.verdict = ended.verdict();
        self.layer = attempt.layer();
        self.drops = attempt.drops;
        self.refused_raised = attempt.refused_raised;
        self.refused_lowered = attempt.refused_lowered;
        self.unknown_capability = attempt.unknown_capability;
        self.first_refused = attempt.first_refused.map(|n| caps::name(n).into_owned());
        self.bounding_before = Some(hexadecimal(attempt.before));
        self.bounding_after = Some(hexadecimal(attempt.after));
        self.residual = attempt
            .residual()
            .names()
            .map(std::borrow::Cow::into_owned)
            .collect();
        self.fate = Some(if workload.is_some() { "exec" } else { "exit" });
        self.exit_code = code;
        self.workload_bounding = workload.map(|set| format!("{:#x}", CapSet(set).0));
        self.explanation = error.map_or_else(|| ended.sentence(), str::to_owned);
    }
}

impl Seen {
    fn new(attempt: &Attempt, verdict: Option<Verdict>, episode: &crate::finding::Episode) -> Self {
        let layer = episode.layer.as_deref();
        // A tracepoint knows no module's name, nor does a process without a label.
        let same_layer = layer == attempt.layer()
            || [layer, attempt.layer()].contains(&Some("lsm"))
                && ![layer, attempt.layer()].contains(&Some("commoncap"));
        Self {
            verdict: episode.verdict,
            layer: episode.layer.clone(),
            profile: episode.profile.clone(),
            agrees: same_layer && Some(episode.verdict) == verdict,
        }
    }
}
