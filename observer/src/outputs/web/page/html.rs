//! Building HTML: only text of the program is markup; everything else is escaped.

use std::fmt::{self, Display, Write};

use crate::finding::Verdict;
use crate::time::Stamp;

use super::super::summary::ago;
use super::docs::Document;

/// A page that grows.
#[derive(Debug, Default)]
pub struct Html(String);

impl Html {
    /// Adds markup. Only what is known at compile time can be markup.
    pub fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Adds a document of the program's own.
    pub fn document(&mut self, document: &Document) -> &mut Self {
        self.0.push_str(&document.html());
        self
    }

    /// Adds text, safe between tags and in quoted attributes.
    pub fn text(&mut self, text: impl Display) -> &mut Self {
        // Writing into a String can't fail.
        let _ = write!(Escaped(&mut self.0), "{text}");
        self
    }

    /// Adds a name that someone else chose, apart from the text around it even
    /// where its letters run from right to left.
    pub fn name(&mut self, name: impl Display) -> &mut Self {
        self.raw("<bdi>").text(name).raw("</bdi>")
    }

    /// Adds the link to an episode.
    pub fn episode_href(&mut self, id: &str) -> &mut Self {
        self.raw(" href=\"/episodes/").segment(id).raw("\"")
    }

    /// Adds one segment of a path.
    pub fn segment(&mut self, segment: &str) -> &mut Self {
        for byte in segment.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
                self.0.push(char::from(byte));
            } else {
                let _ = write!(self.0, "%{byte:02X}");
            }
        }
        self
    }

    /// Adds a time: how long ago, and exactly where asked for.
    pub fn time(&mut self, now: Stamp, then: Stamp) -> &mut Self {
        self.raw("<time datetime=\"").text(then);
        self.raw("\" title=\"").text(then).raw("\">");
        self.text(ago(now, then)).raw("</time>")
    }

    /// Adds a verdict as a badge.
    pub fn verdict(&mut self, verdict: Verdict) -> &mut Self {
        self.raw("<span class=\"badge ").text(verdict).raw("\">");
        self.text(verdict).raw("</span>")
    }

    /// Adds a name, or a dash where there is none.
    pub fn optional(&mut self, name: Option<&str>) -> &mut Self {
        match name {
            Some(name) => self.name(name),
            None => self.raw("<span class=\"none\">–</span>"),
        }
    }

    /// The page.
    pub fn finish(self) -> String {
        self.0
    }
}

struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                _ if is_unseen(character) => self.0.push('\u{fffd}'),
                _ => self.0.push(character),
            }
        }
        Ok(())
    }
}

/// Control characters, and those that turn the order of the text around them:
/// a process may choose its name to make a line read as another.
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_never_markup() {
        let mut html = Html::default();
        html.text("<img src=x onerror=\"alert('1')\">&\u{202e}\n\u{7}");
        assert_eq!(
            html.finish(),
            "&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt;&amp;\u{fffd}\u{fffd}\u{fffd}"
        );
    }

    #[test]
    fn an_id_stays_in_its_place() {
        let mut html = Html::default();
        html.episode_href("../a\"b?c");
        assert_eq!(html.finish(), " href=\"/episodes/%2E%2E%2Fa%22b%3Fc\"");
    }
}
