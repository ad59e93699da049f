//! A report for a person: what matters in the first line, the worst first.

use std::fmt::Write as _;

use super::{
    table::{Side, Table},
    words,
};
use crate::{
    clean::clean,
    finding::{Episode, Report},
    outputs::{color::Tint, columns::chain, fit::wrap, web::short_version},
};

/// The report as lines.
pub fn render(report: &Report, color: bool, columns: Option<usize>) -> String {
    let mut text = String::new();
    // Writing to a string never fails.
    let _ = write(&mut text, report, color, columns);
    text
}

fn write(
    text: &mut String,
    report: &Report,
    color: bool,
    columns: Option<usize>,
) -> std::fmt::Result {
    let tint = words::worst(report).map_or(Tint::Bold, Tint::Verdict);
    let headline = format!("capwatch: {}", words::headline(report));
    let headline = wrap(&headline, "", columns);
    writeln!(text, "{}", tint.paint(headline, color))?;
    if let Some(command) = &report.command {
        let argv: Vec<_> = command.argv.iter().map(|word| clean(word)).collect();
        writeln!(
            text,
            "  {} ended with {} after {:.3} s",
            argv.join(" "),
            command.exit_code,
            command.duration_seconds
        )?;
    }
    if let Some(host) = words::host(report) {
        writeln!(text, "{}", wrap(&clean(&host), "  ", columns))?;
    }
    for line in words::taken_in(report) {
        writeln!(text, "{}", wrap(&clean(&line), "  ", columns))?;
    }
    write_blindness(text, report, color, columns)?;
    write_episodes(text, report, color, columns)?;
    write_denials(text, report, color, columns)?;
    let refusals = words::refusals(report);
    if !refusals.is_empty() {
        let heading = Tint::Bold.paint("REFUSED BY A RULE, WITHOUT A CHECK", color);
        writeln!(text, "\n{heading}")?;
        for line in refusals {
            writeln!(text, "{}", wrap(&clean(&line), "  ", columns))?;
        }
    }
    let others = words::others(report);
    if !others.is_empty() {
        let heading = Tint::Bold.paint("OTHER RECORDS", color);
        writeln!(text, "\n{heading}")?;
        for line in others {
            writeln!(text, "{}", wrap(&clean(&line), "  ", columns))?;
        }
    }
    if let Some(audit) = words::audit(report) {
        writeln!(
            text,
            "\n{}",
            wrap(&format!("audit log: {audit}"), "", columns)
        )?;
    }
    if !report.failed_on.is_empty() {
        writeln!(text, "\nfailed on:")?;
        for why in &report.failed_on {
            writeln!(text, "{}", wrap(&clean(why), "  ", columns))?;
        }
    }
    Ok(())
}

/// Gaps of the report: they come before its findings, because they qualify them.
fn write_blindness(
    text: &mut String,
    report: &Report,
    color: bool,
    columns: Option<usize>,
) -> std::fmt::Result {
    let mut warn = |line: String| {
        let line = wrap(&clean(&line), "  ", columns);
        writeln!(text, "{}", Tint::Warning.paint(line, color))
    };
    for hook in words::missing_hooks(report) {
        let reason = hook.reason.as_deref().unwrap_or("unknown reason");
        warn(format!("not attached: {} ({})", hook.hook, clean(reason)))?;
    }
    for source in words::silent_sources(report) {
        let reason = source.reason.as_deref().unwrap_or("unknown reason");
        warn(format!(
            "not connected: {} ({})",
            source.name,
            clean(reason)
        ))?;
    }
    for note in words::notes(report) {
        warn(clean(&note).into_owned())?;
    }
    for line in words::left_out(report) {
        warn(clean(&line).into_owned())?;
    }
    for (reason, count) in words::losses(report) {
        warn(format!("lost: {count} ({reason})"))?;
    }
    let sight = format!("sight: {}", clean(&words::sight(report)));
    let tint = if report.sight.complete {
        Tint::Plain
    } else {
        Tint::Warning
    };
    let sight = wrap(&sight, "  ", columns);
    writeln!(text, "{}", tint.paint(sight, color))
}

