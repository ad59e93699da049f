//! Where a cgroup that is made is kept: root's in a ring of their own, those of users
//! in rings that few share. A user who makes many loses only what his ring holds.

use super::{Credentials, capable::MAX_LEVELS};

/// Places of root's ring.
const OF_ROOT: u32 = 512;
/// Places of each ring of users.
const OF_USERS: u32 = 16;
/// Rings, root's the first.
pub const CGROUP_RINGS: u32 = 33;
/// Places of all rings.
pub const CGROUPS: u32 = OF_ROOT + (CGROUP_RINGS - 1) * OF_USERS;

/// The ring of a user's cgroups.
#[inline(always)]
#[must_use]
pub const fn cgroup_ring(uid: u32) -> u32 {
    if uid == 0 {
        0
    } else {
        1 + uid % (CGROUP_RINGS - 1)
    }
}

/// The place in its ring of the cgroup that is made after `before` others.
#[inline(always)]
#[must_use]
pub const fn cgroup_place(ring: u32, before: u32) -> u32 {
    if ring == 0 {
        before % OF_ROOT
    } else {
        OF_ROOT + (ring - 1) % (CGROUP_RINGS - 1) * OF_USERS + before % OF_USERS
    }
}

/// Who answers for what a process in a user namespace makes: the user who created the
/// outermost one, since that user chooses among many ids within it. One that root created
/// answers itself, by its inode number: ids below 4,026,531,840 are users'.
#[inline(always)]
pub fn answerable<C: Credentials>(kernel: &C, namespace: C::Namespace, uid: u32) -> u32 {
    let level = kernel.level(namespace);
    if level == 0 {
        return uid;
    }
    let mut outermost = namespace;
    let mut above = level;
    for _ in 1..MAX_LEVELS {
        if above <= 1 {
            break;
        }
        outermost = kernel.parent(outermost);
        above -= 1;
    }
    match kernel.owner(outermost) {
        0 => kernel.inode(outermost),
        owner => owner,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_one_rings() {
        let mut rings = [None; CGROUPS as usize];
        for ring in 0..CGROUP_RINGS {
            for before in 0..2_000 {
                let place = cgroup_place(ring, (u32::MAX - 1_000).wrapping_add(before));
                let of = &mut rings[place as usize];
                assert_eq!(*of.get_or_insert(ring), ring);
            }
        }
        assert!(rings.iter().all(Option::is_some), "none is left out");
        assert_eq!(cgroup_ring(0), 0);
        assert!((1..100_000).all(|uid| (1..CGROUP_RINGS).contains(&cgroup_ring(uid))));
    }

    /// A chain of namespaces by level; a number is a namespace and, as an index, its owner.
    struct Chain<'a>(&'a [u32]);

    impl Credentials for Chain<'_> {
        type Credential = ();
        type Namespace = Option<usize>;

        fn is_none(&self, namespace: Option<usize>) -> bool {
            namespace.is_none()
        }
        fn namespace(&self, (): ()) -> Option<usize> {
            None
        }
        fn effective(&self, (): ()) -> u64 {
            0
        }
        fn euid(&self, (): ()) -> u32 {
            0
        }
        fn level(&self, namespace: Option<usize>) -> u32 {
            namespace.map_or(0, |level| u32::try_from(level).unwrap())
        }
        fn parent(&self, namespace: Option<usize>) -> Option<usize> {
            namespace.and_then(|level| level.checked_sub(1))
        }
        fn owner(&self, namespace: Option<usize>) -> u32 {
            namespace.map_or(0, |level| self.0[level])
        }
        fn inode(&self, namespace: Option<usize>) -> u32 {
            4_026_532_000 + self.level(namespace)
        }
    }

    #[test]
    fn ids_within_a_users_namespace_are_his() {
        let chain = Chain(&[0, 1_000, 100_000, 165_535]);
        assert_eq!(answerable(&chain, Some(0), 33), 33, "the host's own");
        assert_eq!(answerable(&chain, Some(1), 100_007), 1_000);
        assert_eq!(answerable(&chain, Some(2), 100_008), 1_000);
        assert_eq!(answerable(&chain, Some(3), 165_536), 1_000);
        let mut deepest = [100_000; MAX_LEVELS as usize + 1];
        deepest[1] = 1_000;
        assert_eq!(
            answerable(&Chain(&deepest), Some(MAX_LEVELS as usize), 7),
            1_000
        );
    }

    #[test]
    fn ids_within_a_namespace_of_root_are_its_own() {
        let chain = Chain(&[0, 0, 231_072]);
        assert_eq!(answerable(&chain, Some(1), 231_072), 4_026_532_001);
        assert_eq!(answerable(&chain, Some(2), 231_073), 4_026_532_001);
    }
}
