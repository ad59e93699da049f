//! Hostile text made safe to show: names come from anyone who runs a program.

use std::borrow::Cow;

/// Text for a terminal or a log: control characters, terminal escapes and
/// marks that change the direction of writing are shown as `\u{1b}`.
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(hostile) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if hostile(character) {
            safe.extend(character.escape_unicode());
        } else {
            safe.push(character);
        }
    }
    Cow::Owned(safe)
}

fn hostile(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_shown_and_the_rest_is_untouched() {
        assert_eq!(clean("\x1b[31mred\n"), "\\u{1b}[31mred\\u{a}");
        assert_eq!(clean("a\u{202e}b"), "a\\u{202e}b");
        assert!(matches!(clean("Grüße, ls"), Cow::Borrowed(_)));
    }
}
