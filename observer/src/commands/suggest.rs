//! `capwatch config suggest`: rules for the supervisors that no rule names, from
//! a report, a recorded stream, or what a live agent answers.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, Read, Write},
    path::Path,
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context, anyhow, bail};
use serde::Deserialize;

use super::replay;
use crate::{
    audit::decompressed,
    clean::clean,
    config::Rules,
    correlate::{cleaned, is_reserved},
    finding::{Episode, EventKind, Verdict},
    sources::recorded::{Line, Recorded, sniff},
};

/// A report is read whole.
const MAX_REPORT: u64 = 256 << 20;
/// Rules that are printed.
const MAX_RULES: usize = 256;

/// Runs the command.
pub fn run(file: &Path, rules: &Rules) -> anyhow::Result<ExitCode> {
    let name = file.display().to_string();
    let read = || format!("cannot read {name}");
    let (_, plain) = decompressed(replay::open(file)?).with_context(read)?;
    let (is_stream, input) = sniff(plain).with_context(read)?;
    let mut seen = Seen::default();
    if is_stream {
        let mut lines = Recorded::new(input);
        let mut observed = replay::Observed::new(Arc::new(rules.clone()));
        while let Some(line) = lines.next_line().with_context(read)? {
            let line = line.with_context(|| format!("{name}, line {}", lines.number()))?;
            let events = match line {
                Line::Event(event, _) => vec![*event],
                Line::State(_) => Vec::new(),
                Line::Seen(line) => {
                    let findings = observed.take(*line).map_err(|why| anyhow!(why))?;
                    findings.into_iter().map(|finding| finding.event).collect()
                }
            };
            for event in events {
                if let EventKind::Episode(episode) = event.kind {
                    seen.add(&episode);
                }
            }
        }
    } else {
        for episode in whole(input).with_context(read)? {
            seen.add(&episode);
        }
    }
    io::stdout().write_all(seen.rules(rules).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// Whatever has a list of episodes: a report, or the agent's answers.
#[derive(Deserialize)]
struct Whole {
    episodes: Vec<Episode>,
}

fn whole(input: impl Read) -> anyhow::Result<Vec<Episode>> {
    let mut text = Vec::new();
    input.take(MAX_REPORT).read_to_end(&mut text)?;
    if text.len() as u64 == MAX_REPORT {
        bail!("it is longer than {MAX_REPORT} bytes: give the recorded stream instead");
    }
    let whole: Whole = serde_json::from_slice(&text).map_err(|error| {
        anyhow!(
            "it is neither a JSON report, a recorded stream nor an agent's answer ({error}); make \
             one with `capwatch record --stream FILE -- COMMAND`"
        )
    })?;
    Ok(whole.episodes)
}

/// What was seen of a program that no rule names.
#[derive(Default)]
struct Program {
    /// By id: one that is reported again counts in its last state.
    episodes: BTreeMap<String, Verdict>,
    refused: Option<(String, String)>,
}

/// What was seen of all of them, by executable.
#[derive(Default)]
struct Seen {
    programs: BTreeMap<String, Program>,
    /// Those whose executable is not known.
    nameless: u64,
}

impl Seen {
    fn add(&mut self, episode: &Episode) {
        if episode.is_of_a_rule() {
            return;
        }
        let Some(exe) = &episode.exe else {
            self.nameless += 1;
            return;
        };
        let program = self.programs.entry(exe.clone()).or_default();
        program.episodes.insert(episode.id.clone(), episode.verdict);
        if let (Some(capability), Some(layer)) = (&episode.first_refused, &episode.layer) {
            program.refused = Some((capability.clone(), layer.clone()));
        }
    }

    /// The rules as TOML.
    fn rules(&self, known: &Rules) -> String {
        let mut text = String::from(HEAD);
        if self.programs.is_empty() {
            text += "\n# None: every program that dropped from its bounding set has a rule.\n";
        }
        let mut names: Vec<_> = known
            .supervisors()
            .iter()
            .map(|rule| rule.name.to_string())
            .collect();
        for (exe, program) in self.programs.iter().take(MAX_RULES) {
            let name = unused(exe, &names);
            names.push(name.clone());
            // Writing to a string never fails.
            let _ = program.write(&mut text, &name, exe);
        }
        for (count, what) in [
            (
                self.nameless,
                "episodes of programs without a known executable",
            ),
            (
                self.programs.len().saturating_sub(MAX_RULES) as u64,
                "more programs",
            ),
        ] {
            if count > 0 {
                let _ = writeln!(text, "\n# Left out: {count} {what}.");
            }
        }
        text
    }
}

const HEAD: &str = "\
# Rules for programs that dropped from their bounding set and that no rule names.
# Keep those that confine others, then try them: capwatch --config FILE config check
# An exe may be an absolute path with globs, so other programs of this name do not match.
";

/// A name for the rule: the program's, unless another rule has it, which would be
/// replaced.
fn unused(exe: &str, names: &[String]) -> String {
    let base = cleaned(exe);
    let is_free = |name: &String| !is_reserved(name) && !names.contains(name);
    let others = (2..).map(|number| format!("{base}-{number}"));
    let mut all = std::iter::once(base.clone()).chain(others);
    all.find(is_free).unwrap_or(base)
}

impl Program {
    fn write(&self, text: &mut String, name: &str, exe: &str) -> std::fmt::Result {
        let total = self.episodes.len();
        let counts: Vec<_> = Verdict::ALL
            .into_iter()
            .rev()
            .filter_map(|verdict| {
                let of_it = self.episodes.values().filter(|one| **one == verdict);
                let count = of_it.count();
                (count > 0).then(|| format!("{count} {verdict}"))
            })
            .collect();
        let word = if total == 1 { "episode" } else { "episodes" };
        write!(text, "\n# {total} {word}: {}", counts.join(", "))?;
        if let Some((capability, layer)) = &self.refused {
            write!(text, "; {} refused by {}", clean(capability), clean(layer))?;
        }
        writeln!(text)?;
        // The kernel side compares the basename, which can't have a glob.
        let off = if exe.contains(['*', '?', '[']) {
            "# "
        } else {
            ""
        };
        writeln!(text, "{off}[[supervisor]]")?;
        writeln!(text, "{off}name = {}", quoted(name))?;
        writeln!(text, "{off}exe = [{}]", quoted(exe))?;
        writeln!(
            text,
            "# empties = true   # where its workload should start with an empty set"
        )?;
        writeln!(
            text,
            "# runtime = true   # where its workload is a container"
        )?;
        writeln!(
            text,
            "# self = true      # where it is a daemon that confines itself"
        )
    }
}

/// A string of TOML, in letters that every terminal shows as they are.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            ' '..='~' => quoted.push(letter),
            // Writing to a string never fails.
            _ => {
                let _ = write!(quoted, "\\U{:08x}", u32::from(letter));
            }
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    fn episode(id: u64, supervisor: &str, inferred: bool, exe: &str) -> Episode {
        let exe = serde_json::to_string(exe).unwrap();
        let json = format!(
            r#"{{"id":"{id}","verdict":"fatal","retried":false,"supervisor":{supervisor},"inferred":{inferred},
            "role":"supervisor","version":null,"container":null,"pid":7,"ppid":1,"comm":"x","exe":{exe},"layer":"commoncap",
            "profile":null,"drops":1,"refused_raised":1,"refused_lowered":0,"unknown_capability":0,"bounding_before":"0x1",
            "bounding_after":"0x1","residual":["chown"],"effective":"0x0","user_namespace":{{"inode":1,"level":1}},
            "fate":"exit","exit":null,"first_refused":"chown","duration_seconds":0.1,"explanation":"It failed."}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn the_rules_name_the_program_and_are_valid_whatever_its_name_is() {
        let mut seen = Seen::default();
        seen.add(&episode(1, "\"my-sandbox\"", true, "my-sandbox"));
        seen.add(&episode(1, "\"my-sandbox\"", true, "my-sandbox"));
        seen.add(&episode(
            2,
            "\"inferred\"",
            true,
            "a\"]\n\\{x}\u{7f}\u{202e}",
        ));
        // As streams before 0.2 have it.
        seen.add(&episode(3, "null", false, "openshell"));
        seen.add(&episode(4, "null", false, "gl*b"));
        seen.add(&episode(5, "\"crun\"", false, "crun"));
        let mut rules = Rules::load(None).unwrap();
        let before = rules.supervisors().len();
        let text = seen.rules(&rules);
        rules
            .add(&text, "suggested")
            .unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(rules.supervisors().len(), before + 3, "{text}");
        assert!(
            text.contains("# 1 episode: 1 fatal; chown refused by commoncap\n"),
            "{text}"
        );
        assert!(
            text.bytes()
                .all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte))
        );
        let named = |exe: &str| {
            let rule = rules.by_basename(exe.as_bytes()).unwrap();
            rules.get(rule.id).unwrap().name.to_string()
        };
        assert_eq!(named("my-sandbox"), "my-sandbox");
        assert_eq!(named("openshell"), "openshell-2", "no rule is replaced");
        assert_eq!(named("openshell-sandbox"), "openshell");
    }

    #[test]
    fn nothing_to_suggest_is_said_and_valid() {
        let text = Seen::default().rules(&Rules::default());
        assert!(text.contains("None: every program"), "{text}");
        Rules::default().add(&text, "suggested").unwrap();
    }

    #[test]
    fn what_is_no_report_is_refused_with_the_remedy() {
        let error = whole(&b"[1]"[..]).unwrap_err().to_string();
        assert!(
            error.contains("make one with `capwatch record --stream FILE"),
            "{error}"
        );
        assert!(
            whole(&br#"{"schema":"capwatch.episodes/1","episodes":[]}"#[..])
                .unwrap()
                .is_empty()
        );
    }
}
