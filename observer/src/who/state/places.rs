//! Where the state of a user's runtimes is, and who must own it.

use std::path::{Path, PathBuf};

use super::State;
use crate::{
    open::{self, Folder},
    who::roots::{self, Roots},
};

impl State {
    pub(super) fn roots(&self, uid: u32) -> Roots {
        if uid == 0 {
            return roots::of_root(&self.root, self.owner(0));
        }
        let home = self.home(uid);
        home.map_or_else(Roots::default, |home| {
            roots::of_user(&self.root, &home, uid, self.owner(0), self.owner(uid))
        })
    }

    /// Those of some places that are there.
    pub(super) fn folders(&self, paths: &[PathBuf], uid: u32) -> impl Iterator<Item = Folder> {
        let places = paths.iter().map(|path| self.shown(path));
        places.filter_map(move |path| self.folder(&path, uid))
    }

    /// A folder that a user named, or that is his: root's by whatever links root
    /// made; a user's beneath his home, or beneath `/`, by none.
    pub(in crate::who) fn folder(&self, path: &Path, uid: u32) -> Option<Folder> {
        if uid == 0 {
            return Folder::open(&self.below(path)).ok();
        }
        let home = self.home(uid).filter(|home| home.as_os_str().len() > 1);
        let (base, rest) = match home.as_ref().and_then(|home| path.strip_prefix(home).ok()) {
            Some(rest) => (home.as_deref()?, rest),
            None => (Path::new("/"), path.strip_prefix("/").ok()?),
        };
        let base = Folder::open(&self.below(base)).ok()?;
        if rest.as_os_str().is_empty() {
            return Some(base);
        }
        base.below(rest).ok()
    }

    fn below(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// A path below the root as the host's users know it.
    pub(super) fn shown(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.root)
            .map_or_else(|_| path.to_owned(), |rest| Path::new("/").join(rest))
    }

    /// Whose a file must be that is said to be this user's.
    pub(in crate::who) fn owner(&self, uid: u32) -> u32 {
        self.owner.unwrap_or(uid)
    }

    /// A user's home directory, as `/etc/passwd` has it.
    fn home(&self, uid: u32) -> Option<PathBuf> {
        let passwd = open::text(self.root.join("etc/passwd")).ok()?;
        let mut lines = passwd.lines();
        lines.find_map(|line| {
            let mut fields = line.split(':').skip(2);
            let found = fields.next()?.parse() == Ok(uid);
            let home = fields.nth(2).filter(|_| found)?;
            home.starts_with('/').then(|| PathBuf::from(home))
        })
    }
}
