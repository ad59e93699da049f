//! What a CI runner would take for a command to itself. Names come from anyone who
//! runs a program, and a report is read by the runner line by line.
//!
//! GitHub obeys a line that begins with `::` (leading blanks do not count) and,
//! as Azure does, `##[` and `##vso[` anywhere in a line; `TeamCity` obeys
//! `##teamcity[`.

use std::fmt::Write as _;

/// What introduces a command anywhere in a line.
const ANYWHERE: [&str; 3] = ["##[", "##vso[", "##teamcity["];

/// The text with commands quoted: their first character is written by `quote`.
pub fn disarm(text: &str, quote: impl Fn(char) -> String) -> String {
    let mut safe = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let start = line.trim_start();
        let rest = match start.strip_prefix("::") {
            Some(_) => {
                let blanks = &line[..line.len() - start.len()];
                // Writing to a string never fails.
                let _ = write!(safe, "{blanks}{}", quote(':'));
                &start[1..]
            }
            None => line,
        };
        for (at, character) in rest.char_indices() {
            if ANYWHERE.iter().any(|command| starts(&rest[at..], command)) {
                safe += &quote(character);
            } else {
                safe.push(character);
            }
        }
    }
    safe
}

/// Runners compare without regard to case.
fn starts(text: &str, command: &str) -> bool {
    let head = text.as_bytes().get(..command.len());
    head.is_some_and(|head| head.eq_ignore_ascii_case(command.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::disarm;

    fn quoted(text: &str) -> String {
        disarm(text, |character| character.escape_unicode().to_string())
    }

    #[test]
    fn a_line_that_begins_as_a_command_is_quoted() {
        assert_eq!(quoted("::error::x"), "\\u{3a}:error::x");
        assert_eq!(quoted("a\n  ::stop\nb\n"), "a\n  \\u{3a}:stop\nb\n");
    }

    #[test]
    fn a_command_that_counts_anywhere_is_quoted_anywhere() {
        assert_eq!(quoted("a ##[error]b"), "a \\u{23}#[error]b");
        assert_eq!(quoted("x##VSO[task"), "x\\u{23}#VSO[task");
        assert_eq!(quoted("##teamcity["), "\\u{23}#teamcity[");
        assert_eq!(quoted("###[x"), "#\\u{23}#[x");
    }

    #[test]
    fn what_no_runner_obeys_is_left_alone() {
        let text = "## capwatch\nstd::fs and a::b\n| `::x` |\n#[attribute]\n";
        assert_eq!(quoted(text), text);
    }
}
