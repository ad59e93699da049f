//! Pinning what is attached, and taking what is pinned.

use std::{fmt, fs, os::unix::fs::DirBuilderExt as _};

use aya::{
    maps::{Array, MapData, MapError},
    programs::{KProbe, Program, links::PinnedLink},
};

use super::{
    ABOUT, LINKS, MAPS, PROGRAMS, Pins, WATCHED,
    about::{self, About, Watched},
    remove::{self, Removed},
};
use crate::sources::bpf::{error::KernelError, link::Attached, programs::Programs};

impl Pins {
    /// Takes the programs that are pinned in place of the object's own, and gives
    /// the links.
    ///
    /// # Errors
    /// When one can't be had.
    pub(in crate::sources::bpf) fn adopt(
        &self,
        ebpf: &mut Programs,
    ) -> Result<Vec<Attached>, KernelError> {
        let (programs, of_links) = (self.of_turn(PROGRAMS), self.of_turn(LINKS));
        for name in self.names(&programs) {
            let place = self.place(&programs, &name);
            let failed = |error: &dyn fmt::Display| self.failed(format!("{name}: {error}"));
            match ebpf.program_mut(&name) {
                None => {
                    let why = format!("there is no program {name} in this version");
                    return Err(self.failed(why));
                }
                Some(Program::KProbe(probe)) => {
                    let adopted = KProbe::from_pin(place, probe.kind());
                    *probe = adopted.map_err(|error| failed(&error))?;
                }
                Some(_) => {
                    let adopted = ebpf.adopt(&name, &place);
                    adopted.map_err(|error| failed(&error))?;
                }
            }
        }
        let mut links = Vec::new();
        for name in self.names(&of_links) {
            let link = PinnedLink::from_pin(self.place(&of_links, &name));
            let link = link.map_err(|error| self.failed(format!("link {name}: {error}")))?;
            links.push(Attached::pinned(name, link));
        }
        Ok(links)
    }

    /// Pins every map of an object that is not pinned yet, for the programs of a
    /// turn; of `adopted` ones all are. What says that all is there comes last.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(in crate::sources::bpf) fn keep_maps(
        &mut self,
        ebpf: &Programs,
        about: &About,
        adopted: bool,
    ) -> Result<(), KernelError> {
        // Those of an agent before may be anybody's by now.
        self.keep_addresses(&[])?;
        if adopted {
            return Ok(());
        }
        self.turn = about.turn;
        for folder in [MAPS.to_owned(), self.of_turn(PROGRAMS), self.of_turn(LINKS)] {
            let place = self.path.join(&folder);
            if !place.exists() {
                let made = fs::DirBuilder::new().mode(0o700).create(place);
                made.map_err(|error| self.failed(format!("{folder}: {error}")))?;
            }
        }
        // Read-only data is the programs' own, and a name with a dot can't be pinned.
        let maps = ebpf.maps().filter(|(name, _)| !name.contains('.'));
        for (name, map) in maps {
            let place = self.place(MAPS, &about.file(name));
            if !place.exists() {
                let pinned = map.pin(place);
                pinned.map_err(|error| self.failed(format!("map {name}: {error}")))?;
            }
        }
        Ok(())
    }

    /// Pins the program of a link and the link itself; gives back one that this
    /// kernel can't pin, and why.
    pub(in crate::sources::bpf) fn keep(
        &self,
        ebpf: &mut Programs,
        attached: Attached,
    ) -> (Attached, Option<String>) {
        let name = attached.program.clone();
        let place = self.place(&self.of_turn(PROGRAMS), &name);
        if !place.exists()
            && let Some(program) = ebpf.program_mut(&name)
            && let Err(error) = program.pin(&place)
        {
            return (attached, Some(format!("{name}: {error}")));
        }
        attached.pin(ebpf, &self.place(&self.of_turn(LINKS), &name))
    }

    /// Says that all is there.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(in crate::sources::bpf) fn settle(&self, about: &About) -> Result<(), KernelError> {
        let text = about.text().ok_or_else(|| {
            self.failed(
                "the description of the pins is too long (rules and \
                options)",
            )
        })?;
        let make = || -> Result<(), MapError> {
            if self.about().is_some() {
                let mut map: Array<_, about::Text> = self.own_map(ABOUT)?;
                return map.set(0, text, 0);
            }
            let mut watched = Array::<MapData, Watched>::create(1, 0)?;
            watched.set(0, Watched::default(), 0)?;
            watched.pin(self.path.join(WATCHED)).map_err(unpinned)?;
            let mut map = Array::<MapData, about::Text>::create(1, 0)?;
            map.set(0, text, 0)?;
            map.pin(self.path.join(ABOUT)).map_err(unpinned)
        };
        make().map_err(|error| self.failed(error))
    }

    /// Where this agent writes that it watches.
    ///
    /// # Errors
    /// When it can't be had.
    pub(in crate::sources::bpf) fn watch(&self) -> Result<Array<MapData, Watched>, KernelError> {
        self.own_map(WATCHED).map_err(|error| self.failed(error))
    }

    /// Removes what is pinned.
    ///
    /// # Errors
    /// When something can't be removed.
    pub(in crate::sources::bpf) fn clear(&self) -> Result<Removed, KernelError> {
        remove::clear(&self.folder, &self.path).map_err(|error| self.failed(error))
    }
}

pub(super) fn unpinned(error: aya::pin::PinError) -> MapError {
    MapError::PinError { name: None, error }
}
