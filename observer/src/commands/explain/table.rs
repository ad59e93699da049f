//! The table of messages, as data.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::pattern::{self, Pattern};

const ERRORS: &str = include_str!("errors.toml");
/// Characters of a line that are shown.
const LINE: usize = 300;

/// Everything that is known.
#[derive(Debug)]
pub struct Table {
    entries: Vec<Entry>,
    causes: BTreeMap<String, Cause>,
    patterns: Vec<(usize, Pattern)>,
}

/// One thing that can be behind a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cause {
    /// What it is.
    pub what: String,
    /// One command that separates it from the others.
    pub check: String,
    /// What that shows where this is the cause.
    pub sign: String,
    /// The remedy.
    pub fix: String,
}

/// One message.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// A short name.
    pub id: String,
    /// Whether it is an errno, or a part of a record, which shows no cause: it is
    /// looked for only in a text without any other message.
    #[serde(default)]
    pub general: bool,
    /// Who says so.
    pub program: String,
    /// How it is recognised.
    #[serde(rename = "match")]
    pub patterns: Vec<String>,
    /// As people paste it.
    pub examples: Vec<String>,
    /// What happened.
    pub means: String,
    /// A capability whose lack is the first cause.
    pub capability: Option<String>,
    /// Names of causes, the likeliest first.
    pub causes: Vec<String>,
    /// Where the message and its causes were read.
    pub source: Vec<String>,
}

/// Of each entry that a text holds: how much its pattern says, and the line.
type Best = BTreeMap<usize, (usize, String)>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    cause: BTreeMap<String, Cause>,
    error: Vec<Entry>,
}

impl Table {
    /// The built-in table.
    ///
    /// # Errors
    /// When it is broken, which a test excludes.
    pub fn built_in() -> anyhow::Result<Self> {
        let file: File = toml::from_str(ERRORS).context("the built-in table is broken")?;
        let numbered = file.error.iter().enumerate();
        let patterns = numbered
            .flat_map(|(number, entry)| {
                let patterns = entry.patterns.iter();
                patterns.map(move |text| (number, Pattern::new(text)))
            })
            .collect();
        Ok(Self {
            entries: file.error,
            causes: file.cause,
            patterns,
        })
    }

    /// Every message, in the order of the table.
    #[cfg(test)]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The causes by name.
    #[cfg(test)]
    pub const fn all_causes(&self) -> &BTreeMap<String, Cause> {
        &self.causes
    }

    /// What can be behind a message, the likeliest first.
    pub fn causes(&self, entry: &Entry) -> Vec<Cause> {
        let named = entry.causes.iter().filter_map(|name| self.causes.get(name));
        let lacking = entry.capability.as_deref().map(lacks);
        lacking.into_iter().chain(named.cloned()).collect()
    }

    /// The messages that a text holds, the best fit first, each with the line
    /// that it was found on.
    pub fn find(&self, text: &str) -> Vec<(&Entry, String)> {
        let mut best = self.look_through(text, false);
        if best.is_empty() {
            best = self.look_through(text, true);
        }
        let mut found: Vec<_> = best.into_iter().collect();
        // What says more fits better; of equals the earlier in the table.
        found.sort_by_key(|(number, (weight, _))| (usize::MAX - weight, *number));
        // One line says one thing: what fits it less is left out.
        let mut lines: Vec<String> = Vec::new();
        let mut fits = Vec::new();
        for (number, (_, line)) in found {
            if lines.contains(&line) {
                continue;
            }
            if let Some(entry) = self.entries.get(number) {
                lines.push(line.clone());
                fits.push((entry, line));
            }
        }
        fits
    }

    /// The general messages in a text, or all others.
    fn look_through(&self, text: &str, general: bool) -> Best {
        let mut best = Best::new();
        for line in text.lines() {
            self.look(line, general, &mut best);
        }
        if best.is_empty() {
            // A terminal or a mail broke the line.
            let whole: Vec<_> = text.lines().map(str::trim).collect();
            self.look(&whole.join(" "), general, &mut best);
        }
        best
    }

    fn look(&self, line: &str, general: bool, best: &mut Best) {
        let plain = pattern::plain(line);
        for (number, pattern) in &self.patterns {
            let entry = self.entries.get(*number);
            if entry.is_none_or(|entry| entry.general != general) || !pattern.fits(&plain) {
                continue;
            }
            let weight = pattern.weight();
            if best.get(number).is_none_or(|(held, _)| *held < weight) {
                let shown: String = line.trim().chars().take(LINE).collect();
                best.insert(*number, (weight, shown));
            }
        }
    }
}

/// The cause that a capability is missing.
fn lacks(capability: &str) -> Cause {
    let upper = capability.to_ascii_uppercase();
    Cause {
        what: format!("CAP_{upper} is not in the process's effective set"),
        check: format!("capsh --has-p=cap_{capability}"),
        sign: "`not permitted` (run it where the program runs)".to_owned(),
        fix: format!(
            "grant this one capability if the program truly needs it (`--cap-add {upper}`; \
             `capabilities: {{add: [{upper}]}}`; `AmbientCapabilities=CAP_{upper}`)"
        ),
    }
}

/// Names of causes that an entry has and the table has not.
#[cfg(test)]
pub fn unknown_causes(table: &Table) -> Vec<String> {
    let names = table.entries.iter().flat_map(|entry| &entry.causes);
    names
        .filter(|name| !table.causes.contains_key(*name))
        .cloned()
        .collect()
}