fn write_episodes(
    text: &mut String,
    report: &Report,
    color: bool,
    columns: Option<usize>,
) -> std::fmt::Result {
    let episodes = words::worst_first(report);
    if episodes.is_empty() {
        return Ok(());
    }
    let shown = words::shown_episodes(&episodes);
    // With room for it, every capability is listed.
    let whole = episode_table(report, &shown, |names| names.join(", "));
    let table = match columns {
        Some(columns) if whole.fits(columns) => whole,
        _ => episode_table(report, &shown, words::some_of),
    };
    let (heading, rows) = table.lines(columns);
    writeln!(text, "\n{}", Tint::Bold.paint(heading, color))?;
    for (episode, row) in shown.iter().zip(rows) {
        let first = Tint::Verdict(episode.verdict).paint(row.first, color);
        writeln!(text, "{first}{}", row.rest)?;
        for line in row.below {
            writeln!(text, "{line}")?;
        }
        if episode.is_explained() {
            let sentence = clean(&episode.explanation);
            writeln!(text, "{}", wrap(&sentence, "    ", columns))?;
            if let Some(chain) = chain(&episode.chain) {
                writeln!(text, "{}", wrap(&chain, "    ", columns))?;
            }
            writeln!(text, "    episode {}", clean(&episode.id))?;
        }
    }
    more(text, words::episodes_shown(report, shown.len()), columns)
}

fn episode_table(
    report: &Report,
    episodes: &[&Episode],
    listed: impl Fn(&[String]) -> String,
) -> Table<9> {
    let mut table = Table::new([
        ("VERDICT", Side::Left),
        ("SUPERVISOR", Side::Left),
        ("PROCESS", Side::Left),
        ("PID", Side::Right),
        ("LAYER", Side::Left),
        ("DROPS", Side::Right),
        ("REFUSED", Side::Right),
        ("BECAME", Side::Left),
        ("STILL IN SET", Side::Left),
    ]);
    for episode in episodes {
        table.push([
            episode.verdict.to_string(),
            dash(with_version(episode)) + words::apart(report, episode.scope),
            clean(&episode.comm).into_owned(),
            episode.pid.to_string(),
            dash(episode.layer.clone().unwrap_or_default()),
            episode.drops.to_string(),
            episode.refused().to_string(),
            episode.ending(),
            dash(listed(&episode.residual)),
        ]);
    }
    table
}

fn write_denials(
    text: &mut String,
    report: &Report,
    color: bool,
    columns: Option<usize>,
) -> std::fmt::Result {
    let mut denials = words::most_first(report);
    let routine = words::routine(&mut denials);
    if denials.is_empty() {
        for routine in routine {
            writeln!(text, "\n{}", wrap(&routine, "", columns))?;
        }
        return Ok(());
    }
    let mut table = Table::new([
        ("DENIALS", Side::Right),
        ("CAPABILITY", Side::Left),
        ("LAYER", Side::Left),
        ("SUPERVISOR", Side::Left),
        ("PROCESS", Side::Left),
        ("AUDITED", Side::Left),
        ("WHY", Side::Left),
    ]);
    let shown = words::shown_denials(&denials);
    for denial in &shown {
        table.push([
            words::count(denial),
            denial.capability.clone(),
            denial.layer.clone(),
            dash(words::owner(
                denial.supervisor.as_deref(),
                denial.role.as_deref(),
            )) + words::apart(report, denial.scope),
            clean(&denial.comm).into_owned(),
            words::logged(denial).to_owned(),
            dash(clean(&words::why(denial)).into_owned()),
        ]);
    }
    let (heading, rows) = table.lines(columns);
    writeln!(text, "\n{}", Tint::Bold.paint(heading, color))?;
    for (denial, row) in shown.iter().zip(rows) {
        let quiet = denial.expected || denial.audited == "no";
        let tint = if quiet { Tint::Dim } else { Tint::Plain };
        for line in [row.first + &row.rest].iter().chain(&row.below) {
            writeln!(text, "{}", tint.paint(line, color))?;
        }
    }
    let said = words::denials_shown(report, shown.len(), denials.len());
    more(text, said, columns)?;
    for routine in routine {
        more(text, Some(routine), columns)?;
    }
    for denial in words::explained(report, &shown) {
        writeln!(
            text,
            "\n{}",
            wrap(&clean(&denial.explanation), "  ", columns)
        )?;
    }
    Ok(())
}

fn more(text: &mut String, said: Option<String>, columns: Option<usize>) -> std::fmt::Result {
    match said {
        Some(said) => writeln!(text, "{}", wrap(&said, "", columns)),
        None => Ok(()),
    }
}

/// The supervisor with its version, where that is known.
fn with_version(episode: &Episode) -> String {
    let owner = words::owner_of(episode);
    match &episode.version {
        Some(version) => format!("{owner} {}", clean(&short_version(version))),
        None => owner,
    }
}

fn dash(text: String) -> String {
    if text.is_empty() {
        "-".to_owned()
    } else {
        text
    }
}
