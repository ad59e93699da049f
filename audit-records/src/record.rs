//! What one record says.

use std::borrow::Cow;

use serde::Serialize;

use super::Epoch;
use crate::caps::CapSet;

/// Bytes as a record held them: quotes off, hexadecimal decoded, and otherwise
/// untouched, so names that are not UTF-8 still compare equal.
pub type Bytes<'a> = Cow<'a, [u8]>;

/// The module that wrote a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Lsm {
    /// `AppArmor`, in the kernel or a message bus in its name.
    AppArmor,
    /// `SELinux`.
    SeLinux,
    /// seccomp, which is no security module but refuses like one.
    Seccomp,
}

impl Lsm {
    /// The word for it in JSON and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AppArmor => "apparmor",
            Self::SeLinux => "selinux",
            Self::Seccomp => "seccomp",
        }
    }
}

/// What the module decided, in one vocabulary for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Refused.
    Denied,
    /// Would have been refused, but the profile is in complain mode or the
    /// domain is permissive. With stacked profiles of kernels since 6.14 the
    /// check may have been refused all the same.
    Allowed,
    /// Allowed, and logged because a rule asks for it.
    Audit,
    /// Refused, and the task was killed for it.
    Killed,
    /// A hint for profile learning.
    Hint,
    /// A change of policy.
    Status,
    /// The module failed.
    Error,
}

impl Verdict {
    /// The word for it in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Allowed => "allowed",
            Self::Audit => "audit",
            Self::Killed => "killed",
            Self::Hint => "hint",
            Self::Status => "status",
            Self::Error => "error",
        }
    }
}

/// A system call as seccomp names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Syscall {
    /// `AUDIT_ARCH_*` of `include/uapi/linux/audit.h`; none where the record was
    /// interpreted to a name that is unknown here.
    pub arch: Option<u32>,
    /// The number, in that architecture's table; none where the record was
    /// interpreted to a name.
    pub number: Option<u32>,
}

/// One audit record: who got which answer about which capability.
///
/// Every field is optional, since kernels differ and order is free.
/// [`Record::each`] spreads a record over its capabilities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record<'a> {
    /// Who wrote it.
    pub lsm: Option<Lsm>,
    /// What was decided; none where `audit_header=N` took it away.
    pub verdict: Option<Verdict>,
    /// `AppArmor`: `operation=`; seccomp: `prctl`, `capset`,
    /// `unshare`, `clone`, `clone3` or `setns`, where it is one.
    pub operation: Option<Bytes<'a>>,
    /// `AppArmor`: `class=`, since 6.5; `SELinux`: `tclass=`, such as `cap_userns`.
    pub class: Option<Bytes<'a>>,
    /// `AppArmor`: `profile=`, or `label=` in its absence; `SELinux`: the *type* of
    /// the source context, the domain (`container_t` of `u:r:container_t:s0`).
    pub profile: Option<Bytes<'a>>,
    /// `AppArmor`: `namespace=`, such as `root//lxd-web`.
    pub namespace: Option<Bytes<'a>>,
    /// Thread group, in the initial pid namespace.
    pub pid: Option<u32>,
    /// Parent, where an old kernel or an interpreter says so.
    pub ppid: Option<u32>,
    /// Name of the thread, which may differ from that of its process; a message
    /// bus's record has the bus's executable here.
    pub comm: Option<Bytes<'a>>,
    /// The capability's number.
    pub capability: Option<u32>,
    /// `SELinux`: further capabilities of the same record.
    pub also: CapSet,
    /// The capability as the record names it; kept for names without a number.
    pub capability_name: Option<Bytes<'a>>,
    /// `AppArmor`: `name=`, the object.
    pub name: Option<Bytes<'a>>,
    /// `AppArmor`: `info=`.
    pub info: Option<Bytes<'a>>,
    /// `error=`, signed as written: `-13`.
    pub error: Option<i32>,
    /// When; none in text that journald wrote, which keeps no stamp.
    pub epoch: Option<Epoch>,
    /// Whether `epoch` was read from a date printed in an unknown time zone
    /// (`ausearch -i`) and taken for UTC.
    pub zone_unknown: bool,
    /// The event's serial number since boot, which several records may share.
    pub serial: Option<u64>,
    /// The audit message type, as given or as the text implies.
    pub message_type: Option<u16>,
    /// `SELinux`: the whole source context.
    pub source_context: Option<Bytes<'a>>,
    /// seccomp: the system call.
    pub syscall: Option<Syscall>,
}

