//! A rule: programs that confine others, and what is expected of them.

use std::{ops::RangeInclusive, sync::Arc};

use crate::{
    finding::Verdict,
    words::{Layer, NAME_LEN},
};

/// How a rule's executables are recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recognised {
    /// Number of the rule.
    pub id: u16,
    /// Whether what it runs may be a supervisor again.
    pub runtime: bool,
    /// Whether its words are shown.
    pub argv: bool,
    /// Whether something is asked of the set that its workload starts with.
    pub judged: bool,
}

/// A denial that a rule expects: benign, and counted apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// Number of the capability.
    pub capability: u32,
    /// The layer that refuses it.
    pub layer: Layer,
    /// Why it is benign.
    pub note: Option<String>,
}

/// A rule: programs that confine others.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a separate key")]
pub struct Supervisor {
    /// Its name, as reports and labels show it.
    pub name: Arc<str>,
    /// Basenames of its executables, or absolute paths with globs.
    pub exe: Vec<String>,
    /// Globs on the cgroup's path.
    pub cgroup: Vec<String>,
    /// User ids, of the initial namespace, whose executables are meant; anybody's where
    /// there are none.
    pub owner: Vec<RangeInclusive<u32>>,
    /// Whether its workload is a container.
    pub runtime: bool,
    /// Whether its workload should have an empty bounding set.
    pub empties: bool,
    /// Whether it becomes the program that it starts, so nobody is above
    /// that one: what it drops is its own deed.
    pub launcher: bool,
    /// Whether it is a daemon that confines itself (`self = true`): it drops in its
    /// own process, and carries on without exec.
    pub confines_itself: bool,
    /// Whether what runs below it is its workload. Where it is not the kernel side
    /// does not know the rule, which is found by the executable that dropped.
    pub owns_tree: bool,
    /// Basenames of programs that it runs for itself, which are not its workload.
    pub helpers: Vec<String>,
    /// Denials that are benign.
    pub expect: Vec<Expectation>,
    /// What an operator should know of it where a drop failed, whatever came of it.
    pub note: Option<String>,
    /// The same, where it ended without exec.
    pub note_fatal: Option<String>,
    /// The same, where its workload runs on, or it does.
    pub note_degraded: Option<String>,
    /// What to change, in place of the advice to give it SETPCAP.
    pub remedy: Option<String>,
}

impl Supervisor {
    /// What is left of a rule that there is no more.
    pub(super) fn former(name: &str) -> Self {
        Self {
            name: name.into(),
            exe: Vec::new(),
            cgroup: Vec::new(),
            owner: Vec::new(),
            runtime: false,
            empties: false,
            launcher: false,
            confines_itself: false,
            owns_tree: true,
            helpers: Vec::new(),
            expect: Vec::new(),
            note: None,
            note_fatal: None,
            note_degraded: None,
            remedy: None,
        }
    }

    /// What an operator should know of an episode with this verdict.
    pub fn notes(&self, verdict: Verdict) -> impl Iterator<Item = &str> {
        let own = match verdict {
            Verdict::Fatal => self.note_fatal.as_deref(),
            Verdict::Degraded => self.note_degraded.as_deref(),
            _ => None,
        };
        let any = self.note.as_deref().filter(|_| verdict >= Verdict::Pending);
        any.into_iter().chain(own)
    }

    /// Whether it says more than the basename that the kernel side compares.
    pub fn is_qualified(&self) -> bool {
        !self.cgroup.is_empty()
            || !self.owner.is_empty()
            || self.exe.iter().any(|exe| exe.starts_with('/'))
    }

    /// Whether it means executables of this user; one whose owner is not known is
    /// nobody's that it could trust.
    pub fn trusts(&self, owner: Option<u32>) -> bool {
        let mut trusted = self.owner.iter();
        self.owner.is_empty() || owner.is_some_and(|uid| trusted.any(|range| range.contains(&uid)))
    }

    /// Whether an executable, of which the kernel knows the name, is one of the rule's.
    pub fn is_program(&self, exe: &str) -> bool {
        let mut names = self.exe.iter().filter_map(|own| own.rsplit('/').next());
        names.any(|own| padded(own.as_bytes()) == padded(exe.as_bytes()))
    }

    pub(super) fn fits_cgroup(&self, path: &str) -> bool {
        let mut globs = self.cgroup.iter().filter_map(|text| glob(text));
        globs.any(|pattern| pattern.matches(path))
    }
}

/// A glob in which `*` matches slashes too; its syntax was checked.
pub(super) fn glob(text: &str) -> Option<glob::Pattern> {
    glob::Pattern::new(text).ok()
}

/// The part of an executable that the kernel compares. The name of a memfd
/// contains slashes.
pub(super) fn basename(exe: &str) -> &str {
    if exe.starts_with('/') {
        exe.rsplit('/').next().unwrap_or(exe)
    } else {
        exe
    }
}

/// A name as the kernel holds it: cut to its room, filled with zeros.
pub(super) fn padded(name: &[u8]) -> [u8; NAME_LEN] {
    let mut bytes = [0; NAME_LEN];
    let length = name.len().min(NAME_LEN - 1);
    bytes[..length].copy_from_slice(&name[..length]);
    bytes
}
