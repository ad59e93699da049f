//! The table for a person.

use std::io::{self, Write};

use super::{Report, Row, steps};
use crate::clean::clean;

/// Writes the table, a sentence for each trial, and what the hooks are worth.
pub fn show(out: &mut impl Write, report: &Report) -> io::Result<()> {
    if !report.trials.is_empty() {
        writeln!(
            out,
            "{:<10} {:<8} {:<20} {:<9} {:<10} {:>5} {:>7}  {:<5} SEEN",
            "NAMESPACE", "SETPCAP", "PROFILE", "VERDICT", "LAYER", "DROPS", "REFUSED", "FATE",
        )?;
    }
    for row in &report.trials {
        let profile = row.profile.as_deref().unwrap_or("-");
        writeln!(
            out,
            "{:<10} {:<8} {:<20} {:<9} {:<10} {:>5} {:>7}  {:<5} {}",
            row.namespace,
            if row.setpcap == "given_up" {
                "dropped"
            } else {
                &row.setpcap
            },
            clean(profile),
            row.verdict.map_or("-", |verdict| verdict.as_str()),
            row.layer.unwrap_or("-"),
            row.drops,
            row.refused_raised + row.refused_lowered,
            row.fate.unwrap_or("-"),
            seen(report, row),
        )?;
        writeln!(out, "    {}", clean(&row.explanation))?;
    }
    if let Some(reason) = &report.hooks.reason {
        writeln!(
            out,
            "\nno hook is attached ({}): the layers are derived from the results of the calls only",
            clean(reason)
        )?;
    }
    steps::show(out, &report.steps)?;
    if report.trials.is_empty() {
        return Ok(());
    }
    let word = if report.cleared { "can" } else { "can't" };
    writeln!(
        out,
        "\na supervisor with these privileges {word} clear its bounding set here"
    )
}

fn seen(report: &Report, row: &Row) -> String {
    match &row.seen {
        Some(seen) if seen.agrees => "the same".to_owned(),
        Some(seen) => format!(
            "differs: {} by {}",
            seen.verdict,
            clean(seen.layer.as_deref().unwrap_or("nobody"))
        ),
        None if !report.hooks.attached || row.drops == 0 => "-".to_owned(),
        None => "nothing".to_owned(),
    }
}
