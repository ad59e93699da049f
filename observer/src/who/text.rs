//! Text that others chose, bounded before it is kept.

/// Longest text that is kept of a container: a reference with a digest fits.
const MAX_CHARS: usize = 255;

/// The text of some bytes, cut where it is too long.
pub fn bounded(bytes: &[u8]) -> String {
    // No character has more than four bytes.
    let room = &bytes[..bytes.len().min(MAX_CHARS * 4)];
    String::from_utf8_lossy(room)
        .chars()
        .take(MAX_CHARS)
        .collect()
}

/// Text that is kept.
pub trait Bounded {
    /// The text, cut where it is too long; `None` where it is empty.
    fn some(&self) -> Option<String>;
}

impl<T: AsRef<str> + ?Sized> Bounded for T {
    fn some(&self) -> Option<String> {
        let text = self.as_ref();
        (!text.is_empty()).then(|| bounded(text.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(bounded("é".repeat(1_000).as_bytes()).chars().count(), 255);
        assert_eq!("".some(), None);
        assert_eq!("a".some().as_deref(), Some("a"));
    }
}
