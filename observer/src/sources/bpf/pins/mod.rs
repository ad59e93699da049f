//! Pins: maps, programs and links that the kernel keeps below a folder of a bpf
//! file system while no agent runs. The next agent takes them over.

mod about;
mod pinned;
mod plan;
mod remove;
mod texts;

use std::{
    fmt, fs, io,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::fs::DirBuilderExt as _,
    },
    path::{Path, PathBuf},
};

use aya::{
    Pod,
    maps::{Array, Map, MapData, MapError, MapInfo},
    programs::{
        ProgramInfo,
        links::{FdLink, PinnedLink},
    },
};
use rustix::{fs::FlockOperation, io::Errno};

pub use about::{About, Away, Watched};
pub(super) use plan::Plan;
use remove::Ids;
pub use remove::{Removed, remove};

use super::{
    error::KernelError,
    info, programs,
    refusal::{Holder, PinsError},
};
use crate::{
    open::{self, Refused},
    time::{Stamp, monotonic},
};

/// Where the packaged unit pins.
pub const DEFAULT: &str = "/sys/fs/bpf/capwatch";
/// `BPF_FS_MAGIC` (`include/uapi/linux/magic.h`).
const BPF_FS_MAGIC: i64 = 0xcafe_4a11;
/// Names in one of its folders that are looked at.
const MOST: usize = 256;

/// The folders below it. Those of programs and links end with their turn.
const MAPS: &str = "maps";
const PROGRAMS: &str = "programs-";
const LINKS: &str = "links-";
/// What says that all the others are there; pinned last, and gone first.
const ABOUT: &str = "about";
/// What the agent writes as long as it runs.
const WATCHED: &str = "watched";
/// The names of the rules, by their numbers.
const RULES: &str = "rules";
/// Where the agent that runs is to be asked.
const WEB: &str = "web";

/// A folder of pins, which this process alone holds until it ends: the lock is the
/// kernel's, so none outlives its holder.
#[derive(Debug)]
pub struct Pins {
    folder: OwnedFd,
    path: PathBuf,
    /// The turn of the programs that count.
    turn: u32,
}

impl Pins {
    /// Makes the folder where there is none, and takes it.
    ///
    /// # Errors
    /// When it is no such folder, or somebody else has it.
    pub fn open(path: &Path) -> Result<Self, PinsError> {
        Self::take(path, false)
    }

    /// The same of anybody's where root asks.
    fn take(path: &Path, anybody: bool) -> Result<Self, PinsError> {
        let refused = |source: Refused| PinsError::Refused {
            path: path.to_owned(),
            source,
        };
        if let Some(parent) = path.parent()
            && !path.exists()
            && rustix::fs::statfs(parent).is_ok_and(|about| is_bpf(&about))
        {
            let made = fs::DirBuilder::new().mode(0o700).create(path);
            made.map_err(|error| refused(error.into()))?;
        }
        let pins = Self::look(path, anybody)?;
        match rustix::fs::flock(&pins.folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(pins),
            Err(Errno::WOULDBLOCK) => Err(PinsError::Held {
                path: path.to_owned(),
                holder: Box::new(pins.holder().unwrap_or_default()),
            }),
            Err(error) => Err(refused(error.into())),
        }
    }

    /// Looks at the folder without taking it.
    ///
    /// # Errors
    /// When it is no such folder.
    pub fn at(path: &Path) -> Result<Self, PinsError> {
        Self::look(path, true)
    }

