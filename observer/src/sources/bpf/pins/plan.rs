//! What becomes of pins that are there: they are taken as they are, or programs of
//! another version take over from those that are attached.
//!
//! Programs of both are attached for a moment, share the maps, and look at one word
//! that says whose turn it is to count. One store of that word hands over.

use std::{collections::BTreeMap, fs, path::PathBuf, thread::sleep};

use aya::maps::{Array, Map, MapData, MapError, MapInfo};
use observer_ebpf::{
    Hook,
    decide::turn::{AFTER, BEFORE},
};

use super::{
    About, MAPS, Pins,
    about::{self, ROWS},
    remove,
};
use crate::{
    config::Rules,
    sources::bpf::{error::KernelError, host::IN_FLIGHT, object::Definition, refusal::PinsError},
};

/// The map that says what the programs are to do.
const HOOKS: &str = "HOOKS";
/// Its word that says whose turn it is.
const TURN: u32 = Hook::Turn.place(0);
/// Turns whose rows are read beside those of now.
const MAX_ROWS: usize = 16;

/// What to do with pins.
pub enum Plan {
    /// Nothing is pinned.
    Fresh,
    /// It is taken as it is.
    Adopt(About),
    /// Others take over from what is attached, with their own rows or not.
    TakeOver(About, bool),
}

impl Plan {
    /// What was pinned.
    pub const fn about(&self) -> Option<&About> {
        match self {
            Self::Fresh => None,
            Self::Adopt(about) | Self::TakeOver(about, _) => Some(about),
        }
    }

    /// Whether there are rows to go on counting in.
    pub const fn has_rows(&self) -> bool {
        matches!(self, Self::Adopt(_) | Self::TakeOver(_, false))
    }
}

impl Pins {
    /// Decides what becomes of what is pinned.
    ///
    /// # Errors
    /// When this version can't go on with it.
    pub(in crate::sources::bpf) fn plan(
        &mut self,
        layout: &str,
        maps: &BTreeMap<String, Definition>,
        rules: &Rules,
    ) -> Result<Plan, KernelError> {
        if self.is_empty() {
            return Ok(Plan::Fresh);
        }
        let Some(about) = self.about() else {
            tracing::warn!(
                "the pins below {} are incomplete, because an agent ended while it created or \
                 removed them: they are replaced",
                self.path.display()
            );
            self.clear()?;
            return Ok(Plan::Fresh);
        };
        let known = self.rule_names();
        if known.is_none_or(|known| !rules.names().starts_with(&known)) {
            tracing::warn!(
                "the pins below {} do not show which rules their numbers mean, or had too many: \
                 they are replaced, and their counts end here",
                self.path.display()
            );
            self.clear()?;
            return Ok(Plan::Fresh);
        }
        self.repair(&about)?;
        if about.layout == layout {
            return Ok(Plan::Adopt(about));
        }
        let others = self.others(&about, maps);
        let (rows, refused): (Vec<_>, Vec<_>) = others
            .into_iter()
            .partition(|name| ROWS.contains(&name.as_str()));
        if !refused.is_empty() || about.abi != observer_ebpf::ABI || about.rows.len() >= MAX_ROWS {
            return Err(KernelError::Pins(PinsError::Layout {
                path: self.path.clone(),
                version: about.version,
                names: if refused.is_empty() {
                    format!("layout {}, this one has {}", about.abi, observer_ebpf::ABI)
                } else {
                    refused.join(", ")
                },
            }));
        }
        Ok(Plan::TakeOver(about, !rows.is_empty()))
    }

    /// Undoes what an agent had begun that was killed while it took over, or ends it.
    fn repair(&self, about: &About) -> Result<(), KernelError> {
        let word = self.turn_word()?;
        if word == (about.turn + 1) | AFTER {
            // The newer ones count already, and nothing says that they are to.
            self.set_turn(about.turn | BEFORE)?;
            sleep(IN_FLIGHT);
        }
        if word != about.turn {
            self.set_turn(about.turn)?;
            sleep(IN_FLIGHT);
        }
        let turn = format!("-{}", about.turn);
        let cleared = remove::clear_folders(&self.folder, &self.path, |name| {
            name != MAPS && !name.ends_with(&turn)
        });
        cleared.map_err(|error| self.failed(error))?;
        for name in self.names(MAPS) {
            let number = name
                .rsplit_once('-')
                .and_then(|(_, turn)| turn.parse().ok());
            if number.is_some_and(|turn| !about.rows.contains(&turn)) {
                let gone = fs::remove_file(self.place(MAPS, &name));
                gone.map_err(|error| self.failed(error))?;
            }
        }
        Ok(())
    }

    /// Says whose turn it is to count (`observer_ebpf::decide::turn`).
    ///
    /// # Errors
    /// When the kernel refuses; then nothing has changed.
    pub(in crate::sources::bpf) fn set_turn(&self, word: u32) -> Result<(), KernelError> {
        let set = |mut map: Array<MapData, u32>| map.set(TURN, word, 0);
        let set = self.hooks().and_then(set);
        set.map_err(|error| self.failed(format!("{HOOKS}: {error}")))
    }

    fn turn_word(&self) -> Result<u32, KernelError> {
        let word = self.hooks().and_then(|map| map.get(&TURN, 0));
        word.map_err(|error| self.failed(format!("{HOOKS}: {error}")))
    }

    fn hooks(&self) -> Result<Array<MapData, u32>, MapError> {
        let data = MapData::from_pin(self.place(MAPS, HOOKS))?;
        Array::try_from(Map::Array(data))
    }

    /// Detaches and removes the programs that counted before.
    ///
    /// # Errors
    /// When one can't be removed.
    pub(in crate::sources::bpf) fn retire(&self) -> Result<(), KernelError> {
        let turn = format!("-{}", self.turn);
        let cleared = remove::clear_folders(&self.folder, &self.path, |name| {
            name != MAPS && !name.ends_with(&turn)
        });
        cleared.map(drop).map_err(|error| self.failed(error))
    }

    /// Names of pinned maps that the object has otherwise.
    fn others(&self, about: &About, maps: &BTreeMap<String, Definition>) -> Vec<String> {
        let differs = |(name, wanted): &(&String, &Definition)| {
            let pinned = MapInfo::from_pin(self.place(MAPS, &about.file(name)));
            // One that is not there is made.
            pinned.is_ok_and(|pinned| {
                let found = Definition {
                    key: pinned.key_size(),
                    value: pinned.value_size(),
                    entries: pinned.max_entries(),
                };
                found != **wanted
            })
        };
        let others = maps.iter().filter(differs);
        others.map(|(name, _)| name.clone()).collect()
    }

    /// The maps that are pinned and go on being used, and where.
    pub(in crate::sources::bpf) fn maps(&self, plan: &Plan) -> Vec<(String, PathBuf)> {
        let Some(about) = plan.about() else {
            return Vec::new();
        };
        let names = self.names(MAPS).into_iter();
        let names = names.filter(|name| !name.contains('-'));
        let used = names.filter(|name| plan.has_rows() || !ROWS.contains(&name.as_str()));
        used.map(|name| {
            let place = self.place(MAPS, &about.file(&name));
            (name, place)
        })
        .collect()
    }

    /// Maps of rows of former turns, by the name of one.
    pub(in crate::sources::bpf) fn former(&self, about: &About, map: &str) -> Vec<PathBuf> {
        let (_, former) = about.rows.split_last().unwrap_or((&0, &[]));
        let files = former.iter().map(|turn| about::file(map, *turn));
        files.map(|file| self.place(MAPS, &file)).collect()
    }
}
