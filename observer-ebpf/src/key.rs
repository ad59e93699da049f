//! Keys and values of the counting maps, and the process tree's entries.
#![expect(
    clippy::inline_always,
    reason = "a program is one function: a call costs the verifier what it knows of the arguments"
)]

use crate::{CAP_BPF, CAP_SYS_ADMIN, COMM_LEN};

/// A byte-sized word of the ABI: an enum that user space decodes from a byte.
macro_rules! word {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[repr(u8)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vmeta])* $variant,)* }

        impl $name {
            /// Every value, in the order of its byte.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word for it in JSON and labels.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// Decodes a byte that a program wrote; an unknown one is the default.
            #[must_use]
            pub fn from_byte(byte: u8) -> Self {
                Self::ALL.get(usize::from(byte)).copied().unwrap_or_default()
            }
        }
    };
}
pub(crate) use word;

word!(
    /// Who refused a capability check.
    Layer {
        /// Nothing was refused.
        #[default] None = "none",
        /// The capability sets of the credential (`security/commoncap.c`).
        Commoncap = "commoncap",
        /// `AppArmor`.
        Apparmor = "apparmor",
        /// `SELinux`.
        Selinux = "selinux",
        /// Another LSM, or an LSM that is not known.
        Lsm = "lsm",
        /// A seccomp filter.
        Seccomp = "seccomp",
    }
);

word!(
    /// What a process is to its supervisor.
    Role {
        /// No supervisor owns it.
        #[default] None = "none",
        /// The supervisor itself, or a child that has not yet executed another program.
        Supervisor = "supervisor",
        /// What runs below it after its exec.
        Workload = "workload",
    }
);

word!(
    /// Why commoncap refused.
    Reason {
        /// Not known, or not commoncap.
        #[default] None = "none",
        /// The capability is not in the effective set.
        NotEffective = "not_effective",
        /// The target user namespace is not the credential's own, nor below it.
        Namespace = "namespace",
    }
);

word!(
    /// Whether the caller asked for the check to be audited.
    Audited {
        /// The mechanism does not show it.
        #[default] Unknown = "unknown",
        /// It did.
        Yes = "yes",
        /// `CAP_OPT_NOAUDIT`.
        No = "no",
    }
);

word!(
    /// The way by which a check came to commoncap.
    Via {
        /// The mechanism does not show it.
        #[default] Unknown = "unknown",
        /// Through `security_capable`: every layer is asked.
        SecurityCapable = "security_capable",
        /// Straight to `cap_capable`: no LSM is asked.
        Direct = "direct",
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

/// A supervisor's instance: a process while it runs one program, and what it
/// is to those that it owns.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Start time of the supervisor's process; 0 where there is none.
    pub start: u64,
    /// Its process id.
    pub tgid: u32,
    /// Number of the rule that its executable matched; 0 for none.
    pub rule: u16,
    /// [`Role`] of the process that this owner is reported of.
    pub role: u8,
    /// 1 for a process of the tree that `capwatch record` follows.
    pub in_tree: u8,
}

/// A process of a followed tree.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Task {
    /// Start time of the process.
    pub start: u64,
    /// Its supervisor, and its role.
    pub owner: Owner,
    /// Process id of its parent at the fork.
    pub ppid: u32,
    /// Inode number of the user namespace that its supervisor runs in.
    pub namespace: u32,
    /// User id by whose share it is counted.
    pub uid: u32,
    /// 1 where the owner's workload is a container in which supervisors count anew.
    pub runtime: u8,
    /// 1 where it is known which bounding set the owner's workload should have.
    pub judged: u8,
    /// Low bits of `task_struct.self_exec_id` at the exec that made the entry what
    /// it is: two hooks report each.
    pub exec: u16,
}

impl Task {
    /// `/proc` shows start times in ticks of this many nanoseconds (`USER_HZ`).
    const TICK_NS: u64 = 10_000_000;

    /// Whether this is the entry of the process that started then, and not of an
    /// earlier one with the same id. What was read of `/proc` is cut to a tick.
    #[inline(always)]
    #[must_use]
    pub const fn is_of(&self, start: u64) -> bool {
        self.start == start || self.start / Self::TICK_NS == start / Self::TICK_NS
    }
}

/// What an episode covers a process by: the value of the map `MEMBERS`, keyed by process id.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Start time of the process.
    pub start: u64,
    /// The episode of its own drops; 0 for none.
    pub own: u64,
    /// The episode that it was forked into; 0 for none.
    pub family: u64,
    /// User id by whose share it is counted.
    pub uid: u32,
    /// Keeps the size a multiple of the alignment.
    pub reserved: u32,
}

impl Member {
    /// The nearest episode that covers it; 0 for none.
    #[must_use]
    pub const fn nearest(&self) -> u64 {
        if self.own == 0 { self.family } else { self.own }
    }
}

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

