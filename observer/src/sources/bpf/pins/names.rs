//! The names of the rules by their numbers: what the kernel counted under a number
//! stays its rule's, whatever the next configuration has in its place.

use aya::maps::{Array, MapData, MapError};

use super::{KernelError, Pins, RULES, unpinned};
use crate::config::Rules;

/// Bytes of a page, and how many there are.
const PAGE: usize = 4 << 10;
const PAGES: usize = 32;
/// Bytes of the length, at the beginning.
const HEAD: usize = 8;

type Page = [u8; PAGE];

impl Pins {
    /// These rules with the numbers by which the pinned programs know them; as they
    /// are where nothing is pinned, or where more names were used up than are kept.
    pub fn number(&self, rules: &Rules) -> Rules {
        let known = self.about().and_then(|_| self.rule_names());
        let numbered = rules.clone().numbered(&known.unwrap_or_default());
        if text(&numbered.names()).is_some() {
            numbered
        } else {
            rules.clone()
        }
    }

    /// The names by number, from 1; none where they can't be read.
    pub(super) fn rule_names(&self) -> Option<Vec<String>> {
        let map: Array<_, Page> = self.own_map(RULES).ok()?;
        let mut bytes = Vec::with_capacity(PAGE * PAGES);
        for index in 0..map.len() {
            bytes.extend(map.get(&index, 0).ok()?);
        }
        names(&bytes)
    }

    /// Keeps them. Names are only ever added, so that those before stay as they are.
    ///
    /// # Errors
    /// When there are too many, or the kernel refuses.
    pub(in crate::sources::bpf) fn keep_rule_names(
        &self,
        rules: &Rules,
    ) -> Result<(), KernelError> {
        let text = text(&rules.names()).ok_or_else(|| {
            let most = PAGE * PAGES / 1024;
            self.failed(format!("the names of the rules take more than {most} KiB"))
        })?;
        let keep = || -> Result<(), MapError> {
            let place = self.path.join(RULES);
            if !place.exists() {
                let pages = u32::try_from(PAGES).unwrap_or_default();
                let map = Array::<MapData, Page>::create(pages, 0)?;
                map.pin(place).map_err(unpinned)?;
            }
            let mut map: Array<_, Page> = self.own_map(RULES)?;
            // The first has the length, and so comes last.
            for (index, bytes) in (0..)
                .zip(text.chunks(PAGE))
                .collect::<Vec<_>>()
                .iter()
                .rev()
            {
                let mut page = [0; PAGE];
                page[..bytes.len()].copy_from_slice(bytes);
                map.set(*index, page, 0)?;
            }
            Ok(())
        };
        keep().map_err(|error| self.failed(format!("{RULES}: {error}")))
    }
}

/// A line for each name, after their length; none where there is no room.
fn text(names: &[String]) -> Option<Vec<u8>> {
    let mut text = vec![0; HEAD];
    for name in names {
        serde_json::to_writer(&mut text, name).ok()?;
        text.push(b'\n');
    }
    let length = text.len() - HEAD;
    text[..HEAD].copy_from_slice(&u64::try_from(length).ok()?.to_le_bytes());
    (text.len() <= PAGE * PAGES).then_some(text)
}

fn names(text: &[u8]) -> Option<Vec<String>> {
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
        let mut bytes = text(&kept).unwrap();
        let whole = bytes.len();
        bytes.resize(PAGE * PAGES, 0);
        assert_eq!(names(&bytes).unwrap(), kept);
        // One more was being added.
        let more = text(&[kept.as_slice(), &["d".to_owned()]].concat()).unwrap();
        bytes[whole..more.len()].copy_from_slice(&more[whole..]);
        assert_eq!(names(&bytes).unwrap(), kept);
        bytes[..HEAD].copy_from_slice(&more[..HEAD]);
        assert_eq!(names(&bytes).unwrap().len(), 5);
        bytes[HEAD] = b'x';
        assert_eq!(names(&bytes), None);
        bytes[..HEAD].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(names(&bytes), None);
        assert_eq!(text(&["x".repeat(PAGE * PAGES)]), None);
        assert_eq!(names(&[0; PAGE]).unwrap(), Vec::<String>::new());
    }
}
