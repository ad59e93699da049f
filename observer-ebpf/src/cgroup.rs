//! Cgroups that were made lately: what names one that is gone by now.

/// Bytes of a cgroup's path that are kept, its closing zero among them; of a longer
/// path nothing is.
pub const CGROUP_PATH_LEN: usize = 496;

/// A cgroup of the default hierarchy, as it was made.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct MadeCgroup {
    /// Its id; 0 while the rest is written.
    pub id: u64,
    /// Who made it, by the id of the initial user namespace.
    pub uid: u32,
    /// Bytes of the path, the closing zero among them; 0 where it was not kept.
    pub length: u32,
    /// Its path from the hierarchy's root.
    pub path: [u8; CGROUP_PATH_LEN],
}

// User space maps these as they are.
const _: () = assert!(size_of::<MadeCgroup>() == 512);
