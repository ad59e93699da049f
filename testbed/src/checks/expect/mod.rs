//! Expectations of a report: a language small enough for shell scripts.

mod eval;
mod parse;

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// What the help says of the language.
pub const HELP: &str = r#"
Expectations:
  PATH OP VALUE            all that the path leads to, and it leads to something
  any(PATH) OP VALUE       one of them at least
  count(PATH) OP VALUE     how many there are
  sum(PATH), min(PATH), max(PATH) OP VALUE
A path is made of keys: hooks[hook=security_capable].attached
  [KEY OP VALUE, …]        keeps the elements of a list for which all of it holds
OP is ==, !=, <, <=, >, >=, ~ (holds this text), !~ ; = is ==.
VALUE is JSON, or a bare word. A key that isn't there is null.
JSON lines are one list, called `lines`.
Examples:
  'episodes[supervisor=testsup].verdict == fatal'
  'count(episodes[verdict=ok, role!=supervisor]) >= 1'
  'sum(denials[capability=setpcap, layer=commoncap].count) == 13'
  'episodes.residual == ["chown"]'"#;

/// Checks a file; reports on stderr what does not hold.
///
/// # Errors
/// When the file can't be read, or an expectation makes no sense.
pub fn main(file: &Path, expectations: &[String]) -> Result<ExitCode> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let failures = failures(&read(&text)?, expectations)?;
    for failure in &failures {
        eprintln!("{}: {failure}", file.display());
    }
    Ok(ExitCode::from(u8::from(!failures.is_empty())))
}

/// Reads one JSON value, or JSON lines.
///
/// # Errors
/// When it is neither.
pub fn read(text: &str) -> Result<Value> {
    if let Ok(value) = serde_json::from_str(text) {
        return Ok(value);
    }
    let lines = text.lines().filter(|line| !line.is_empty());
    let lines: Vec<Value> = lines
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()
        .context("neither JSON nor JSON lines")?;
    Ok(json!({ "lines": lines }))
}

/// What does not hold, with what is there instead.
///
/// # Errors
/// When an expectation makes no sense.
pub fn failures<S: AsRef<str>>(document: &Value, expectations: &[S]) -> Result<Vec<String>> {
    let mut failures = Vec::new();
    for expectation in expectations {
        let text = expectation.as_ref();
        let parsed = parse::expectation(text).with_context(|| format!("in {text:?}"))?;
        if let Err(seen) = eval::holds(&parsed, document) {
            failures.push(format!("{text}: {seen}"));
        }
    }
    Ok(failures)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Value {
        json!({
            "episodes": [
                {"supervisor": "a", "verdict": "fatal", "residual": ["chown"], "exit": {"code": 1},
                 "bounding": "0x1"},
                {"supervisor": null, "verdict": "ok", "residual": [], "exit": null},
            ],
            "denials": [{"layer": "commoncap", "count": 3}, {"layer": "lsm", "count": 4}],
            "failed_on": [],
            "note": "it was refused, by x",
        })
    }

    fn holds(expectation: &str) -> bool {
        failures(&report(), &[expectation]).unwrap().is_empty()
    }

    #[test]
    fn paths_filter_and_compare() {
        assert!(holds("episodes[supervisor=a].verdict == fatal"));
        assert!(!holds("episodes.verdict == fatal"));
        assert!(holds("any(episodes.verdict) == fatal"));
        assert!(holds("episodes[supervisor=null].verdict=ok"));
        assert!(holds("episodes[verdict!=ok, exit.code>0].exit.code < 2"));
        assert!(holds("episodes[verdict=ok].exit.code == null"));
        assert!(holds("episodes[supervisor=a].bounding == 0x1"));
        assert!(holds(r#"episodes[supervisor=a].residual == ["chown"]"#));
        assert!(holds("episodes[supervisor=a].residual ~ chown"));
        assert!(holds("episodes[supervisor=null].residual !~ chown"));
        assert!(holds(r#"note ~ "refused, by""#));
        assert!(holds("failed_on == []"));
    }

    #[test]
    fn lists_are_counted_and_summed() {
        assert!(holds("count(episodes) == 2"));
        assert!(holds("count(episodes[supervisor=b]) == 0"));
        assert!(holds("count(episodes.residual) == 1"));
        assert!(holds("sum(denials.count) == 7"));
        assert!(holds("sum(denials[layer=lsm].count) >= 4"));
        assert!(holds("sum(denials[layer=selinux].count) == 0"));
        assert!(holds("max(denials.count) <= 4"));
    }

    #[test]
    fn nothing_found_is_no_success() {
        assert!(!holds("episodes[supervisor=b].verdict == fatal"));
        assert!(!holds("episodes[supervisor=b].verdict != fatal"));
        assert!(!holds("min(nowhere.count) <= 4"));
        assert!(!holds("episodes[verdict=ok].exit.code < 1"));
    }

    #[test]
    fn a_failure_says_what_was_seen() {
        let failures = failures(&report(), &["episodes.verdict == ok"]).unwrap();
        assert_eq!(failures, [r#"episodes.verdict == ok: saw "fatal", "ok""#]);
    }

    #[test]
    fn nonsense_is_an_error() {
        for nonsense in [
            "",
            "episodes",
            "== 1",
            "count(episodes == 1",
            "a[b == 1",
            "a ==",
            "a b == 1",
            "f(a) == 1",
        ] {
            assert!(failures(&report(), &[nonsense]).is_err(), "{nonsense:?}");
        }
    }

    #[test]
    fn lines_are_one_list() {
        let lines = read("{\"kind\":\"denial\"}\n{\"kind\":\"loss\"}\n").unwrap();
        assert!(
            failures(&lines, &["count(lines[kind=loss]) == 1"])
                .unwrap()
                .is_empty()
        );
        assert!(read("no json").is_err());
    }
}
