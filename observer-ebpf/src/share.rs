//! Whose share of a table an entry is counted in.

/// Whose share of a table is counted: key of the map `SHARES`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Share {
    /// A user id of the initial namespace, a cgroup's id, or a supervisor's process.
    pub of: u64,
    /// [`Table`]
    pub table: u32,
    /// [`Holder`]
    pub holder: u32,
}

/// The tables that are shared out.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Open episodes.
    Episodes,
    /// Processes that an episode covers.
    Members,
    /// Processes of supervisors' trees.
    Tasks,
    /// Rows of denials.
    Rows,
    /// Refusals by a rule.
    Breaches,
}

/// Who holds a share.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A user.
    User,
    /// A cgroup.
    Cgroup,
    /// All processes that no supervisor owns.
    Nobody,
}

const _: () = assert!(size_of::<Share>() == 16);
