//! Where cgroups were that are gone by now, as the programs noted when they were made.

use std::{
    io, ptr,
    sync::atomic::{Ordering, fence},
};

use aya::maps::{Array, MapData};
use observer_ebpf::MadeCgroup;

use super::mapping::{Access, Mapping};

/// The cgroups that were made lately.
pub struct MadeCgroups(Mapping<MadeCgroup, MadeCgroup>);

/// A cgroup as it was made.
#[derive(Debug, PartialEq, Eq)]
pub struct Made {
    /// Its path from the root of the hierarchy.
    pub path: String,
    /// Who made it.
    pub uid: u32,
}

impl MadeCgroups {
    pub(super) fn map(map: Array<MapData, MadeCgroup>) -> io::Result<Self> {
        Mapping::new(map, Access::Read).map(Self)
    }

    /// The cgroup of an id, if it was made lately.
    pub fn of(&self, id: u64) -> Option<Made> {
        if id == 0 {
            return None;
        }
        (0..self.0.len()).find_map(|index| {
            let place = self.0.entry(index)?.as_ptr();
            // SAFETY: `place` lies in the mapping; what a program writes meanwhile is
            // thrown away below.
            let read = || unsafe { ptr::read_volatile(&raw const (*place).id) };
            if read() != id {
                return None;
            }
            fence(Ordering::Acquire);
            // SAFETY: as above; it is made of integers alone.
            let made = unsafe { ptr::read_volatile(place) };
            fence(Ordering::Acquire);
            let path = made.path.get(..made.length.checked_sub(1)? as usize)?;
            (read() == id && made.id == id).then(|| Made {
                path: String::from_utf8_lossy(path).into_owned(),
                uid: made.uid,
            })
        })
    }
}
