//! What sandboxes need besides an empty bounding set: a user namespace with its
//! maps, a network with a loopback, mounts, a nested namespace; tried step by
//! step, with and without what is often missing.

mod attempt;
mod diagnose;
mod order;
mod place;
mod show;

pub use attempt::{StepsTrial, run as run_trial};
pub use show::show;

use std::{path::Path, process::Stdio};

use anyhow::Context as _;
use serde::Serialize;

use super::behaviour::As;
use attempt::{Account, Tried};
use diagnose::{Settings, diagnose};
use order::{Step, Without};
use place::Place;

/// The steps, tried under one condition.
#[derive(Debug, Serialize)]
pub struct Row {
    /// What was dropped first: nothing, `setpcap`, `setfcap`, or
    /// `no_new_privs` where that was set.
    pub without: Without,
    /// The label before the first step.
    pub label: Option<String>,
    /// The label once the user namespace was made, where it is another.
    pub label_after: Option<String>,
    /// The steps.
    pub steps: Vec<Outcome>,
    /// The first step that failed and that the program needs.
    pub failed: Option<Step>,
}

/// What came of a step.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// The step.
    pub step: Step,
    /// Whether it was tried: not after a failure that it depends on.
    pub tried: bool,
    /// The errno, where it failed.
    pub errno: Option<i32>,
    /// Which layer or rule refused: `sysctl`, `seccomp`, `apparmor`, `selinux`,
    /// `lsm`, `rule`, `masked_proc`, `device`, `kernel`.
    pub layer: Option<&'static str>,
    /// The sentence for a person.
    pub explanation: Option<String>,
}

/// Whether steps decide about a program: it makes namespaces, and ends without them.
pub const fn decide(program: As) -> bool {
    order::gives_up(program)
}

/// Tries the steps of a program under each condition, executed under `exe`.
///
/// # Errors
/// When the path can't be used, or a trial can't be run.
pub async fn try_all(program: As, exe: Option<&Path>) -> anyhow::Result<Vec<Row>> {
    let place = Place::new(exe)?;
    let settings = Settings::read();
    let mut rows = Vec::new();
    for without in Without::ALL {
        let account = one(program, without, &place).await?;
        rows.push(Row::new(program, without, &account, &settings));
    }
    Ok(rows)
}

async fn one(program: As, without: Without, place: &Place) -> anyhow::Result<Account> {
    let mut command = place.command();
    command.args(["probe-steps", "--as", &program.word()]);
    command.args(["--without", without.word()]);
    let output = command
        .stdin(Stdio::null())
        .output()
        .await
        .with_context(|| format!("cannot execute {}", place.shown()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).with_context(|| {
        format!(
            "the process of the steps ended with {}: {said}",
            output.status
        )
    })
}

impl Row {
    fn new(program: As, without: Without, account: &Account, settings: &Settings) -> Self {
        let steps: Vec<_> = account
            .steps
            .iter()
            .map(|tried| Outcome::new(tried, account, settings))
            .collect();
        let needed = |outcome: &&Outcome| {
            outcome.errno.is_some() && order::is_needed(program, outcome.step, account.uid)
        };
        let failed = steps.iter().find(needed).map(|outcome| outcome.step);
        let after = account.label_after.clone();
        Self {
            without,
            label: account.label.clone(),
            label_after: after.filter(|label| account.label.as_ref() != Some(label)),
            steps,
            failed,
        }
    }
}

impl Outcome {
    fn new(tried: &Tried, account: &Account, settings: &Settings) -> Self {
        let diagnosis = tried
            .errno
            .map(|errno| diagnose(tried.step, errno, account, settings));
        Self {
            step: tried.step,
            tried: tried.tried,
            errno: tried.errno,
            layer: diagnosis.as_ref().map(|(layer, _)| *layer),
            explanation: diagnosis.map(|(_, sentence)| sentence),
        }
    }
}
