//! Calls that the kernel refuses by a rule of its own, without asking for a capability.

use crate::{COMM_LEN, NAME_LEN, Owner, word::word};

/// Bytes of a path that are reported; longer ones are cut.
pub const PATH_LEN: usize = 128;

word!(
    /// The call that a rule refused.
    Call {
        /// Not known.
        #[default] None = "none",
        /// `execve`
        Exec = "exec",
        /// `capset`
        Capset = "capset",
        /// `prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE)`
        Ambient = "ambient",
        /// `prctl(PR_SET_SECUREBITS)`
        Securebits = "securebits",
        /// A write to `/proc/PID/uid_map`.
        UidMap = "uid_map",
        /// A write to `/proc/PID/gid_map`.
        GidMap = "gid_map",
        /// `setgroups`
        Setgroups = "setgroups",
        /// `unshare` or `clone` of a user namespace.
        Userns = "userns",
    }
);

word!(
    /// The rule of the kernel by which a call was refused without a check.
    Broken {
        /// None: it was not refused, or a check was.
        #[default] None = "none",
        /// exec: the file's capabilities are effective at once, and the bounding set lacks some.
        FileBeyondBounding = "file_beyond_bounding",
        /// capset: permitted, and not permitted before.
        PermittedBeyondPermitted = "permitted_beyond_permitted",
        /// capset: effective, and not among the new permitted ones.
        EffectiveBeyondPermitted = "effective_beyond_permitted",
        /// capset: inheritable, neither inheritable nor permitted before, and no SETPCAP.
        InheritableBeyondPermitted = "inheritable_beyond_permitted",
        /// capset: inheritable, neither inheritable before nor in the bounding set.
        InheritableBeyondBounding = "inheritable_beyond_bounding",
        /// ambient: not in the permitted set.
        NotPermitted = "not_permitted",
        /// ambient: not in the inheritable set.
        NotInheritable = "not_inheritable",
        /// ambient, securebits: a securebit forbids it.
        Locked = "locked",
        /// capset: of another process.
        OtherProcess = "other_process",
        /// `uid_map`: id 0 of the parent, and the namespace's creator had no SETFCAP.
        CreatorLacksSetfcap = "creator_lacks_setfcap",
        /// `uid_map`, `gid_map`: more than one's own id, and no SETUID (SETGID) over the parent.
        NotOwnId = "not_own_id",
        /// `uid_map`, `gid_map`: a map can be written once.
        WrittenBefore = "written_before",
        /// `uid_map`, `gid_map`: the file was opened in another namespace.
        OtherOpener = "other_opener",
        /// setgroups: `deny` was written to `/proc/PID/setgroups`.
        DeniedInNamespace = "denied_in_namespace",
        /// setgroups: the namespace has no `gid_map` yet.
        NoGidMap = "no_gid_map",
        /// setgroups, userns, `uid_map`, `gid_map`: an id has no mapping.
        Unmapped = "unmapped",
        /// userns: in a chroot.
        Chroot = "chroot",
        /// userns: `user.max_user_namespaces`.
        Limit = "limit",
        /// userns: as many levels as there may be.
        Depth = "depth",
        /// exec: ran without the file's privileges, because of `no_new_privs`.
        LostNoNewPrivs = "lost_no_new_privs",
        /// exec: the same, because of a nosuid mount.
        LostNosuid = "lost_nosuid",
        /// exec: the same, because of a mount of another mount or user namespace.
        LostForeignMount = "lost_foreign_mount",
        /// exec: the same, because it is traced.
        LostTraced = "lost_traced",
        /// capset, `uid_map`, `gid_map`: another call took the place in which this one's
        /// arguments were kept (kprobes alone).
        Unseen = "unseen",
    }
);

/// What distinguishes refusals: key of the map `BREACHES`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct BreachKey {
    /// The supervisor, and the role of the process.
    pub owner: Owner,
    /// Id of the cgroup on the default hierarchy.
    pub cgroup: u64,
    /// Inode number of the executable; of an exec, of the file that was to be executed.
    pub exe_inode: u64,
    /// The capabilities that the rule asks for and the process did not have.
    pub missing: u64,
    /// Name of the thread.
    pub comm: [u8; COMM_LEN],
    /// [`Call`]
    pub call: u8,
    /// [`Broken`]
    pub rule: u8,
    /// What the call answered; 0 where it succeeded, and gave less than the file promises.
    pub errno: u16,
    /// Keeps the size a multiple of the alignment.
    pub reserved: u32,
}

/// How often, and when: the value of the map `BREACHES`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Breach {
    /// Refusals.
    pub count: u64,
    /// Time of the last.
    pub last: u64,
    /// Time of the last one that was reported; 0 when none was.
    pub reported: u64,
    /// User id by whose share it is counted, and 1 in the upper half where it is.
    pub uid: u64,
}

/// One refusal. Those of a key are reported at the first and then at most once a second.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreachEvent {
    /// [`EventKind::Breach`](crate::EventKind::Breach)
    pub kind: u32,
    /// Process id.
    pub tgid: u32,
    /// When.
    pub time: u64,
    /// What counts it.
    pub key: BreachKey,
    /// Start time of the process.
    pub start: u64,
    /// Process id of the parent.
    pub ppid: u32,
    /// User id.
    pub uid: u32,
    /// Basename of the executable; of an exec, of the file that was to be executed.
    pub exe: [u8; NAME_LEN],
    /// Path of that file as the caller named it; empty where it is not known.
    pub path: [u8; PATH_LEN],
}

const _: () = assert!(size_of::<BreachKey>() == 64);
const _: () = assert!(size_of::<Breach>() == 32);
const _: () = assert!(size_of::<BreachEvent>() == 16 + 64 + 16 + NAME_LEN + PATH_LEN);
