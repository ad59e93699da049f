//! Removing pins: what says that they are whole goes first, then links, so
//! nothing counts any more, then programs and maps.

use std::{error::Error, fs, io, os::fd::OwnedFd, path::Path};

use super::{ABOUT, LINKS, MAPS, MOST, PROGRAMS, Pins, RULES, WATCHED, WEB};
use crate::{open, sources::bpf::refusal::PinsError};

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Links.
    pub links: usize,
    /// Programs.
    pub programs: usize,
    /// Maps.
    pub maps: usize,
    ids: Ids,
}

/// The kernel's numbers of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) links: Vec<u32>,
    pub(super) programs: Vec<u32>,
    pub(super) maps: Vec<u32>,
}

impl Removed {
    /// What of it the kernel still holds: it frees things a while after they were
    /// let go.
    ///
    /// # Errors
    /// When the kernel does not list what it holds.
    pub fn left(&self) -> io::Result<Vec<String>> {
        let Ids {
            links,
            programs,
            maps,
        } = &self.ids;
        let mut left = Vec::new();
        for link in aya::programs::loaded_links() {
            let id = held(link)?.map(|link| link.id());
            let id = id.filter(|id| links.contains(id));
            left.extend(id.map(|id| format!("link {id}")));
        }
        for program in aya::programs::loaded_programs() {
            let id = held(program)?.map(|program| program.id());
            let id = id.filter(|id| programs.contains(id));
            left.extend(id.map(|id| format!("program {id}")));
        }
        for map in aya::maps::loaded_maps() {
            let id = held(map)?.map(|map| map.id());
            let id = id.filter(|id| maps.contains(id));
            left.extend(id.map(|id| format!("map {id}")));
        }
        Ok(left)
    }
}

/// What the kernel listed; none where it let it go before it could be looked at.
fn held<T, E: Error + Send + Sync + 'static>(listed: Result<T, E>) -> io::Result<Option<T>> {
    listed.map(Some).or_else(|error| {
        let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
        while let Some(it) = cause {
            let code = it.downcast_ref::<io::Error>();
            if code.and_then(io::Error::raw_os_error) == Some(libc::ENOENT) {
                return Ok(None);
            }
            cause = it.source();
        }
        Err(io::Error::other(error))
    })
}

/// Removes everything below a folder that is not in use, and the folder; none
/// where there is no such folder.
///
/// # Errors
/// When it is no folder of pins, an agent has it, or something is left.
pub fn remove(path: &Path) -> Result<Option<Removed>, PinsError> {
    if !path.exists() {
        return Ok(None);
    }
    let failed = |error: io::Error| PinsError::Use {
        path: path.to_owned(),
        why: error.to_string(),
    };
    let pins = Pins::take(path, true)?;
    let ids = pins.ids();
    let mut removed = clear(&pins.folder, path).map_err(failed)?;
    removed.ids = ids;
    // The package's is the unit's user's, in a folder of root's: an empty one is as good.
    if let Err(error) = fs::remove_dir(path)
        && error.kind() != io::ErrorKind::PermissionDenied
    {
        return Err(failed(error));
    }
    Ok(Some(removed))
}

/// Removes the folders of these names with what is in them; how much there was.
pub(super) fn clear_folders(
    folder: &OwnedFd,
    path: &Path,
    is_meant: impl Fn(&str) -> bool,
) -> io::Result<usize> {
    let mut count = 0;
    let names = open::names_in(folder, ".", MOST).into_iter();
    for name in names.filter(|name| is_meant(name)) {
        let place = path.join(&name);
        if !place.is_dir() {
            continue;
        }
        for entry in open::names_in(folder, &name, MOST) {
            fs::remove_file(place.join(entry))?;
            count += 1;
        }
        fs::remove_dir(place)?;
    }
    Ok(count)
}

/// Removes everything below a folder.
pub(super) fn clear(folder: &OwnedFd, path: &Path) -> io::Result<Removed> {
    let gone = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    };
    gone(fs::remove_file(path.join(ABOUT)))?;
    let mut counts = [0; 3];
    for (begin, count) in [LINKS, PROGRAMS, MAPS].into_iter().zip(&mut counts) {
        *count = clear_folders(folder, path, |name| name.starts_with(begin))?;
    }
    for name in [RULES, WEB, WATCHED] {
        gone(fs::remove_file(path.join(name)))?;
    }
    let left = open::names_in(folder, ".", MOST);
    if !left.is_empty() {
        let left = left.join(", ");
        return Err(io::Error::other(format!(
            "{left} is not capwatch's; remove it yourself"
        )));
    }
    let [links, programs, maps] = counts;
    Ok(Removed {
        links,
        programs,
        maps,
        ids: Ids::default(),
    })
}
