//! `capwatch doctor`: what this host can show, with a denial provoked on
//! purpose and looked for.

use std::{
    fs,
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{args::DiagnosisForm, args::Doctor};
use crate::{
    agent::{Agent, Options},
    caps::{self, CapSet},
    config::Rules,
    finding::{HookReport, Host, SourceReport},
    outputs::clean::clean,
    sources::{bpf::text, proc::effective_capabilities},
};

/// How long the provoked denial is looked for.
const PATIENCE: Duration = Duration::from_secs(1);
/// Name of the thread that is refused on purpose; no other has it.
const THREAD: &str = "capwatch-doctor";
/// `CAP_SYS_CHROOT`: refused to the thread, and harmless were it granted.
const PROVOKED: u32 = 18;
/// What the agent wants to hold, and for what.
const WANTED: [(u32, &str); 4] = [
    (39, "to load the programs"),
    (38, "to attach them and to read the kernel's memory"),
    (37, "to hear audit records"),
    (
        19,
        "to read the executables of processes that ran before the agent",
    ),
];

#[derive(Serialize)]
struct Diagnosis {
    schema: &'static str,
    verdict: &'static str,
    host: Host,
    lockdown: Option<String>,
    hooks: Vec<HookReport>,
    sources: Vec<SourceReport>,
    capabilities: Privileges,
    self_test: SelfTest,
    findings: Vec<Finding>,
}

#[derive(Serialize)]
struct Privileges {
    held: Vec<String>,
    missing: Vec<String>,
}

/// A denial by commoncap, provoked on purpose.
#[derive(Serialize)]
struct SelfTest {
    provoked: bool,
    seen: bool,
    after_seconds: Option<f64>,
    why_not: Option<String>,
}

#[derive(Serialize)]
struct Finding {
    what: String,
    remedy: String,
}

/// Runs the command: exit code 0 where all works, 1 degraded, 2 blind.
pub async fn run(options: Doctor, rules: Arc<Rules>) -> anyhow::Result<ExitCode> {
    let Doctor { attach, output } = options;
    let mut agent = Agent::open(Options {
        attach: (&attach).into(),
        rules,
        audit: Vec::new(),
        series: usize::MAX,
    })?;
    agent.tick();
    let self_test = test(&agent).await;
    let diagnosis = diagnose(&agent, self_test);
    let mut out = io::stdout().lock();
    match output {
        DiagnosisForm::Json => {
            serde_json::to_writer_pretty(&mut out, &diagnosis)?;
            out.write_all(b"\n")?;
        }
        DiagnosisForm::Text => show(&mut out, &diagnosis)?,
    }
    Ok(ExitCode::from(match diagnosis.verdict {
        "all" => 0,
        "degraded" => 1,
        _ => 2,
    }))
}

/// Provokes a denial on a thread of its own and looks for its row.
async fn test(agent: &Agent) -> SelfTest {
    let mut result = SelfTest {
        provoked: false,
        seen: false,
        after_seconds: None,
        why_not: None,
    };
    match provoke() {
        Ok(()) => result.provoked = true,
        Err(error) => {
            result.why_not = Some(format!("no denial could be provoked: {error}"));
            return result;
        }
    }
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if seen(agent) {
            result.seen = true;
            result.after_seconds = Some((began.elapsed().as_secs_f64() * 1e6).round() / 1e6);
            return result;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    result.why_not = Some(if agent.sees() {
        "hooks are attached, and none of them told of the denial".to_owned()
    } else {
        "no hook is attached".to_owned()
    });
    result
}

fn provoke() -> Result<(), String> {
    use rustix::{
        io::Errno,
        thread::{CapabilitySet, capabilities, set_capabilities},
    };

    let thread = std::thread::Builder::new().name(THREAD.to_owned());
    let handle = thread.spawn(|| {
        // Of this thread alone; it ends with it.
        let mut sets = capabilities(None).map_err(|error| error.to_string())?;
        sets.effective = CapabilitySet::empty();
        set_capabilities(None, sets).map_err(|error| error.to_string())?;
        match rustix::process::chroot("/") {
            Err(Errno::PERM) => Ok(()),
            Err(error) => Err(error.to_string()),
            Ok(()) => Err("chroot was granted without CAP_SYS_CHROOT".to_owned()),
        }
    });
    let handle = handle.map_err(|error| error.to_string())?;
    handle.join().map_err(|_| "the thread died".to_owned())?
}

fn seen(agent: &Agent) -> bool {
    let shared = agent.shared();
    let kernel = shared.kernel();
    let rows = kernel
        .as_ref()
        .map(crate::sources::bpf::Kernel::rows)
        .unwrap_or_default();
    rows.iter()
        .any(|(key, _)| u32::from(key.capability) == PROVOKED && text(&key.comm) == THREAD)
}

fn diagnose(agent: &Agent, self_test: SelfTest) -> Diagnosis {
    let shared = agent.shared();
    let ledger = shared.ledger();
    let held = effective_capabilities();
    let (hooks, sources) = (ledger.hooks.clone(), ledger.sources.clone());
    let mut findings = Vec::new();
    for (number, why) in WANTED.iter().filter(|(number, _)| !held.contains(*number)) {
        findings.push(Finding {
            what: format!(
                "CAP_{} is missing: {why}",
                caps::name(*number).to_uppercase()
            ),
            remedy: "run as root, or grant it (systemd: AmbientCapabilities=)".to_owned(),
        });
    }
    for hook in hooks.iter().filter(|hook| hook.is_missed()) {
        let reason = hook.reason.as_deref().unwrap_or("not told");
        findings.push(Finding {
            what: format!("{} is not hooked: {reason}", hook.hook),
            remedy: hook_remedy(&hook.hook, &hooks).to_owned(),
        });
    }
    for source in sources.iter().filter(|source| !source.up) {
        let reason = source.reason.as_deref().unwrap_or("not told");
        findings.push(Finding {
            what: format!("audit source {} is not heard: {reason}", source.name),
            remedy: "the layers are told by eBPF all the same; records name what it can't"
                .to_owned(),
        });
    }
    if !self_test.seen {
        let why = self_test.why_not.as_deref().unwrap_or("not told");
        findings.push(Finding {
            what: format!("the provoked denial was not seen: {why}"),
            remedy: "see the hooks above; -v tells what the verifier said".to_owned(),
        });
    }
    let verdict = match (self_test.seen, findings.is_empty()) {
        (true, true) => "all",
        (true, false) => "degraded",
        (false, _) => "blind",
    };
    Diagnosis {
        schema: "capwatch.doctor/1",
        verdict,
        host: ledger.host.clone(),
        lockdown: lockdown(),
        hooks,
        sources,
        capabilities: privileges(held),
        self_test,
        findings,
    }
}

fn privileges(held: CapSet) -> Privileges {
    let named = |wanted: bool| {
        let wanted = WANTED
            .iter()
            .filter(move |(number, _)| held.contains(*number) == wanted);
        wanted
            .map(|(number, _)| caps::name(*number).into_owned())
            .collect()
    };
    Privileges {
        held: named(true),
        missing: named(false),
    }
}

fn hook_remedy(hook: &str, hooks: &[HookReport]) -> &'static str {
    let tracepoint = hooks
        .iter()
        .any(|hook| hook.hook == "cap_capable" && hook.attached);
    match hook {
        "security_capable" if tracepoint => {
            "the tracepoint tells commoncap's denials; a security module's can't be seen here"
        }
        "cap_task_prctl" if tracepoint => {
            "the tracepoint tells drops from the SETPCAP check; nothing to do"
        }
        _ => "a kernel with BTF, CONFIG_BPF_EVENTS and function tracing, and the privileges above",
    }
}

/// The mode in brackets; none where securityfs is not mounted.
fn lockdown() -> Option<String> {
    let modes = fs::read_to_string("/sys/kernel/security/lockdown").ok()?;
    let mode = modes.split(['[', ']']).nth(1)?;
    Some(mode.to_owned())
}

fn show(out: &mut impl Write, diagnosis: &Diagnosis) -> io::Result<()> {
    let Diagnosis {
        schema: _,
        verdict,
        host,
        lockdown,
        hooks,
        sources,
        capabilities,
        self_test,
        findings,
    } = diagnosis;
    let lsm = if host.lsm.is_empty() {
        "not told (is securityfs mounted?)".to_owned()
    } else {
        host.lsm.join(",")
    };
    writeln!(out, "verdict       {verdict}")?;
    writeln!(out, "kernel        {}", host.kernel)?;
    writeln!(out, "lsm           {lsm}")?;
    writeln!(
        out,
        "lockdown      {}",
        lockdown.as_deref().unwrap_or("not told")
    )?;
    writeln!(out, "privileges    held {}", capabilities.held.join(","))?;
    for hook in hooks {
        let mechanism = hook
            .mechanism
            .map_or("none", |mechanism| mechanism.as_str());
        let state = match (hook.attached, hook.needed) {
            (true, _) => "attached",
            (false, true) => "missing ",
            (false, false) => "unneeded",
        };
        writeln!(out, "hook          {state} {:<20} {mechanism}", hook.hook)?;
    }
    for source in sources {
        let state = if source.up { "heard   " } else { "silent  " };
        writeln!(out, "audit source  {state} {}", source.name)?;
    }
    match (self_test.seen, self_test.after_seconds) {
        (true, Some(after)) => writeln!(out, "self-test     a denial was seen after {after:.6} s")?,
        _ => writeln!(out, "self-test     a denial was not seen")?,
    }
    for finding in findings {
        writeln!(
            out,
            "\n{}\n    {}",
            clean(&finding.what),
            clean(&finding.remedy)
        )?;
    }
    Ok(())
}