    fn look(path: &Path, anybody: bool) -> Result<Self, PinsError> {
        let refused = |source| PinsError::Refused {
            path: path.to_owned(),
            source,
        };
        let (folder, about) = match open::own_folder(path, anybody) {
            Err(Refused::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                let parent = path.parent().unwrap_or(path);
                let on_bpf = rustix::fs::statfs(parent).is_ok_and(|about| is_bpf(&about));
                return Err(if on_bpf {
                    refused(Refused::Io(error))
                } else {
                    PinsError::NoBpfFs(path.to_owned())
                });
            }
            opened => opened.map_err(refused)?,
        };
        let on = rustix::fs::fstatfs(&folder).map_err(|error| refused(error.into()))?;
        if !is_bpf(&on) {
            return Err(PinsError::NoBpfFs(path.to_owned()));
        }
        if about.st_mode & 0o077 != 0 {
            return Err(PinsError::Mode {
                path: path.to_owned(),
                mode: about.st_mode & 0o7777,
            });
        }
        let mut pins = Self {
            folder,
            path: path.to_owned(),
            turn: 0,
        };
        pins.turn = pins.about().map_or(0, |about| about.turn);
        Ok(pins)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether an agent has it now.
    pub fn is_held(&self) -> bool {
        match rustix::fs::flock(&self.folder, FlockOperation::NonBlockingLockShared) {
            Ok(()) => {
                let _ = rustix::fs::flock(&self.folder, FlockOperation::Unlock);
                false
            }
            Err(error) => error == Errno::WOULDBLOCK,
        }
    }

    /// What was pinned and by whom; none where nothing is, or not all of it.
    pub fn about(&self) -> Option<About> {
        let map: Array<_, about::Text> = self.own_map(ABOUT).ok()?;
        About::read(&map.get(&0, 0).ok()?)
    }

    /// What the agent that has it, or had it last, wrote of itself.
    pub fn watched(&self) -> Option<Watched> {
        let map: Array<_, Watched> = self.own_map(WATCHED).ok()?;
        map.get(&0, 0).ok()
    }

    fn holder(&self) -> Option<Holder> {
        let watched = self.watched()?;
        Some(Holder {
            pid: watched.pid,
            since: Stamp(watched.since),
            version: self.about().map(|about| about.version),
        })
    }

    /// Names of what is pinned in one of its folders.
    fn names(&self, folder: &str) -> Vec<String> {
        open::names_in(&self.folder, folder, MOST)
    }

    /// Names of the links that are pinned.
    pub fn links(&self) -> Vec<String> {
        let mut links = self.names(&self.of_turn(LINKS));
        links.sort();
        links
    }

    /// How many maps and programs are pinned.
    pub fn counts(&self) -> (usize, usize) {
        (
            self.names(MAPS).len(),
            self.names(&self.of_turn(PROGRAMS)).len(),
        )
    }

    /// Whether anything lies there.
    pub fn is_empty(&self) -> bool {
        self.names(".").is_empty()
    }

    /// Runs that the kernel skipped, of all pinned programs.
    pub fn misses(&self) -> u64 {
        let programs = self.all(PROGRAMS).into_iter();
        programs.filter_map(|place| misses(&place)).sum()
    }

    /// Runs that the kernel skipped of the programs of a turn, by program.
    pub(super) fn skipped(&self, turn: u32) -> Vec<(String, u64)> {
        let folder = format!("{PROGRAMS}{turn}");
        let programs = self.names(&folder).into_iter();
        let skipped = programs.filter_map(|name| {
            let misses = misses(&self.place(&folder, &name))?;
            (misses > 0).then_some((name, misses))
        });
        skipped.collect()
    }

    /// The kernel's numbers of all that is pinned.
    fn ids(&self) -> Ids {
        let links = self.all(LINKS).into_iter();
        let links = links.filter_map(|place| {
            let link = PinnedLink::from_pin(place).ok()?;
            Some(FdLink::from(link).info().ok()?.id())
        });
        let programs = self.all(PROGRAMS).into_iter();
        let programs = programs.filter_map(|place| {
            let program = ProgramInfo::from_pin(place).ok()?;
            Some(program.id())
        });
        let maps = self.all(MAPS).into_iter();
        let maps = maps.filter_map(|place| {
            let map = MapInfo::from_pin(place).ok()?;
            Some(map.id())
        });
        Ids {
            links: links.collect(),
            programs: programs.collect(),
            maps: maps.collect(),
        }
    }

    /// A folder of the programs that count.
    fn of_turn(&self, folder: &str) -> String {
        format!("{folder}{}", self.turn)
    }

    /// Everything in the folders whose names begin so, whatever their turn.
    fn all(&self, begin: &str) -> Vec<PathBuf> {
        let folders = self.names(".").into_iter();
        let folders = folders.filter(|folder| folder.starts_with(begin));
        let places = folders.flat_map(|folder| {
            let names = self.names(&folder).into_iter();
            names
                .map(move |name| self.place(&folder, &name))
                .collect::<Vec<_>>()
        });
        places.collect()
    }

    fn place(&self, folder: &str, name: &str) -> PathBuf {
        self.path.join(folder).join(name)
    }

    fn own_map<V: Pod>(&self, name: &str) -> Result<Array<MapData, V>, MapError> {
        let data = MapData::from_pin(self.path.join(name))?;
        Array::try_from(Map::Array(data))
    }

    fn failed(&self, why: impl fmt::Display) -> KernelError {
        KernelError::Pins(PinsError::Use {
            path: self.path.clone(),
            why: why.to_string(),
        })
    }
}

/// Runs that the kernel skipped of a pinned program; none where that is not known.
fn misses(place: &Path) -> Option<u64> {
    let program = programs::get(place).ok()?;
    info::misses_of(program.as_fd())
}

fn is_bpf(about: &rustix::fs::StatFs) -> bool {
    about.f_type == BPF_FS_MAGIC
}

/// What an agent says of itself now.
pub(super) fn now(since: Stamp, losses: &[u64]) -> Watched {
    let mut watched = Watched {
        last: monotonic(),
        since: since.0,
        pid: std::process::id(),
        ..Watched::default()
    };
    for (kept, loss) in watched.losses.iter_mut().zip(losses) {
        *kept = *loss;
    }
    watched
}
