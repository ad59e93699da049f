//! Texts that are pinned: the names of the rules by their numbers, so what the
//! kernel counted under a number stays its rule's, whatever the next configuration has
//! in its place; and where the agent that runs is to be asked.

use aya::maps::{Array, MapData, MapError};

use super::{KernelError, Pins, RULES, WEB, pinned::unpinned};
use crate::config::Rules;

/// Bytes of a page.
const PAGE: usize = 4 << 10;
/// Bytes of the length, at the beginning.
const HEAD: usize = 8;
/// Pages of rules' names, and of addresses.
const RULE_PAGES: usize = 32;
const WEB_PAGES: usize = 1;

type Page = [u8; PAGE];

impl Pins {
    /// These rules with the numbers by which the pinned programs know them; as they
    /// are where nothing is pinned, or where more names were used up than are kept.
    pub fn number(&self, rules: &Rules) -> Rules {
        let known = self.about().and_then(|_| self.rule_names());
        let numbered = rules.clone().numbered(&known.unwrap_or_default());
        if text(&numbered.names(), RULE_PAGES).is_some() {
            numbered
        } else {
            rules.clone()
        }
    }

    /// The names of rules by number, from 1; none where they can't be read.
    pub(super) fn rule_names(&self) -> Option<Vec<String>> {
        self.read_lines(RULES)
    }

    /// Keeps them. Names are only ever added, so those before stay as they are.
    ///
    /// # Errors
    /// When there are too many, or the kernel refuses.
    pub(in crate::sources::bpf) fn keep_rule_names(
        &self,
        rules: &Rules,
    ) -> Result<(), KernelError> {
        let text = text(&rules.names(), RULE_PAGES).ok_or_else(|| {
            let most = PAGE * RULE_PAGES / 1024;
            self.failed(format!("the names of the rules take more than {most} KiB"))
        })?;
        self.keep_text(RULES, RULE_PAGES, &text)
    }

    /// Where the agent that has the pins is to be asked: what nobody else can claim.
    pub fn addresses(&self) -> Vec<String> {
        self.read_lines(WEB).unwrap_or_default()
    }

    /// Keeps where this agent is to be asked; nothing where that is too long.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(in crate::sources::bpf) fn keep_addresses(
        &self,
        addresses: &[String],
    ) -> Result<(), KernelError> {
        let text = text(addresses, WEB_PAGES).unwrap_or_else(|| vec![0; HEAD]);
        self.keep_text(WEB, WEB_PAGES, &text)
    }

    fn read_lines(&self, name: &str) -> Option<Vec<String>> {
        let map: Array<_, Page> = self.own_map(name).ok()?;
        let mut bytes = Vec::new();
        for index in 0..map.len() {
            bytes.extend(map.get(&index, 0).ok()?);
        }
        lines(&bytes)
    }

    fn keep_text(&self, name: &str, pages: usize, text: &[u8]) -> Result<(), KernelError> {
        let keep = || -> Result<(), MapError> {
            let place = self.path.join(name);
            if !place.exists() {
                let pages = u32::try_from(pages).unwrap_or_default();
                let map = Array::<MapData, Page>::create(pages, 0)?;
                map.pin(place).map_err(unpinned)?;
            }
            let mut map: Array<_, Page> = self.own_map(name)?;
            // The first has the length, and so comes last.
            let chunks: Vec<_> = (0..).zip(text.chunks(PAGE)).collect();
            for (index, bytes) in chunks.into_iter().rev() {
                let mut page = [0; PAGE];
                page[..bytes.len()].copy_from_slice(bytes);
                map.set(index, page, 0)?;
            }
            Ok(())
        };
        keep().map_err(|error| self.failed(format!("{name}: {error}")))
    }
}

/// A line for each, after their length; none where there is no room.
fn text(lines: &[String], pages: usize) -> Option<Vec<u8>> {
    let mut text = vec![0; HEAD];
    for line in lines {
        serde_json::to_writer(&mut text, line).ok()?;
        text.push(b'\n');
    }
    let length = text.len() - HEAD;
    text[..HEAD].copy_from_slice(&u64::try_from(length).ok()?.to_le_bytes());
    (text.len() <= PAGE * pages).then_some(text)
}

fn lines(text: &[u8]) -> Option<Vec<String>> {
    let length = usize::try_from(u64::from_le_bytes(*text.first_chunk()?)).ok()?;
    let lines = text.get(HEAD..HEAD.checked_add(length)?)?;
    let lines = lines.split_inclusive(|byte| *byte == b'\n');
    lines
        .map(|line| serde_json::from_slice(line).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_were_kept_and_what_is_torn_is_none() {
        let kept = ["a", "b\nc", "\"", "ä"].map(str::to_owned);
        let mut bytes = text(&kept, 2).unwrap();
        let whole = bytes.len();
        bytes.resize(2 * PAGE, 0);
        assert_eq!(lines(&bytes).unwrap(), kept);
        // One more was being added.
        let more = text(&[kept.as_slice(), &["d".to_owned()]].concat(), 2).unwrap();
        bytes[whole..more.len()].copy_from_slice(&more[whole..]);
        assert_eq!(lines(&bytes).unwrap(), kept);
        bytes[..HEAD].copy_from_slice(&more[..HEAD]);
        assert_eq!(lines(&bytes).unwrap().len(), 5);
        bytes[HEAD] = b'x';
        assert_eq!(lines(&bytes), None);
        bytes[..HEAD].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(lines(&bytes), None);
        assert_eq!(text(&["x".repeat(2 * PAGE)], 2), None);
        assert_eq!(lines(&[0; PAGE]).unwrap(), Vec::<String>::new());
    }
}
