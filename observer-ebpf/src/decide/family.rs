//! Whom an episode covers beside the process that dropped, and what an exec of
//! theirs means.
//!
//! The bounding set is inherited by fork, so that the question is who *execs*
//! with a capability that should have been dropped. An episode covers the
//! process and whatever is forked from it while it has, in the namespace of the
//! drops, a capability that the process tried to drop.

/// What an exec of a process that an episode covers came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ran {
    /// Nothing that was tried to drop is in its set.
    Clean,
    /// It runs with some of it: these.
    Raised(u64),
    /// Another user namespace filled its set anew, which grants nothing outside of it.
    Refilled,
}

/// Whether an episode covers a child: it has something that the process tried
/// to drop, in the namespace that the drops were made in.
#[inline(always)]
#[must_use]
pub const fn follows(tried: u64, namespace: u32, child: u64, child_namespace: u32) -> bool {
    tried & child != 0 && namespace == child_namespace
}

/// What the exec of a process that an episode covers came to: by the set that
/// the new program starts with, and the namespace that it is in.
#[inline(always)]
#[must_use]
pub const fn ran(tried: u64, namespace: u32, bounding: u64, own_namespace: u32) -> Ran {
    if tried & bounding == 0 {
        Ran::Clean
    } else if namespace == own_namespace {
        Ran::Raised(tried & bounding)
    } else {
        Ran::Refilled
    }
}
