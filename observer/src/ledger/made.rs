//! Containers, machines and units beside a recorded command, bounded.

use std::collections::BTreeMap;

use crate::finding::Made;

/// So many are listed.
const MAX_MADE: usize = 256;

/// What was made beside a recorded command.
#[derive(Debug, Default)]
pub struct MadeBeside {
    /// Their names, by runtime and id.
    names: BTreeMap<(String, String), Option<String>>,
    /// Findings of others than those.
    pub more: u64,
}

impl MadeBeside {
    /// Takes one in.
    pub fn note(&mut self, made: Made) {
        let Made { runtime, id, name } = made;
        let key = (runtime, id);
        if self.names.len() >= MAX_MADE && !self.names.contains_key(&key) {
            self.more += 1;
            return;
        }
        let known = self.names.entry(key).or_default();
        if known.is_none() {
            *known = name;
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Each of them, by runtime and id.
    pub fn iter(&self) -> impl Iterator<Item = Made> {
        self.names.iter().map(|((runtime, id), name)| Made {
            runtime: runtime.clone(),
            id: id.clone(),
            name: name.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_kept_once_with_its_name_and_what_is_beyond_is_counted() {
        let mut all = MadeBeside::default();
        let made = |id: u32, name: Option<&str>| Made {
            runtime: "podman".to_owned(),
            id: format!("{id:04}"),
            name: name.map(str::to_owned),
        };
        all.note(made(0, None));
        all.note(made(0, Some("web")));
        all.note(made(0, None));
        assert_eq!(all.iter().collect::<Vec<_>>(), [made(0, Some("web"))]);
        for id in 0..1_000 {
            all.note(made(id, None));
        }
        assert_eq!((all.iter().count(), all.more), (MAX_MADE, 744));
    }
}
