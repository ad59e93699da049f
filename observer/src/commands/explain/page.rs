//! `docs/errors.md`, generated from the table for search engines.

#![cfg(test)]

use std::fmt::Write as _;

use super::{
    NEXT, POSSIBLE,
    table::{Cause, Table},
};

const HEAD: &str = "# Error messages and their causes

Messages of programs to which the kernel refuses a privilege, a namespace or an exec, with
commands that find the cause. `capwatch explain MESSAGE` looks a message up in the same
table (`observer/src/commands/explain/errors.toml`). The most likely cause comes first,
except below an errno alone and a part of a record. Run a check where the program runs: in its
container, as its user.

See also [known wrong diagnoses](wrong-diagnoses.md).
";

/// The page.
pub fn page(table: &Table) -> Result<String, std::fmt::Error> {
    let mut page = HEAD.to_owned();
    for entry in table.entries() {
        let title = entry.examples.first().map_or("", String::as_str);
        let title = title.lines().next().unwrap_or_default();
        writeln!(page, "\n## `{}`", title.replace('`', "'"))?;
        for example in entry.examples.iter().skip(1) {
            let line = example.lines().next().unwrap_or_default();
            writeln!(page, "Also: `{}`  ", line.replace('`', "'"))?;
        }
        writeln!(
            page,
            "\nReported by {}: {}.\n",
            entry.program,
            entry.means.replace('|', "\\|")
        )?;
        if entry.general {
            writeln!(page, "{POSSIBLE}\n")?;
        }
        let sign = if entry.general {
            "suggests it"
        } else {
            "the cause if it shows"
        };
        writeln!(page, "| cause | check | {sign} | fix |")?;
        writeln!(page, "|---|---|---|---|")?;
        for cause in table.causes(entry) {
            let Cause {
                what,
                check,
                sign,
                fix,
            } = cause;
            writeln!(
                page,
                "| {} | `{}` | {} | {} |",
                cell(&what),
                cell(&check),
                cell(&sign),
                cell(&fix)
            )?;
        }
        if entry.general {
            writeln!(page, "\nNext: {NEXT}")?;
        }
        let links: Vec<_> = entry.source.iter().map(|url| format!("<{url}>")).collect();
        writeln!(page, "\nSources: {}", links.join(", "))?;
    }
    Ok(page)
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