impl<'a> Record<'a> {
    /// Whether this reports a capability that was refused.
    pub fn is_capability_denial(&self) -> bool {
        self.is_about_capability()
            && matches!(self.verdict, Some(Verdict::Denied | Verdict::Killed))
    }

    /// Whether this reports a capability at all: profile loads, mounts and
    /// `userns_create` do not.
    pub fn is_about_capability(&self) -> bool {
        self.capability.is_some() || self.capability_name.is_some()
    }

    /// The same record, owning all it says.
    pub fn into_owned(self) -> Record<'static> {
        fn own(bytes: Option<Bytes<'_>>) -> Option<Bytes<'static>> {
            bytes.map(|text| Cow::Owned(text.into_owned()))
        }
        let Record {
            lsm,
            verdict,
            operation,
            class,
            profile,
            namespace,
            pid,
            ppid,
            comm,
            capability,
            also,
            capability_name,
            name,
            info,
            error,
            epoch,
            zone_unknown,
            serial,
            message_type,
            source_context,
            syscall,
        } = self;
        Record {
            lsm,
            verdict,
            operation: own(operation),
            class: own(class),
            profile: own(profile),
            namespace: own(namespace),
            pid,
            ppid,
            comm: own(comm),
            capability,
            also,
            capability_name: own(capability_name),
            name: own(name),
            info: own(info),
            error,
            epoch,
            zone_unknown,
            serial,
            message_type,
            source_context: own(source_context),
            syscall,
        }
    }

    /// One record per capability: this one, and a copy for each in `also`.
    pub fn each(self) -> impl Iterator<Item = Record<'a>> {
        let mut first = self;
        let also = std::mem::take(&mut first.also);
        let rest: Vec<Record<'a>> = also
            .iter()
            .map(|number| Record {
                capability: Some(number),
                capability_name: None,
                ..first.clone()
            })
            .collect();
        std::iter::once(first).chain(rest)
    }

    /// The capability's name as capwatch writes it: `setpcap`, `cap_63`, or what
    /// the record said where that has no number.
    pub fn capability_label(&self) -> Option<Cow<'_, str>> {
        match self.capability {
            Some(number) => Some(crate::caps::name(number)),
            None => self.capability_name.as_deref().map(String::from_utf8_lossy),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_several_capabilities_becomes_several() {
        let record = Record {
            capability: Some(8),
            capability_name: Some(Cow::Borrowed(b"setpcap")),
            also: [21, 0].into_iter().collect(),
            pid: Some(7),
            ..Record::default()
        };
        let each: Vec<_> = record.each().collect();
        let labels: Vec<_> = each.iter().filter_map(Record::capability_label).collect();
        assert_eq!(labels, ["setpcap", "chown", "sys_admin"]);
        assert!(
            each.iter()
                .all(|one| one.pid == Some(7) && one.also.is_empty())
        );
    }

    #[test]
    fn only_a_refusal_of_a_capability_is_a_capability_denial() {
        let mut record = Record {
            verdict: Some(Verdict::Denied),
            ..Record::default()
        };
        assert!(!record.is_capability_denial());
        record.capability = Some(8);
        assert!(record.is_capability_denial());
        record.verdict = Some(Verdict::Allowed);
        assert!(!record.is_capability_denial());
    }
}
