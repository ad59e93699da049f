//! The rules for user namespaces, their id maps, and groups within them
//! (`kernel/user_namespace.c`, 5.10 to 7.3).

use crate::{Broken, Call};

/// Bytes of a map's text that are looked at.
pub const MAP_TEXT: usize = 48;

/// Who opened a map's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opener {
    /// A process of the namespace itself.
    Inside,
    /// A process of the namespace above it.
    Parent,
    /// Another one.
    Other,
}

/// What decides about a write to `uid_map` or `gid_map`.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a question that the kernel asks"
)]
pub struct IdMap {
    /// Whether it is the initial namespace, whose map nobody writes.
    pub is_initial: bool,
    /// Who opened the file.
    pub opener: Opener,
    /// Whether the map has been written.
    pub is_written: bool,
    /// Whether the opener has `SYS_ADMIN` over the namespace.
    pub may_administer: bool,
    /// Whether id 0 of the parent is in the first line.
    pub has_root: bool,
    /// Whether the namespace's creator had SETFCAP (5.12).
    pub could_setfcap: bool,
    /// Whether the opener has SETFCAP over the parent.
    pub may_setfcap: bool,
    /// Whether opener and writer have SETUID (SETGID) over the parent.
    pub may_map: bool,
}

/// The rule that refused a map with EPERM; none where a check did.
#[inline(always)]
#[must_use]
pub const fn id_map(call: Call, map: IdMap) -> Broken {
    if map.is_initial {
        return Broken::WrittenBefore;
    }
    if matches!(map.opener, Opener::Other) {
        return Broken::OtherOpener;
    }
    if map.is_written {
        return Broken::WrittenBefore;
    }
    if !map.may_administer {
        return Broken::None;
    }
    if matches!(call, Call::UidMap) && map.has_root {
        let is_inside = matches!(map.opener, Opener::Inside);
        if is_inside && !map.could_setfcap {
            return Broken::CreatorLacksSetfcap;
        }
        if !is_inside && !map.may_setfcap {
            return Broken::None;
        }
    }
    if map.may_map {
        return Broken::Unmapped;
    }
    Broken::NotOwnId
}

/// Whether the first line of a map's text (`INSIDE OUTSIDE COUNT`) begins at id 0 of
/// the parent.
///
/// Without a branch, since the verifier would follow each of them at each byte.
#[inline(always)]
#[must_use]
pub fn has_root(text: &[u8; MAP_TEXT], length: u32) -> bool {
    // The number that is being read: 1 after the first digit.
    let mut field = 0_u32;
    let mut before = 0_u32;
    let mut outside = 0_u32;
    let mut digits = 0_u32;
    for (index, byte) in (0_u32..).zip(text) {
        let is_text = index.wrapping_sub(length) >> 31;
        let digit = u32::from(*byte).wrapping_sub(48);
        // 1 for '0' to '9', within the text.
        let is_digit = (digit.wrapping_sub(10) >> 31) & !(digit >> 31) & is_text;
        field += is_digit & (before ^ 1);
        before = is_digit;
        let is_second = ((field ^ 2).wrapping_sub(1) >> 31) & is_digit;
        outside |= digit.wrapping_mul(is_second);
        digits |= is_second;
    }
    digits == 1 && outside == 0
}

/// The rule that refused setgroups with EPERM, where SETGID was granted.
#[inline(always)]
#[must_use]
pub const fn setgroups(has_gid_map: bool, is_allowed: bool) -> Broken {
    if !has_gid_map {
        return Broken::NoGidMap;
    }
    if !is_allowed {
        return Broken::DeniedInNamespace;
    }
    Broken::None
}

/// The rule that refused a user namespace; none where a module may have.
#[inline(always)]
#[must_use]
pub const fn userns(errno: u32, level: u32, is_chrooted: bool, is_mapped: bool) -> Broken {
    const EPERM: u32 = 1;
    const ENOSPC: u32 = 28;
    const EUSERS: u32 = 87;
    match errno {
        ENOSPC | EUSERS if level > 32 => Broken::Depth,
        ENOSPC | EUSERS => Broken::Limit,
        EPERM if is_chrooted => Broken::Chroot,
        EPERM if !is_mapped => Broken::Unmapped,
        _ => Broken::None,
    }
}
