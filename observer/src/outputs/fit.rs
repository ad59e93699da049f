//! Text made to fit: cells of a width, sentences of lines.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// The mark in place of the rest of a text that was cut.
const MORE: char = '…';

/// Columns that a text takes on a terminal.
pub fn width(text: &str) -> usize {
    text.width()
}

/// The text, or its beginning and a mark where it is wider than so many columns.
pub fn clip(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for character in text.chars() {
        let wide = character.width().unwrap_or(0);
        if used + wide + 1 > columns {
            break;
        }
        used += wide;
        kept.push(character);
    }
    if columns > 0 {
        kept.push(MORE);
    }
    kept
}

/// The text with spaces after it, up to so many columns.
pub fn pad(text: &str, columns: usize) -> String {
    let missing = columns.saturating_sub(width(text));
    format!("{text}{}", " ".repeat(missing))
}

/// The text with spaces before it, up to so many columns.
pub fn pad_left(text: &str, columns: usize) -> String {
    let missing = columns.saturating_sub(width(text));
    format!("{}{text}", " ".repeat(missing))
}

/// The text in lines of at most so many columns, each after the indent. A word
/// that is too long stays whole.
pub fn wrap(text: &str, indent: &str, columns: Option<usize>) -> String {
    let room = columns.map_or(usize::MAX, |columns| {
        columns.saturating_sub(width(indent)).max(20)
    });
    let mut lines = String::from(indent);
    let mut used = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let wide = width(word);
        if used > 0 && used + 1 + wide > room {
            lines.push('\n');
            lines.push_str(indent);
            used = 0;
        }
        if used > 0 {
            lines.push(' ');
            used += 1;
        }
        lines.push_str(word);
        used += wide;
    }
    lines
}

/// The text in pieces of at most so many columns, cut after spaces and marks where it can be.
pub fn pieces(text: &str, columns: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut used = 0;
    for word in text.split_inclusive([' ', '/', ':', '-', '_']) {
        let room = columns.saturating_sub(used);
        if used > 0 && width(word.trim_end()) > room {
            pieces.push(String::new());
            used = 0;
        }
        for character in word.chars() {
            let wide = character.width().unwrap_or(0);
            if used > 0 && used + wide > columns {
                // The space that ends a full line is the break.
                if character == ' ' {
                    continue;
                }
                pieces.push(String::new());
                used = 0;
            }
            if let Some(piece) = pieces.last_mut() {
                piece.push(character);
            }
            used += wide;
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_as_wide_as_they_look() {
        assert_eq!(clip("openshell", 9), "openshell");
        assert_eq!(clip("openshell", 5), "open…");
        assert_eq!(clip("日本語", 5), "日本…");
        assert_eq!(clip("日本語", 4), "日…");
        assert_eq!(clip("x", 0), "");
        assert_eq!(pad("日", 4), "日  ");
        assert_eq!(pad_left("7", 3), "  7");
    }

    #[test]
    fn sentences_keep_to_the_width() {
        let text = "a sentence of some words and a_word_that_is_longer_than_any_line end";
        let lines = wrap(text, "    ", Some(26));
        let expected = "    a sentence of some\n    words and\n    a_word_that_is_longer_than_any_line\n    end";
        assert_eq!(lines, expected);
        assert_eq!(wrap("one  line", "  ", None), "  one line");
    }

    #[test]
    fn a_cell_is_cut_at_spaces_and_loses_nothing() {
        assert_eq!(pieces("-", 8), ["-"]);
        assert_eq!(pieces("exit, code 101", 10), ["exit, code", "101"]);
        assert_eq!(pieces("openshell/workload", 10), ["openshell/", "workload"]);
        assert_eq!(pieces("longest_word b", 6), ["longes", "t_word", "b"]);
        assert_eq!(pieces("日本語", 5), ["日本", "語"]);
        assert_eq!(pieces("", 5), [""]);
    }
}
