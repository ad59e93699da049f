//! Reports and live lines for a person.

use std::{fmt::Write, io::IsTerminal};

use super::clean::clean;
use crate::finding::{Denial, Episode, Event, EventKind, Report, SupervisorEvent, Verdict};

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Whether to colour what goes to this stream.
    pub fn on(self, stream: &impl IsTerminal) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                let unset = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
                unset && stream.is_terminal()
            }
        }
    }
}

/// The live columns' heading.
pub fn heading() -> String {
    columns(
        "TIME",
        "PID",
        "COMM",
        "SUPERVISOR",
        "CAP",
        "LAYER",
        "PROFILE",
        "VERDICT",
    )
}

#[expect(clippy::too_many_arguments, reason = "one for each column")]
fn columns(
    time: &str,
    pid: &str,
    comm: &str,
    supervisor: &str,
    capability: &str,
    layer: &str,
    profile: &str,
    verdict: &str,
) -> String {
    format!(
        "{time:<15} {pid:>7} {comm:<16} {supervisor:<18} {capability:<18} {layer:<9} {profile:<24} {verdict}"
    )
}

/// An event as a line of the live columns; `None` for what has no such line.
pub fn line(event: &Event, color: bool) -> Option<String> {
    let stamp = event.time.to_string();
    let time = stamp
        .split('T')
        .nth(1)
        .unwrap_or(&stamp)
        .trim_end_matches('Z');
    let owner = |supervisor: &Option<String>, role: &Option<String>| match (supervisor, role) {
        (Some(supervisor), Some(role)) if role == "workload" => format!("{supervisor}/workload"),
        (Some(supervisor), _) => supervisor.clone(),
        (None, _) => "-".to_owned(),
    };
    let dash = |text: &Option<String>| {
        text.as_deref()
            .map_or("-".to_owned(), |text| clean(text).into_owned())
    };
    match &event.kind {
        EventKind::Denial(denial) => {
            let pid = denial.pid.map_or("-".to_owned(), |pid| pid.to_string());
            let verdict = match denial {
                Denial { expected: true, .. } => "expected",
                Denial { audited, .. } if audited == "no" => "denied (no audit)",
                _ => "denied",
            };
            Some(columns(
                time,
                &pid,
                &clean(&denial.comm),
                &owner(&denial.supervisor, &denial.role),
                &denial.capability,
                &denial.layer,
                &dash(&denial.profile),
                verdict,
            ))
        }
        EventKind::Episode(episode) => {
            let capability = episode
                .first_refused
                .clone()
                .unwrap_or_else(|| "-".to_owned());
            let line = columns(
                time,
                &episode.pid.to_string(),
                &clean(&episode.comm),
                &owner(&episode.supervisor, &episode.role),
                &capability,
                episode.layer.as_deref().unwrap_or("-"),
                &dash(&episode.profile),
                &paint(episode.verdict, color),
            );
            Some(if episode.verdict >= Verdict::Pending {
                format!("{line}\n    {}", clean(&episode.explanation))
            } else {
                line
            })
        }
        EventKind::Loss(loss) => Some(format!(
            "{time:<15} lost {} ({}: {})",
            loss.count, loss.stage, loss.reason
        )),
        EventKind::Supervisor(SupervisorEvent { .. }) | EventKind::Audit(_) => None,
    }
}

fn paint(verdict: Verdict, color: bool) -> String {
    let code = match verdict {
        Verdict::Ok => "32",
        Verdict::Harmless => "36",
        Verdict::Pending => "33",
        Verdict::Degraded => "35",
        Verdict::Fatal => "1;31",
    };
    if color {
        format!("\x1b[{code}m{verdict}\x1b[0m")
    } else {
        verdict.to_string()
    }
}

/// A report for a person.
pub fn report(report: &Report, color: bool) -> String {
    let mut text = String::new();
    // Writing to a string never fails.
    let _ = write_report(&mut text, report, color);
    text
}

fn write_report(text: &mut String, report: &Report, color: bool) -> std::fmt::Result {
    if let Some(command) = &report.command {
        let argv: Vec<_> = command.argv.iter().map(|word| clean(word)).collect();
        writeln!(
            text,
            "capwatch: {} ended with {} after {:.3} s",
            argv.join(" "),
            command.exit_code,
            command.duration_seconds
        )?;
    }
    write_blindness(text, report)?;
    if report.episodes.is_empty() {
        writeln!(text, "\nno process dropped from its bounding set")?;
    } else {
        writeln!(text, "\nbounding-set drops, by process:")?;
        for episode in &report.episodes {
            write_episode(text, episode, color)?;
        }
    }
    write_denials(text, &report.denials)?;
    for (reason, count) in &report.lost {
        if *count > 0 && reason != "events" {
            writeln!(text, "lost: {count} ({reason})")?;
        }
    }
    let audit = &report.audit;
    if audit.records + audit.ebpf_only > 0 {
        writeln!(
            text,
            "\naudit log: {} capability records, {} joined with an event, {} without one; {} denials by a security module left no record",
            audit.records, audit.matched, audit.audit_only, audit.ebpf_only
        )?;
    }
    if !report.failed_on.is_empty() {
        writeln!(text, "\nfailed on: {}", report.failed_on.join(", "))?;
    }
    Ok(())
}

fn write_blindness(text: &mut String, report: &Report) -> std::fmt::Result {
    for hook in report.hooks.iter().filter(|hook| !hook.attached) {
        let reason = hook.reason.as_deref().unwrap_or("not told");
        writeln!(text, "not attached: {} ({})", hook.hook, clean(reason))?;
    }
    for source in report.sources.iter().filter(|source| !source.up) {
        let reason = source.reason.as_deref().unwrap_or("not told");
        writeln!(text, "not heard: {} ({})", source.name, clean(reason))?;
    }
    Ok(())
}

fn write_episode(text: &mut String, episode: &Episode, color: bool) -> std::fmt::Result {
    let supervisor = episode.supervisor.as_deref().unwrap_or("-");
    writeln!(
        text,
        "  {} {} pid {} ({supervisor}): {} drops, {} refused on raised bits, {} on lowered bits, bounding set {} -> {}",
        paint(episode.verdict, color),
        clean(&episode.comm),
        episode.pid,
        episode.drops,
        episode.refused_raised,
        episode.refused_lowered,
        episode.bounding_before,
        episode.bounding_after,
    )?;
    writeln!(text, "      {}", clean(&episode.explanation))
}

fn write_denials(text: &mut String, denials: &[Denial]) -> std::fmt::Result {
    if denials.is_empty() {
        return writeln!(text, "\nno capability was denied");
    }
    writeln!(
        text,
        "\n{:>8}  {:<18} {:<10} {:<16} {:<18} {:<9} WHY",
        "DENIALS", "CAPABILITY", "LAYER", "COMM", "SUPERVISOR", "AUDITED"
    )?;
    for denial in denials {
        writeln!(
            text,
            "{:>8}  {:<18} {:<10} {:<16} {:<18} {:<9} {}{}",
            denial.count,
            denial.capability,
            denial.layer,
            clean(&denial.comm),
            denial.supervisor.as_deref().unwrap_or("-"),
            denial.audited,
            denial
                .profile
                .as_deref()
                .or(denial.reason.as_deref())
                .map_or("-".into(), clean),
            if denial.expected { " (expected)" } else { "" },
        )?;
    }
    Ok(())
}