/// Marks an [`Owner`] as part of the recorded tree.
pub const TASK_IN_TREE: u8 = 1;

/// What the name of an executable means: the value of the map `RULES`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Number of the rule, from 1.
    pub id: u16,
    /// 1 for a container runtime: its workload is a container, in which a
    /// supervisor is again a supervisor.
    pub runtime: u8,
    /// 1 for conmon, whose arguments name its container: they are reported at its exec.
    pub argv: u8,
    /// 1 where it is known which bounding set its workload should have.
    pub judged: u8,
    /// Keeps the size a multiple of the alignment.
    pub reserved: [u8; 3],
}

/// Key of a denial's row: everything that distinguishes rows.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RowKey {
    /// The supervisor, and the role of the process.
    pub owner: Owner,
    /// Id of the cgroup on the default hierarchy.
    pub cgroup: u64,
    /// Inode number of the executable; 0 for kernel threads.
    pub exe_inode: u64,
    /// Hash of the LSM profile's name, key of the map `PROFILES`; 0 for none.
    pub profile: u64,
    /// Name of the thread.
    pub comm: [u8; COMM_LEN],
    /// Number of the capability.
    pub capability: u8,
    /// [`Layer`]
    pub layer: u8,
    /// [`Reason`]
    pub reason: u8,
    /// [`Audited`]
    pub audited: u8,
    /// [`Via`]
    pub via: u8,
    /// 1 where the check was made with the task's own credentials.
    pub own_credentials: u8,
    /// Keeps the size a multiple of the alignment.
    pub reserved: [u8; 2],
}

/// The agent's own process.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agent {
    /// Process id.
    pub tgid: u64,
    /// Inode number of its executable, so that another process that gets the id later is
    /// not taken for the agent.
    pub exe_inode: u64,
}

impl Agent {
    /// Whether a denial says only that the agent gave its capabilities up: from 5.19 on
    /// each of its reads of a map asks for `CAP_BPF` and `CAP_SYS_ADMIN` first, and goes on
    /// without them. Such a denial is not counted.
    #[inline(always)]
    #[must_use]
    pub fn gave_up(&self, tgid: u32, exe_inode: u64, capability: u32, layer: Layer) -> bool {
        self.tgid == u64::from(tgid)
            && self.exe_inode == exe_inode
            && matches!(capability, CAP_SYS_ADMIN | CAP_BPF)
            && layer == Layer::Commoncap
    }
}

/// How many rows there may be: entries of the maps `ROWS`, `SLOTS` and `FREE`.
pub const ROW_SLOTS: u32 = 16_384;

/// Value of a denial's row, one for each CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Denials.
    pub count: u64,
    /// Time of the first, nanoseconds since boot (`CLOCK_MONOTONIC`).
    pub first: u64,
    /// Tick (`jiffies_64`) of the first.
    pub first_tick: u64,
    /// Tick of the last.
    pub last_tick: u64,
    /// Tick of the last one whose detail was sent; 0 when none was.
    pub told_tick: u64,
}

/// Key of a denial without its row: what the metrics need.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TotalKey {
    /// The supervisor, and the role of the process.
    pub owner: Owner,
    /// Number of the capability.
    pub capability: u8,
    /// [`Layer`]
    pub layer: u8,
    /// [`Audited`]
    pub audited: u8,
    /// Keeps the size a multiple of the alignment.
    pub reserved: [u8; 5],
}

impl TotalKey {
    /// Number of entries of the overflow slot: 64 capabilities, 8 layers, 4 words of audited.
    pub const OVERFLOW_LEN: u32 = 64 * 8 * 4;

    /// The key of an index in the overflow slot.
    #[must_use]
    pub fn from_overflow_index(index: u32) -> Self {
        let [index, high, ..] = index.to_le_bytes();
        Self {
            capability: high << 3 | index >> 5,
            layer: index >> 2 & 7,
            audited: index & 3,
            ..Self::default()
        }
    }

    /// Index in the overflow slot, where the owner is no longer known.
    #[must_use]
    pub const fn overflow_index(&self) -> u32 {
        ((self.capability & 63) as u32) << 5
            | ((self.layer & 7) as u32) << 2
            | (self.audited & 3) as u32
    }
}

const _: () = assert!(size_of::<Owner>() == 16);
const _: () = assert!(size_of::<Task>() == 40);
const _: () = assert!(size_of::<Rule>() == 8);
const _: () = assert!(size_of::<Member>() == 32);
const _: () = assert!(size_of::<Share>() == 16);
const _: () = assert!(size_of::<RowKey>() == 64);
const _: () = assert!(size_of::<Count>() == 40);
const _: () = assert!(size_of::<TotalKey>() == 24);
