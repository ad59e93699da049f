//! Shares: what one user, one cgroup, or all that no supervisor owns may hold of
//! a table, so that whoever fills it fills his own part.

use aya_ebpf::bindings::BPF_NOEXIST;
use observer_ebpf::{Holder, Share, Table};

use super::maps::{SHARES, add};

/// How many entries a holder may have.
#[derive(Clone, Copy)]
pub struct Limit {
    /// Whose.
    pub share: Share,
    /// How many.
    pub most: u64,
}

/// A user's; root, who can do more harm than this, has no limit.
#[inline(always)]
pub fn user(table: Table, uid: u32, most: u64) -> Limit {
    limit(
        table,
        Holder::User,
        u64::from(uid),
        if uid == 0 { u64::MAX } else { most },
    )
}

/// A cgroup's; the root of the hierarchy, where no cgroups are used, has no limit.
#[inline(always)]
pub fn cgroup(table: Table, cgroup: u64, most: u64) -> Limit {
    limit(
        table,
        Holder::Cgroup,
        cgroup,
        if cgroup <= 1 { u64::MAX } else { most },
    )
}

/// That of all which no supervisor owns.
#[inline(always)]
pub fn nobody(table: Table, most: u64) -> Limit {
    limit(table, Holder::Nobody, 0, most)
}

#[inline(always)]
fn limit(table: Table, holder: Holder, of: u64, most: u64) -> Limit {
    Limit {
        share: Share {
            of,
            table: table as u32,
            holder: holder as u32,
        },
        most,
    }
}

/// Takes one of a share, if there is one left.
#[inline(always)]
pub fn take(limit: Limit) -> bool {
    if limit.most == u64::MAX {
        return true;
    }
    let mut held = SHARES.get_ptr_mut(&limit.share);
    if held.is_none() {
        let _ = SHARES.insert(&limit.share, &0, BPF_NOEXIST as u64);
        held = SHARES.get_ptr_mut(&limit.share);
    }
    let Some(held) = held else {
        return false;
    };
    // SAFETY: a live map value. Two that take the last one at once may both have it.
    if unsafe { *held } >= limit.most {
        return false;
    }
    add(held, 1);
    true
}

/// Gives one of a share back; an entry that counts nothing goes.
#[inline(always)]
pub fn give(limit: Limit) {
    if limit.most == u64::MAX {
        return;
    }
    let Some(held) = SHARES.get_ptr_mut(&limit.share) else {
        return;
    };
    // SAFETY: a live map value.
    let left = unsafe { *held };
    if left <= 1 {
        let _ = SHARES.remove(&limit.share);
    } else {
        add(held, u64::MAX);
    }
}
