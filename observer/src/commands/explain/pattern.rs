//! Patterns of messages, compared without regard to case, quotes, colours and
//! white space.

/// How far apart two parts of a message may be: a path, a list of flags.
const GAP: usize = 240;

/// Fragments that follow each other; `*` is anything between two of them, and
/// `#` within one is a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    fragments: Vec<String>,
}

impl Pattern {
    /// Reads a pattern.
    pub fn new(text: &str) -> Self {
        let fragments = text.split('*').map(plain);
        Self {
            fragments: fragments.filter(|part| !part.is_empty()).collect(),
        }
    }

    /// How much it says: its characters.
    pub fn weight(&self) -> usize {
        self.fragments.iter().map(String::len).sum()
    }

    /// Whether a text, as [`plain`] makes it, holds it.
    pub fn fits(&self, text: &str) -> bool {
        let Some((first, rest)) = self.fragments.split_first() else {
            return false;
        };
        let mut from = 0;
        // A later beginning may be nearer to what follows.
        while let Some((start, end)) = find(text, first, from, text.len()) {
            if follows(text, rest, end) {
                return true;
            }
            from = next(text, start);
        }
        false
    }
}

fn follows(text: &str, fragments: &[String], mut from: usize) -> bool {
    for fragment in fragments {
        match find(text, fragment, from, from + GAP) {
            Some((_, end)) => from = end,
            None => return false,
        }
    }
    true
}

/// Where a fragment begins and ends, with words kept whole.
fn find(text: &str, fragment: &str, from: usize, until: usize) -> Option<(usize, usize)> {
    let word = |character: Option<char>| character.is_some_and(char::is_alphanumeric);
    let inner_start = word(fragment.chars().next()) || fragment.starts_with('#');
    let inner_end = word(fragment.chars().next_back()) || fragment.ends_with('#');
    let places = text.get(from..)?.char_indices();
    for (offset, _) in places {
        let start = from + offset;
        if start > until {
            return None;
        }
        if inner_start && word(text[..start].chars().next_back()) {
            continue;
        }
        let Some(length) = held(&text[start..], fragment) else {
            continue;
        };
        let end = start + length;
        if inner_end && word(text[end..].chars().next()) {
            continue;
        }
        return Some((start, end));
    }
    None
}

/// The length of the fragment at the beginning of a text.
fn held(text: &str, fragment: &str) -> Option<usize> {
    let mut rest = text;
    for character in fragment.chars() {
        if character == '#' {
            let shorter = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
            if shorter.len() == rest.len() {
                return None;
            }
            rest = shorter;
        } else {
            rest = rest.strip_prefix(character)?;
        }
    }
    Some(text.len() - rest.len())
}

fn next(text: &str, start: usize) -> usize {
    let width = text[start..].chars().next().map_or(1, char::len_utf8);
    start + width
}

/// A text without its meaningless parts: case, quotes, terminal escapes, and more
/// than one blank.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => {
                if characters.next_if_eq(&'[').is_some() {
                    // Up to the letter that ends a control sequence.
                    for part in characters.by_ref() {
                        if part.is_ascii_alphabetic() {
                            break;
                        }
                    }
                }
            }
            '"' | '\'' | '`' | '\\' | '\u{2018}'..='\u{201f}' | '\u{b4}' => {}
            _ if character.is_whitespace() || character.is_control() => {
                if !plain.is_empty() && !plain.ends_with(' ') {
                    plain.push(' ');
                }
            }
            _ => plain.extend(character.to_lowercase()),
        }
    }
    plain.truncate(plain.trim_end().len());
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern).fits(&plain(text))
    }

    #[test]
    fn case_quotes_colours_and_blanks_mean_nothing() {
        assert_eq!(plain("\x1b[1;31mCan\u{2019}t\t `x'\x1b[0m "), "cant x");
        assert!(fits("can't mount", "ERROR:  CAN\u{2019}T   mount"));
    }

    #[test]
    fn stars_and_numbers_stand_for_what_differs() {
        assert!(fits("exec *: eperm", "exec /usr/bin/caddy: EPERM"));
        assert!(fits("line #: *: eperm", "x.sh: line 116: vault: EPERM"));
        assert!(!fits("line #: x", "line : x"));
        assert!(!fits(
            "exec *: eperm",
            &format!("exec {}: EPERM", "a".repeat(300))
        ));
        assert!(fits("a *b", "a a x b"), "a later beginning");
    }

    #[test]
    fn words_are_kept_whole() {
        assert!(!fits("sh: x", "bash: x"));
        assert!(!fits("sandbox", "sandboxes"));
        assert!(fits("sandbox", "(sandbox)"));
    }
}
