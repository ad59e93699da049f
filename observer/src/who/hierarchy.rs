//! From the id of a cgroup, which the kernel side reports, to its path.

use std::{
    fs::{self, File},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use super::cgroup::Delegation;
use crate::{open, sources::bpf::MadeCgroups};

/// Where the default hierarchy is mounted: alone, or beside the older ones.
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
/// `FILEID_KERNFS` (`include/linux/exportfs.h`, 5.5): the handle is the id.
const FILEID_KERNFS: i32 = 0xfe;
/// The id of the hierarchy's root.
const ROOT: u64 = 1;
/// Cgroups that are walked over; the kernel's own bound is far above.
const MAX_WALKED: usize = 65_536;

/// The default hierarchy.
pub struct Hierarchy {
    mount: Option<(PathBuf, File)>,
    made: Option<Arc<MadeCgroups>>,
}

/// Where a cgroup is, or was.
#[derive(Debug, PartialEq, Eq)]
pub struct Location {
    /// Its path from the root of the hierarchy.
    pub path: String,
    /// Who made it, where it is gone.
    pub gone: Option<u32>,
}

/// `struct file_handle` with room for an id.
#[repr(C)]
struct Handle {
    bytes: u32,
    kind: i32,
    id: [u8; 8],
}

impl Hierarchy {
    /// The hierarchy that this host has mounted, and what the kernel side noted of
    /// cgroups that are gone.
    pub fn open(made: Option<Arc<MadeCgroups>>) -> Self {
        let mut mounts = MOUNTS.iter().map(Path::new);
        let mount = mounts.find(|path| path.join("cgroup.procs").exists());
        let mount = mount.and_then(|path| Some((path.to_owned(), open::system(path).ok()?)));
        Self { mount, made }
    }

    /// The path of a cgroup: by its id, which needs `CAP_DAC_READ_SEARCH`; as `/proc`
    /// shows it of a process, where that is still in it; or as the kernel side noted it
    /// when it was made. `None` where it is gone, and was made before or long ago.
    pub fn locate(&self, id: u64, pid: u32) -> Option<Location> {
        self.path(id, pid).or_else(|| {
            let made = self.made.as_ref()?.of(id)?;
            Some(Location {
                path: made.path,
                gone: Some(made.uid),
            })
        })
    }

    fn path(&self, id: u64, pid: u32) -> Option<Location> {
        let (folder, mount) = self.mount.as_ref()?;
        let path = match by_id(mount, id) {
            Some(path) => format!("/{}", path.strip_prefix(folder).ok()?.to_string_lossy()),
            None => of_process(pid).filter(|path| self.id(path) == Some(id))?,
        };
        Some(Location { path, gone: None })
    }

    /// The greatest id of all cgroups that there are now. Where there are too many
    /// to walk over, some of them are taken for newer than they are.
    ///
    /// # Errors
    /// Why not all of them can be seen.
    pub fn newest(&self) -> Result<u64, &'static str> {
        let Some((folder, _)) = self.mount.as_ref() else {
            return Err("no cgroup v2 hierarchy is mounted at /sys/fs/cgroup");
        };
        if fs::metadata(folder).map_or(0, |about| about.ino()) != ROOT {
            return Err("only a part of the cgroup hierarchy is mounted at /sys/fs/cgroup");
        }
        let mut newest = ROOT;
        self.each(|_, id| newest = newest.max(id));
        Ok(newest)
    }

    /// Shows the path and the id of every cgroup, up to a bound.
    pub fn each(&self, mut see: impl FnMut(&str, u64)) {
        let Some((mount, _)) = self.mount.as_ref() else {
            return;
        };
        let mut waiting = vec![String::new()];
        let mut seen = 0;
        while let Some(above) = waiting.pop() {
            for (name, id) in open::folders(&mount.join(above.trim_start_matches('/'))) {
                if seen == MAX_WALKED {
                    return;
                }
                seen += 1;
                let path = format!("{above}/{name}");
                see(&path, id);
                waiting.push(path);
            }
        }
    }

    /// Whether a process lives in a cgroup or below it.
    pub fn is_populated(&self, path: &str) -> bool {
        let Some((mount, _)) = self.mount.as_ref() else {
            return false;
        };
        let events = mount
            .join(path.trim_start_matches('/'))
            .join("cgroup.events");
        open::text(events).is_ok_and(|text| text.lines().any(|line| line == "populated 1"))
    }

    /// The first folder on the way to a cgroup that another user than root owns:
    /// below it that user makes the names. What is gone is its maker's.
    pub fn delegated(&self, path: &str, maker: Option<u32>) -> Option<Delegation> {
        let (folder, _) = self.mount.as_ref()?;
        let mut at = folder.clone();
        let names = path.split('/').filter(|name| !name.is_empty());
        for (depth, name) in (1..).zip(names) {
            at.push(name);
            let uid = match fs::metadata(&at) {
                Ok(about) => about.uid(),
                Err(_) => maker.unwrap_or(0),
            };
            if uid != 0 {
                return Some(Delegation { depth, uid });
            }
        }
        None
    }

    /// The id of the cgroup at a path.
    pub fn id(&self, path: &str) -> Option<u64> {
        let (folder, _) = self.mount.as_ref()?;
        let about = fs::metadata(folder.join(path.trim_start_matches('/'))).ok()?;
        Some(about.ino())
    }
}

