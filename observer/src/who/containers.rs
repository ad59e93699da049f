//! Containers of cgroups: what was found of each, and when it is looked up again.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    State, Who, cgroup,
    hierarchy::{self, Location},
};
use crate::{finding::Container, observation::Owner};

/// How long what is known of a cgroup stands: a container may be renamed.
const FRESH: Duration = Duration::from_mins(1);
/// What a cgroup's container is to have may be written after the cgroup is made, and
/// after its first event: so long it is looked at again where that is not known,
pub(super) const SETTLES: Duration = Duration::from_secs(10);
/// and so often at most.
pub(super) const SETTLING: Duration = Duration::from_millis(100);

/// What was found of a cgroup.
#[derive(Clone)]
pub(super) struct Cgroup {
    pub(super) container: Option<Arc<Container>>,
    /// When it was first looked at.
    pub(super) first: Instant,
    since: Instant,
    /// Whether its supervisor's words were added.
    is_joined: bool,
}

impl Cgroup {
    pub(super) fn new(container: Option<Arc<Container>>, first: Option<Instant>) -> Self {
        let now = Instant::now();
        Self {
            container,
            first: first.unwrap_or(now),
            since: now,
            is_joined: false,
        }
    }

    /// Whether it is known what its container is to have.
    fn is_settled(&self) -> bool {
        let container = self.container.as_deref();
        container.is_some_and(|container| container.requested.is_some())
    }
}

/// What is known of a cgroup that somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing.
    New,
    /// What there is to know.
    Known,
    /// It may have been looked at too early.
    Early,
    /// It was looked at long ago.
    Old,
}

impl Who {
    /// The container of a process, by what is known now. A cgroup and the words
    /// of its supervisor are joined where they name the same one; a container
    /// that was made within another one is the nearer of the two; else the cgroup
    /// counts, and of units the supervisor's word before them.
    pub fn container_now(&self, owner: &Owner, cgroup: u64) -> Option<Arc<Container>> {
        let mut known = self.known();
        let place = known.cgroups.get(&cgroup).cloned();
        let owner = known.supervisors.get(&(owner.tgid, owner.start));
        let maker = owner.and_then(|identity| identity.container.clone());
        let Some(place) = place else { return maker };
        let (container, maker) = match (place.container.clone(), maker) {
            (Some(container), Some(maker)) => (container, maker),
            (container, maker) => return container.or(maker),
        };
        if container.is_unit() {
            return Some(maker);
        }
        if maker.within.as_deref() == Some(&container.id) {
            return Some(maker);
        }
        if maker.id != container.id || place.is_joined {
            return Some(container);
        }
        let mut both = Arc::unwrap_or_clone(container);
        both.join(&maker);
        let both = Arc::new(both);
        let entry = Cgroup {
            container: Some(Arc::clone(&both)),
            is_joined: true,
            ..place
        };
        known.cgroups.insert(cgroup, entry);
        Some(both)
    }

    /// How a cgroup's answer stands; a caller that gets `Early` looks again. The first
    /// process of a container is launched once its configuration is written.
    pub(super) fn standing(&self, id: u64, is_launch: bool) -> Standing {
        let mut known = self.known();
        let Some(found) = known.cgroups.get_mut(&id) else {
            return Standing::New;
        };
        let age = found.since.elapsed();
        let may_settle = found.first.elapsed() < SETTLES && age >= SETTLING;
        if !found.is_settled() && (is_launch || may_settle) {
            found.since = Instant::now();
            Standing::Early
        } else if age < FRESH {
            Standing::Known
        } else {
            Standing::Old
        }
    }

    pub(super) fn of_cgroup(&self, id: u64, pid: u32, again: bool) -> Option<Arc<Container>> {
        if id == 0 {
            return None;
        }
        if !again && let Some(known) = self.known().cgroups.get(&id) {
            return known.container.clone();
        }
        let Location { path, gone } = self.hierarchy.locate(id, pid)?;
        let rule = self.rules().of_cgroup(&path);
        if rule != 0 {
            self.names.set_cgroup(id, rule);
        }
        let delegated = self.hierarchy.delegated(&path, gone);
        let places = cgroup::places(&path, delegated);
        let user = places.iter().map(|place| place.owner).max().unwrap_or(0);
        let reads = self.may_read(user);
        let mut depth = None;
        let container = match &reads {
            Some(_) => {
                let (container, own) = self.state.of_path(&path, &places, delegated);
                depth = own;
                container
            }
            None => places
                .iter()
                .find(|place| place.is_sure)
                .map(State::of_name),
        };
        if self.scopes.is_new(id) {
            let is_beside = self.is_beside(&path, &places, container.as_ref(), depth);
            self.scopes.decide(id, is_beside);
        }
        let container = container.map(Arc::new);
        let mut known = self.known();
        let first = known.cgroups.get(&id).map(|former| former.first);
        let entry = Cgroup::new(container.clone(), first);
        known.cgroups.insert(id, entry);
        container
    }

    /// The id of the cgroup that a process is in now; 0 where it can't be read.
    pub fn cgroup_id(&self, pid: u32) -> u64 {
        let path = hierarchy::of_process(pid);
        path.and_then(|path| self.hierarchy.id(&path)).unwrap_or(0)
    }
}
