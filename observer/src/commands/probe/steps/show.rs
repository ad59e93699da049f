//! The steps for a person.

use std::io::{self, Write};

use super::{Row, order::Without};
use crate::clean::clean;

/// Writes a line for each condition, and a sentence for each failure.
pub fn show(out: &mut impl Write, rows: &[Row]) -> io::Result<()> {
    writeln!(
        out,
        "\nWhat a sandbox needs (-: not tried after a failure):"
    )?;
    let mut shown: Vec<&str> = Vec::new();
    for row in rows {
        let without = match row.without {
            Without::Nothing => "as it is".to_owned(),
            Without::NoNewPrivs => "with no_new_privs".to_owned(),
            other => format!("without {}", other.word()),
        };
        let words: Vec<_> = row
            .steps
            .iter()
            .map(|outcome| {
                let word = match (outcome.tried, outcome.errno) {
                    (false, _) => "-",
                    (true, None) => "ok",
                    (true, Some(_)) => outcome.layer.unwrap_or("failed"),
                };
                format!("{} {word}", outcome.step.as_str())
            })
            .collect();
        writeln!(out, "{without}: {}", words.join(", "))?;
        if let Some(label) = &row.label_after {
            writeln!(out, "    the user namespace moved it to {}", clean(label))?;
        }
        let sentences = row
            .steps
            .iter()
            .filter_map(|outcome| outcome.explanation.as_deref());
        for sentence in sentences {
            if !shown.contains(&sentence) {
                writeln!(out, "    {}", clean(sentence))?;
                shown.push(sentence);
            }
        }
    }
    Ok(())
}