fn by_id(mount: &File, id: u64) -> Option<PathBuf> {
    let mut handle = Handle {
        bytes: 8,
        kind: FILEID_KERNFS,
        id: id.to_ne_bytes(),
    };
    // SAFETY: the handle is as `struct file_handle` with eight bytes of room,
    // and lives while the kernel reads it.
    let opened = unsafe {
        libc::syscall(
            libc::SYS_open_by_handle_at,
            mount.as_raw_fd(),
            &raw mut handle,
            libc::O_PATH | libc::O_CLOEXEC,
        )
    };
    let opened = i32::try_from(opened).ok().filter(|fd| *fd >= 0)?;
    // SAFETY: the descriptor is new and nobody else's.
    let opened = unsafe { OwnedFd::from_raw_fd(opened) };
    let path = fs::read_link(format!("/proc/self/fd/{}", opened.as_raw_fd())).ok()?;
    (!path.to_string_lossy().ends_with(" (deleted)")).then_some(path)
}

/// The cgroup of a process on the default hierarchy.
pub fn of_process(pid: u32) -> Option<String> {
    let text = open::bytes(format!("/proc/{pid}/cgroup")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.lines();
    lines
        .find_map(|line| line.strip_prefix("0::"))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found_by_its_id() {
        let hierarchy = Hierarchy::open(None);
        let Some(path) = of_process(std::process::id()) else {
            return;
        };
        // In a cgroup namespace the path may lie outside of the mount.
        let Some(id) = hierarchy.id(&path) else {
            return;
        };
        let found = Location { path, gone: None };
        assert_eq!(hierarchy.locate(id, std::process::id()), Some(found));
        assert_eq!(hierarchy.locate(u64::MAX, std::process::id()), None);
    }

    #[test]
    fn a_cgroup_that_is_made_later_has_a_greater_id() {
        let hierarchy = Hierarchy::open(None);
        let (Ok(newest), Some((mount, _))) = (hierarchy.newest(), &hierarchy.mount) else {
            return;
        };
        let name = format!("capwatch-test-{}", std::process::id());
        // Root alone may make one.
        if fs::create_dir(mount.join(&name)).is_err() {
            return;
        }
        let id = hierarchy.id(&name);
        let mut found = None;
        hierarchy.each(|path, id| {
            if path == format!("/{name}") {
                found = Some(id);
            }
        });
        let populated = hierarchy.is_populated(&name);
        fs::remove_dir(mount.join(&name)).unwrap();
        assert!(id.is_some_and(|id| id > newest));
        assert_eq!(found, id, "as a listing shows it");
        assert!(!populated);
    }
}
