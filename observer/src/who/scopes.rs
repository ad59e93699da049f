//! How far from a recorded command something happened: in its tree, in what
//! daemons made while it ran, or elsewhere on the host.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{finding::Scope, observation::Owner};

/// Cgroups of which it is known whether they are beside the tree; the others count
/// as that.
const MAX_KNOWN: usize = 65_536;

/// Whether a cgroup is beside the recorded tree, by its id.
pub struct Scopes {
    /// The newest cgroup when the command began; all of them where none did.
    newest: AtomicU64,
    known: Mutex<HashMap<u64, bool>>,
}

impl Default for Scopes {
    fn default() -> Self {
        Self {
            newest: AtomicU64::new(u64::MAX),
            known: Mutex::default(),
        }
    }
}

impl Scopes {
    /// Cgroups that are newer than this one may be beside the tree.
    pub fn begin(&self, newest: u64) {
        self.newest.store(newest, Ordering::Release);
    }

    /// Whether anything can be beside the tree.
    pub fn has_begun(&self) -> bool {
        self.newest.load(Ordering::Acquire) != u64::MAX
    }

    /// Whether a cgroup was made after the command began.
    pub fn is_new(&self, cgroup: u64) -> bool {
        cgroup > self.newest.load(Ordering::Acquire)
    }

    /// Says what a new cgroup is. What was said of it before stands: its findings
    /// are counted already.
    pub fn decide(&self, cgroup: u64, is_beside: bool) {
        let mut known = self.known();
        if known.len() < MAX_KNOWN {
            known.entry(cgroup).or_insert(is_beside);
        }
    }

    /// What was said of a cgroup.
    pub fn decided(&self, cgroup: u64) -> Option<bool> {
        self.known().get(&cgroup).copied()
    }

    /// The scope of a finding. A new cgroup that was gone before anybody could look
    /// counts as beside, from now on: a gate must not pass because a container died
    /// too fast.
    pub fn of(&self, owner: &Owner, cgroup: u64) -> Scope {
        let scope = self.now(owner, cgroup);
        if scope == Scope::Beside {
            self.decide(cgroup, true);
        }
        scope
    }

    /// The same as it is known now.
    pub fn now(&self, owner: &Owner, cgroup: u64) -> Scope {
        if owner.in_tree {
            return Scope::Tree;
        }
        if !self.is_new(cgroup) {
            return Scope::Host;
        }
        match self.known().get(&cgroup) {
            Some(false) => Scope::Host,
            Some(true) | None => Scope::Beside,
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<u64, bool>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Role;

    const OTHER: Owner = Owner {
        start: 0,
        tgid: 0,
        rule: 0,
        role: Role::None,
        in_tree: false,
    };

    #[test]
    fn without_a_command_everything_is_the_hosts() {
        let scopes = Scopes::default();
        assert!(!scopes.has_begun());
        assert_eq!(scopes.of(&OTHER, u64::MAX), Scope::Host);
    }

    #[test]
    fn what_is_new_is_beside_unless_it_is_known_to_be_another() {
        let scopes = Scopes::default();
        scopes.begin(100);
        let own = Owner {
            in_tree: true,
            ..OTHER
        };
        assert_eq!(scopes.of(&own, 101), Scope::Tree);
        assert_eq!(scopes.of(&OTHER, 100), Scope::Host);
        scopes.decide(101, false);
        assert_eq!(scopes.of(&OTHER, 101), Scope::Host);
        assert_eq!(scopes.of(&OTHER, 102), Scope::Beside, "it was gone already");
        scopes.decide(102, false);
        assert_eq!(scopes.of(&OTHER, 102), Scope::Beside, "as was counted");
        for cgroup in 200..200 + 2 * MAX_KNOWN as u64 {
            scopes.decide(cgroup, true);
        }
        assert!(scopes.known().len() <= MAX_KNOWN);
    }
}
