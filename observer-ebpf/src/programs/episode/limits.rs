//! Whose share an open episode is counted in: its user's, its cgroup's and, where no
//! supervisor owns it, nobody's.

use observer_ebpf::{Table, shares as most};

use super::super::shares;

/// Takes a place for an episode.
#[inline(always)]
pub fn take(uid: u32, cgroup: u64, rule: u16) -> bool {
    let user = shares::user(Table::Episodes, uid, most::EPISODES_OF_USER);
    if !shares::take(user) {
        return false;
    }
    let group = shares::cgroup(Table::Episodes, cgroup, most::EPISODES_OF_CGROUP);
    if !shares::take(group) {
        shares::give(user);
        return false;
    }
    if rule == 0 && !shares::take(shares::nobody(Table::Episodes, most::EPISODES_OF_NOBODY)) {
        shares::give(user);
        shares::give(group);
        return false;
    }
    true
}

/// Gives the place back.
#[inline(always)]
pub fn give(uid: u32, cgroup: u64, rule: u16) {
    shares::give(shares::user(Table::Episodes, uid, most::EPISODES_OF_USER));
    shares::give(shares::cgroup(
        Table::Episodes,
        cgroup,
        most::EPISODES_OF_CGROUP,
    ));
    if rule == 0 {
        shares::give(shares::nobody(Table::Episodes, most::EPISODES_OF_NOBODY));
    }
}
