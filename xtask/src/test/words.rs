//! The sentences that people read: spelling by codespell, and words that they avoid.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use super::report::{Report, Tally};
use crate::{apt, cmd};

const AVOIDED: &str = include_str!("../../words/avoided.txt");
const VOCABULARY: &str = "xtask/words/vocabulary.txt";

/// What codespell leaves out: other people's words, and what is no text.
const FOREIGN: [&str; 8] = [
    "LICENSE",
    "Cargo.lock",
    "fuzz/Cargo.lock",
    "observer/tests/golden/",
    "observer/tests/state/",
    "observer/bpf/",
    // Messages without their apostrophes; docs/errors.md has the sentences.
    "observer/src/commands/explain/errors.toml",
    "observer/src/commands/explain/pattern.rs",
];

/// Runs both.
pub fn ring(report: &mut Report, quick: bool) {
    report.step("words", || {
        let found = avoided()?;
        for line in &found {
            eprintln!("{line}");
        }
        ensure!(found.is_empty(), "{} words to avoid", found.len());
        Ok(Tally::pass())
    });
    if quick && cmd::in_path("codespell").is_none() {
        return report.skip(
            "spelling",
            "codespell isn't there, and --quick installs nothing",
        );
    }
    report.step("spelling", || {
        if cmd::in_path("codespell").is_none() {
            apt::ensure(&["codespell"])?;
        }
        let files = tracked()?;
        let files = files.iter().filter(|file| {
            let name = file.to_string_lossy();
            !FOREIGN.iter().any(|foreign| name.starts_with(foreign))
        });
        cmd::run(
            Command::new("codespell")
                .arg(format!("--ignore-words={VOCABULARY}"))
                .args(files)
                .current_dir(cmd::workspace()),
        )?;
        Ok(Tally::pass())
    });
}

/// The files that git knows, and those that it would take.
fn tracked() -> Result<Vec<PathBuf>> {
    let listed = cmd::stdout(
        Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard"])
            .current_dir(cmd::workspace()),
    )?;
    let files: Vec<PathBuf> = listed.lines().map(PathBuf::from).collect();
    let there = files
        .into_iter()
        .filter(|file| cmd::workspace().join(file).is_file());
    Ok(there.collect())
}

/// A word, what may follow it, and what says it better.
struct Word {
    text: &'static str,
    before: Vec<&'static str>,
    better: &'static str,
}

impl Word {
    fn all() -> Result<Vec<Self>> {
        let lines = AVOIDED.lines().filter(|line| !line.starts_with('#'));
        lines.map(Self::read).collect()
    }

    /// `WORD [AFTER, …]: BETTER`
    fn read(line: &'static str) -> Result<Self> {
        let (word, better) = line.split_once(": ").context("a word without another")?;
        let (word, before) = word.split_once(" [").unwrap_or((word, "]"));
        let Some(before) = before.strip_suffix(']') else {
            bail!("{line}: a bracket is open");
        };
        let before = before.split(", ").filter(|next| !next.is_empty()).collect();
        Ok(Self {
            text: word,
            before,
            better,
        })
    }

    /// Whether a text has it, as a whole word.
    fn is_in(&self, text: &str) -> bool {
        let is_letter = |letter: char| letter.is_alphanumeric() || "_-`".contains(letter);
        text.match_indices(self.text).any(|(at, _)| {
            let rest = &text[at + self.text.len()..];
            let is_whole = !text[..at].ends_with(is_letter) && !rest.starts_with(is_letter);
            let next = rest.trim_start().split(|sign: char| !sign.is_alphabetic());
            let next = next.into_iter().next().unwrap_or_default();
            is_whole && !self.before.contains(&next)
        })
    }
}

