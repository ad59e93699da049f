//! `capwatch report`: one block of Markdown for a bug report: what maintainers
//! ask for in every such thread, and nothing that should stay at home.
//!
//! Lists of what may be shown, not of what must be hidden, decide wherever that
//! can be; what is left of free text goes through [`Secrets`].

mod agent;
mod facts;
mod secrets;

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::bail;

use super::args::Report as Options;
use crate::{
    clean::clean,
    finding::{Container, Denial, Episode, Report},
};
use facts::Facts;
use secrets::Secrets;

/// The longest block: an issue form shows so much.
const LINES: usize = 60;
/// The longest line.
const WIDTH: usize = 400;
/// Records that are listed.
const RECORDS: usize = 8;

/// What the agent knows.
#[derive(Debug)]
enum Known {
    /// No agent answered, or there was no need to ask.
    Nobody(String),
    /// Its report.
    Report(Box<Report>),
}

/// Runs the command.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let known = match agent::report(&options.web) {
        Ok(report) => Known::Report(Box::new(report)),
        // Who names a finding wants it, or to know why not.
        Err(error) if options.episode.is_some() => return Err(error),
        Err(error) => Known::Nobody(format!("{error:#}")),
    };
    let episode = match (&known, &options.episode) {
        (Known::Report(report), Some(id)) => {
            let Some(found) = report.episodes.iter().find(|episode| episode.id == *id) else {
                bail!(
                    "the agent at {} has no episode {id:?}; \
                     `/api/v1/episodes` lists those that it has",
                    options.web
                );
            };
            Some(found)
        }
        (Known::Report(report), None) => chosen(report, options.pid),
        (Known::Nobody(_), _) => None,
    };
    let pid = options.pid.or_else(|| episode.map(|found| found.pid));
    let facts = Facts::read(options.pid)?;
    let mut secrets = Secrets::of_this_host();
    if let Known::Report(report) = &known {
        hide_containers(report, &mut secrets);
    }
    let block = block(&facts, &known, episode, pid, &secrets);
    io::stdout().lock().write_all(block.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// The finding to show where none is named: the process's newest, or the worst.
fn chosen(report: &Report, pid: Option<u32>) -> Option<&Episode> {
    let fits = |episode: &&Episode| pid.is_none_or(|pid| episode.pid == pid);
    let episodes = report.episodes.iter().filter(fits);
    episodes.max_by_key(|episode| episode.verdict)
}

fn hide_containers(report: &Report, secrets: &mut Secrets) {
    let episodes = report
        .episodes
        .iter()
        .filter_map(|e| e.container.as_deref());
    let denials = report.denials.iter().filter_map(|d| d.container.as_deref());
    for Container {
        id,
        name,
        pod,
        image,
        ..
    } in episodes.chain(denials)
    {
        let pod = pod
            .iter()
            .flat_map(|pod| [&pod.name, &pod.namespace, &pod.uid]);
        let names = pod.chain([name, image]).flatten();
        secrets.add_all(names.chain([id]).map(String::as_str));
    }
}

/// The block, cut to [`LINES`].
fn block(
    facts: &Facts,
    known: &Known,
    episode: Option<&Episode>,
    pid: Option<u32>,
    secrets: &Secrets,
) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = facts.write(&mut text);
    match (known, episode) {
        (Known::Nobody(why), _) => {
            let _ = writeln!(text, "\n**Finding**: none, no agent answered ({why})");
        }
        (Known::Report(report), None) => {
            let _ = writeln!(text, "\n**Finding**: no episode");
            let _ = records(&mut text, report, pid);
        }
        (Known::Report(report), Some(episode)) => {
            let _ = finding(&mut text, episode);
            let _ = records(&mut text, report, pid);
        }
    }
    let mut block = String::new();
    let count = text.lines().count();
    for line in text
        .lines()
        .take(if count > LINES { LINES - 1 } else { LINES })
    {
        let shown = secrets.hide(&clean(line));
        let mut short: String = shown.chars().take(WIDTH).collect();
        if short.len() < shown.len() {
            short.push('…');
        }
        let _ = writeln!(block, "{short}");
    }
    if count > LINES {
        let _ = writeln!(block, "… {} more lines", count - LINES + 1);
    }
    block
}

fn finding(out: &mut String, episode: &Episode) -> std::fmt::Result {
    let none = "-".to_owned();
    let runtime = episode.container.as_deref().map(|found| &found.runtime);
    writeln!(
        out,
        "\n**Finding**: {} by {} in `{}` (supervisor {}, role {}, version {}, runtime {})",
        episode.verdict,
        episode.layer.as_ref().unwrap_or(&none),
        code(&episode.comm),
        episode.supervisor.as_ref().unwrap_or(&none),
        episode.role.as_ref().unwrap_or(&none),
        // A version may be an image with the name of its registry.
        version(episode.version.as_deref()),
        runtime.unwrap_or(&none),
    )?;
    writeln!(
        out,
        "- profile `{}`; {} drops, {} refused while in the set, {} already gone, {} unknown",
        code(episode.profile.as_ref().unwrap_or(&none)),
        episode.drops,
        episode.refused_raised,
        episode.refused_lowered,
        episode.unknown_capability
    )?;
    writeln!(
        out,
        "- first refused {}; bounding {} → {}, effective {}; left over: {}",
        episode.first_refused.as_ref().unwrap_or(&none),
        episode.bounding_before,
        episode.bounding_after,
        episode.effective,
        if episode.residual.is_empty() {
            none.clone()
        } else {
            episode.residual.join(" ")
        }
    )?;
    let exit = episode
        .exit
        .map_or(none, |exit| match (exit.code, exit.signal) {
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "-".to_owned(),
        });
    writeln!(out, "- fate {}, {exit}", episode.fate.as_str())?;
    writeln!(out, "- {}", episode.explanation)
}

/// What follows the last slash: neither registry nor owner.
fn version(version: Option<&str>) -> &str {
    version.map_or("-", |text| text.rsplit('/').next().unwrap_or(text))
}

/// Denials of the process, or all that matter.
fn records(out: &mut String, report: &Report, pid: Option<u32>) -> std::fmt::Result {
    let wanted = |denial: &&Denial| match pid {
        Some(pid) => denial.pid == Some(pid) || denial.chain.iter().any(|link| link.pid == pid),
        None => denial.is_notable(),
    };
    let denials: Vec<_> = report.denials.iter().filter(wanted).collect();
    if denials.is_empty() {
        return writeln!(out, "\n**Denials**: none of this process");
    }
    writeln!(out, "\n**Denials** ({}):", denials.len())?;
    for denial in denials.iter().take(RECORDS) {
        writeln!(
            out,
            "- {} × {} by {}{} in `{}`, logged: {}",
            denial.count,
            denial.capability,
            denial.layer,
            denial
                .profile
                .as_ref()
                .map_or_else(String::new, |name| format!(" (profile `{}`)", code(name))),
            code(&denial.comm),
            denial
                .logged
                .map_or_else(|| "-".to_owned(), |count| count.to_string()),
        )?;
    }
    if denials.len() > RECORDS {
        writeln!(out, "- and {} more", denials.len() - RECORDS)?;
    }
    Ok(())
}

/// Text between back quotes can't leave them.
fn code(text: &str) -> String {
    text.replace('`', "'")
}

#[cfg(test)]
mod tests;
