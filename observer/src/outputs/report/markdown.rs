//! A report in GitHub's dialect of Markdown, which other forges read too: fit
//! for a job's summary.

use std::fmt::Write as _;

use super::words;
use crate::{
    clean::clean,
    finding::{Report, Verdict},
};

/// The report.
pub fn render(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a string never fails.
    let _ = write(&mut text, report);
    text
}

fn write(text: &mut String, report: &Report) -> std::fmt::Result {
    writeln!(text, "## capwatch: {}\n", words::headline(report))?;
    if !report.failed_on.is_empty() {
        writeln!(text, "**Failed on:**\n")?;
        for why in &report.failed_on {
            writeln!(text, "- {}", escape(why))?;
        }
        writeln!(text)?;
    }
    if let Some(command) = &report.command {
        let argv = command.argv.join(" ");
        writeln!(
            text,
            "{} ended with {} after {:.3} s.\n",
            code(&argv),
            command.exit_code,
            command.duration_seconds
        )?;
    }
    for line in words::taken_in(report) {
        writeln!(text, "- {}", escape(&line))?;
    }
    if !words::taken_in(report).is_empty() {
        writeln!(text)?;
    }
    write_blindness(text, report)?;
    write_episodes(text, report)?;
    write_denials(text, report)?;
    let refusals = words::refusals(report);
    if !refusals.is_empty() {
        writeln!(text, "### Refused by a rule, without a check\n")?;
        for line in refusals {
            writeln!(text, "- {}", escape(&line))?;
        }
        writeln!(text)?;
    }
    let others = words::others(report);
    if !others.is_empty() {
        writeln!(text, "### Other records\n")?;
        for line in others {
            writeln!(text, "- {}", escape(&line))?;
        }
        writeln!(text)?;
    }
    if let Some(audit) = words::audit(report) {
        writeln!(text, "Audit log: {audit}.\n")?;
    }
    writeln!(text, "Sight: {}.\n", escape(&words::sight(report)))?;
    if let Some(host) = words::host(report) {
        writeln!(text, "_{}; capwatch {}_", escape(&host), VERSION)?;
    }
    Ok(())
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn write_blindness(text: &mut String, report: &Report) -> std::fmt::Result {
    let notes = words::notes(report);
    let mut notes: Vec<_> = notes.iter().map(|note| escape(note)).collect();
    notes.extend(words::left_out(report).iter().map(|note| escape(note)));
    for hook in words::missing_hooks(report) {
        let reason = hook.reason.as_deref().unwrap_or("unknown reason");
        notes.push(format!(
            "not attached: {} ({})",
            code(&hook.hook),
            escape(reason)
        ));
    }
    for source in words::silent_sources(report) {
        let reason = source.reason.as_deref().unwrap_or("unknown reason");
        let name = code(&source.name);
        notes.push(format!("not connected: {name} ({})", escape(reason)));
    }
    for (reason, count) in words::losses(report) {
        notes.push(format!("lost: {count} ({})", escape(reason)));
    }
    if notes.is_empty() {
        return Ok(());
    }
    writeln!(text, "Not covered:\n")?;
    for note in notes {
        writeln!(text, "- {note}")?;
    }
    writeln!(text)
}

fn write_episodes(text: &mut String, report: &Report) -> std::fmt::Result {
    let episodes = words::worst_first(report);
    if episodes.is_empty() {
        return Ok(());
    }
    writeln!(
        text,
        "### Bounding-set drops, by process\n\n\
         | Verdict | Supervisor | Version | Process | PID | Layer | Profile | Drops | Refused | Became | Still in set |\n\
         |---|---|---|---|---:|---|---|---:|---:|---|---|"
    )?;
    let shown = words::shown_episodes(&episodes);
    for episode in &shown {
        let verdict = match episode.verdict {
            Verdict::Ok | Verdict::Harmless => episode.verdict.to_string(),
            worse => format!("**{worse}**"),
        };
        writeln!(
            text,
            "| {verdict} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            escape(&(words::owner_of(episode) + words::apart(report, episode.scope))),
            optional(episode.version.as_deref()),
            code(&episode.comm),
            episode.pid,
            escape(episode.layer.as_deref().unwrap_or_default()),
            optional(episode.profile.as_deref()),
            episode.drops,
            episode.refused(),
            escape(&episode.ending()),
            escape(&words::some_of(&episode.residual)),
        )?;
    }
    more(text, words::episodes_shown(report, shown.len()))?;
    writeln!(text)?;
    let explained = episodes.iter().filter(|episode| episode.is_explained());
    for episode in explained.take(words::ROWS) {
        let sentence = escape(&episode.explanation);
        writeln!(text, "- **{}**: {sentence}", episode.verdict)?;
    }
    writeln!(text)
}

fn write_denials(text: &mut String, report: &Report) -> std::fmt::Result {
    let mut denials = words::most_first(report);
    let routine = words::routine(&mut denials);
    if denials.is_empty() {
        for routine in routine {
            writeln!(text, "{}\n", escape(&routine))?;
        }
        return Ok(());
    }
    writeln!(
        text,
        "### Denials\n\n\
         | Denials | Capability | Layer | Supervisor | Process | Audited | Why |\n\
         |---:|---|---|---|---|---|---|"
    )?;
    let shown = words::shown_denials(&denials);
    for denial in &shown {
        writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} |",
            words::count(denial),
            escape(&denial.capability),
            escape(&denial.layer),
            escape(
                &(words::owner(denial.supervisor.as_deref(), denial.role.as_deref())
                    + words::apart(report, denial.scope))
            ),
            code(&denial.comm),
            words::logged(denial),
            escape(&words::why(denial)),
        )?;
    }
    let said = words::denials_shown(report, shown.len(), denials.len());
    more(text, said)?;
    for routine in routine {
        more(text, Some(routine))?;
    }
    writeln!(text)?;
    let explained = words::explained(report, &shown);
    for denial in explained {
        writeln!(text, "- {}", escape(&denial.explanation))?;
    }
    if explained.is_empty() {
        return Ok(());
    }
    writeln!(text)
}

fn more(text: &mut String, said: Option<String>) -> std::fmt::Result {
    match said {
        Some(said) => writeln!(text, "\n{}", escape(&said)),
        None => Ok(()),
    }
}

/// Text in which nothing is markup: a backslash before all that could be.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 16);
    for character in clean(text).chars() {
        if character.is_ascii_punctuation() && !matches!(character, ',' | ';' | '\'' | '"') {
            safe.push('\\');
        }
        safe.push(character);
    }
    safe
}

/// A name as code; as plain text where it has what could end that, or the cell
/// of a table.
fn code(name: &str) -> String {
    let name = clean(name);
    if name.trim().is_empty() || name.contains(['`', '|', '\\']) {
        return escape(&name);
    }
    format!("`{name}`")
}

fn optional(name: Option<&str>) -> String {
    name.map_or_else(String::new, code)
}