/// Where sentences have words to avoid: `FILE:LINE: WORD (BETTER): TEXT`.
fn avoided() -> Result<Vec<String>> {
    let words = Word::all()?;
    let mut found = Vec::new();
    for file in tracked()? {
        let Some(read) = reader(&file) else {
            continue;
        };
        let text = fs::read_to_string(cmd::workspace().join(&file))
            .with_context(|| format!("cannot read {}", file.display()))?;
        for (number, sentence) in read(&text) {
            let lower = sentence.to_lowercase();
            for word in words.iter().filter(|word| word.is_in(&lower)) {
                let Word {
                    text: word, better, ..
                } = word;
                let file = file.display();
                found.push(format!("{file}:{number}: {word} ({better}): {sentence}"));
            }
        }
    }
    Ok(found)
}

/// The sentences of a text, each with its line.
type Reader = fn(&str) -> Vec<(usize, String)>;

/// How the sentences of a file are found; none where nobody reads them.
fn reader(file: &Path) -> Option<Reader> {
    let name = file.to_str()?;
    let kind = file.extension()?.to_str()?;
    match kind {
        // What was released is as it was.
        _ if name == "CHANGELOG.md" || name.contains("/tests/") => None,
        // Generated from the help texts, in fences.
        "md" if name == "docs/commands.md" => Some(of_lines),
        "md" => Some(of_document),
        "rs" if name.starts_with("observer/src/") && !name.contains("tests") => Some(of_source),
        "toml" if name.starts_with("observer/src/") => Some(of_lines),
        "yml" | "mjs" if name.starts_with("dashboards/") => Some(of_lines),
        _ => None,
    }
}

fn of_lines(text: &str) -> Vec<(usize, String)> {
    let lines = text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim_start().starts_with(['#', '/']));
    lines
        .map(|(at, line)| (at + 1, without_code(line)))
        .collect()
}

/// What is no example: neither in a fence nor indented as code.
fn of_document(text: &str) -> Vec<(usize, String)> {
    let mut is_fenced = false;
    let mut sentences = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
        } else if !is_fenced && !line.starts_with("    ") {
            sentences.push((at + 1, without_code(line)));
        }
    }
    sentences
}

/// Strings of more than two words, up to the unit tests.
fn of_source(text: &str) -> Vec<(usize, String)> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let mut sentences = Vec::new();
    let mut rest = code;
    let mut line = 1;
    while let Some(at) = rest.find(['"', '\'', '/']) {
        line += rest[..at].matches('\n').count();
        rest = &rest[at..];
        let length = match rest.as_bytes() {
            [b'"', ..] => {
                let end = end_of_string(rest);
                let string = rest[1..end].replace("\\\"", "\"");
                let words: Vec<_> = string.split_whitespace().collect();
                if words.len() > 2 {
                    let words = words.into_iter().filter(|word| *word != "\\");
                    sentences.push((line, words.collect::<Vec<_>>().join(" ")));
                }
                end + 1
            }
            [b'/', b'/', ..] => rest.find('\n').unwrap_or(rest.len()),
            [b'\'', b'\\', _, b'\'', ..] => 4,
            [b'\'', b'"', b'\'', ..] => 3,
            _ => 1,
        };
        let length = length.min(rest.len());
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    sentences
}

fn end_of_string(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at.min(bytes.len())
}

/// A line without the text between backticks.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_whole_and_may_be_followed() {
        let word = Word::read("stands [for, still]: is").expect("a word");
        assert!(word.is_in("it stands") && word.is_in("stands alone"));
        assert!(!word.is_in("it stands for that") && !word.is_in("stands still"));
        assert!(!word.is_in("standstill") && !word.is_in("`stands`"));
        assert!(Word::read("alone").is_err());
        assert!(Word::all().expect("the list").len() > 5);
    }

    #[test]
    fn documents_have_no_sentences_in_code() {
        let text = "# Told\n    told\n```sh\ntold\n```\nSay `told` once.\n";
        let found = of_document(text);
        assert_eq!(
            found,
            [(1, "# Told".to_owned()), (6, "Say ` once.".to_owned())]
        );
    }

    #[test]
    fn sources_have_sentences_in_strings() {
        let text = "/// It is told.\nlet one = '\"';\nsay(\"cannot be \\\n   told now\", \"a\"); // told\n\
                    #[cfg(test)]\nlet it = \"is told of\";\n";
        assert_eq!(of_source(text), [(3, "cannot be told now".to_owned())]);
    }
}
