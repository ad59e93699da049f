//! `capwatch doctor`: what capwatch can see on this host. It provokes harmless
//! denials, and looks for them with every hook and in every source.

mod facts;
mod findings;
mod pinned;
mod provoke;
mod selftest;
mod show;

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
    sync::Arc,
};

use serde::Serialize;

use super::{args::Doctor, form::DiagnosisForm};
use crate::{
    agent::{Agent, Options},
    caps::{self, CapSet},
    config::Rules,
    finding::{HookReport, Host, SourceReport},
    privileges::{self, WANTED},
    sandbox,
    sight::Sight,
    sources::{
        bpf::{Attach, Kernel, Pins},
        proc::effective_capabilities,
    },
    time::Stamp,
};
use facts::Facts;
use findings::{Finding, Level, Seen};
use pinned::Pinned;
use selftest::SelfTest;

#[derive(Serialize)]
struct Diagnosis {
    schema: &'static str,
    verdict: &'static str,
    host: Host,
    #[serde(flatten)]
    facts: Facts,
    hooks: Vec<HookReport>,
    sources: Vec<SourceReport>,
    capabilities: Privileges,
    /// The denial by commoncap, which is what matters most.
    self_test: SelfTest,
    self_tests: Vec<SelfTest>,
    /// What is pinned for the next agent; null where nothing is.
    pins: Option<Pinned>,
    /// What the agent's sandbox can restrict here.
    sandbox: sandbox::Report,
    /// What was missed meanwhile.
    sight: Sight,
    findings: Vec<Finding>,
}

#[derive(Serialize)]
struct Privileges {
    held: Vec<String>,
    missing: Vec<String>,
}

/// Runs the command: exit code 0 where all works, 1 degraded, 2 blind.
pub async fn run(options: Doctor, rules: Arc<Rules>) -> anyhow::Result<ExitCode> {
    let Doctor {
        attach,
        pin,
        output,
    } = options;
    let attach = (&attach).into();
    let joined = join(&attach, &pin);
    let is_joined = joined.is_some();
    let mut agent = Agent::open(Options {
        joined,
        ..Options::new(attach, rules)
    })?;
    agent.tick();
    // What a running agent's programs lost before is not part of this diagnosis.
    agent.shared().ledger().begin_sight(Stamp::now());
    let tests = selftest::run(&agent).await;
    // To find what was lost meanwhile.
    agent.tick();
    let pinned = Pinned::look(&pin, is_joined);
    let diagnosis = diagnose(&agent, tests, pinned);
    let mut out = io::stdout().lock();
    match output {
        DiagnosisForm::Json => {
            serde_json::to_writer_pretty(&mut out, &diagnosis)?;
            out.write_all(b"\n")?;
        }
        DiagnosisForm::Text => show::show(&mut out, &diagnosis)?,
    }
    Ok(ExitCode::from(match diagnosis.verdict {
        "all" => 0,
        "degraded" => 1,
        _ => 2,
    }))
}

/// The programs of an agent that runs with pins there, if doctor would attach the same.
fn join(attach: &Attach, pin: &Path) -> Option<Kernel> {
    let pins = Pins::at(pin).ok().filter(Pins::is_held)?;
    match Kernel::join(attach, &pins) {
        Ok(joined) => joined,
        Err(error) => {
            tracing::warn!("cannot use the agent's programs, so doctor attaches others: {error}");
            None
        }
    }
}

fn diagnose(agent: &Agent, self_tests: Vec<SelfTest>, pins: Option<Pinned>) -> Diagnosis {
    let shared = agent.shared();
    let ledger = shared.ledger();
    let held = effective_capabilities();
    let facts = Facts::gather();
    let (hooks, sources) = (ledger.hooks.clone(), ledger.sources.clone());
    let sight = ledger.sight.overall();
    let sandbox = sandbox::try_out();
    let findings = findings::find(&Seen {
        facts: &facts,
        kernel: &ledger.host.kernel,
        lsm: &ledger.host.lsm,
        held,
        hooks: &hooks,
        sources: &sources,
        tests: &self_tests,
        sight: &sight,
        sandbox: &sandbox,
    });
    Diagnosis {
        schema: "capwatch.doctor/1",
        verdict: verdict(&sources, &self_tests, &findings),
        host: ledger.host.clone(),
        facts,
        hooks,
        sources,
        capabilities: privileges(held),
        self_test: self_tests[0].clone(),
        self_tests,
        pins,
        sandbox,
        sight,
        findings,
    }
}

/// `blind` where no hook shows the provoked denial and no audit source works.
fn verdict(sources: &[SourceReport], tests: &[SelfTest], findings: &[Finding]) -> &'static str {
    let hook_works = tests
        .iter()
        .any(|test| test.kind == "hook" && test.seen == Some(true));
    let has_failed = |name: &str| {
        tests
            .iter()
            .any(|test| test.name == name && test.seen == Some(false))
    };
    let source_works = sources
        .iter()
        .any(|source| source.up && !has_failed(&source.name));
    if !hook_works && !source_works {
        return "blind";
    }
    let problem = findings
        .iter()
        .any(|finding| finding.level == Level::Problem);
    if problem || !hook_works {
        "degraded"
    } else {
        "all"
    }
}

fn privileges(held: CapSet) -> Privileges {
    let name = |number| caps::name(number).into_owned();
    let missing: Vec<_> = privileges::missing(held).map(|one| one.number).collect();
    let had = WANTED.iter().map(|one| one.number);
    Privileges {
        held: had.filter(|one| held.contains(*one)).map(name).collect(),
        missing: missing.into_iter().map(name).collect(),
    }
}
