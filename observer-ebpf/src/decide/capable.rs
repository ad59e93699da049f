//! What commoncap answers.

use crate::Reason;

/// Levels that a namespace may lie below its credential's own: `create_user_ns`
/// refuses a parent whose level is beyond 32, so that the deepest level is 33
/// (`kernel/user_namespace.c`, 4.9 to 7.3).
pub const MAX_LEVELS: u32 = 33;

/// How credentials and user namespaces are read: in the kernel by offsets, in a
/// test from a model.
pub trait Credentials {
    /// A credential.
    type Credential: Copy;
    /// A user namespace; one that is [`Self::is_none`] ends every walk.
    type Namespace: Copy + PartialEq;

    /// Whether there is no such namespace.
    fn is_none(&self, namespace: Self::Namespace) -> bool;
    /// The namespace that a credential belongs to.
    fn namespace(&self, credential: Self::Credential) -> Self::Namespace;
    /// Its effective set.
    fn effective(&self, credential: Self::Credential) -> u64;
    /// Its effective user id, of the initial namespace.
    fn euid(&self, credential: Self::Credential) -> u32;
    /// The level of a namespace: 0 is the initial one.
    fn level(&self, namespace: Self::Namespace) -> u32;
    /// The namespace above it.
    fn parent(&self, namespace: Self::Namespace) -> Self::Namespace;
    /// The user id of its owner, of the initial namespace.
    fn owner(&self, namespace: Self::Namespace) -> u32;
    /// Its inode number.
    fn inode(&self, namespace: Self::Namespace) -> u32;
}

/// Why commoncap refuses a capability to a credential; [`Reason::None`] where
/// it grants it.
///
/// The same walk as `cap_capable` (`security/commoncap.c`, 5.1 to 7.3): a
/// credential is immutable, so the answer at the exit is that of the check.
#[inline(always)]
pub fn commoncap<C: Credentials>(
    read: &C,
    credential: C::Credential,
    target: C::Namespace,
    capability: u32,
) -> Reason {
    let own = read.namespace(credential);
    let own_level = read.level(own);
    let mut namespace = target;
    for _ in 0..=MAX_LEVELS {
        if namespace == own {
            return if read.effective(credential) >> (capability & 63) & 1 == 0 {
                Reason::NotEffective
            } else {
                Reason::None
            };
        }
        if read.is_none(namespace) || read.level(namespace) <= own_level {
            return Reason::Namespace;
        }
        let parent = read.parent(namespace);
        if parent == own && read.owner(namespace) == read.euid(credential) {
            return Reason::None;
        }
        namespace = parent;
    }
    Reason::Namespace
}
