//! What a log has besides capability denials, and lines that are left out.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::{Stamp, optional};

/// A sort of records that are no capability denials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// seccomp refused a system call.
    Seccomp,
    /// A process could not set its capabilities.
    Capset,
    /// A module refused a user namespace, or moved its maker into another profile.
    UsernsCreate,
    /// An `AppArmor` profile in complain mode let a capability through.
    Complain,
    /// A permissive `SELinux` domain let a capability through.
    Permissive,
    /// A capability was granted, and a rule asked for the record.
    Granted,
    /// A refusal of something else, such as a mount or a file.
    Other,
}

/// Records that are alike and no capability denials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Other {
    /// What they are.
    pub kind: Sort,
    /// `apparmor`, `selinux` or `seccomp`.
    pub lsm: Option<String>,
    /// `denied`, `killed`, `allowed` or `audit`.
    pub verdict: Option<String>,
    /// The system call, or the module's word for what was asked.
    pub operation: Option<String>,
    /// The capability, where one was asked for.
    pub capability: Option<String>,
    /// Profile or domain.
    pub profile: Option<String>,
    /// Name of the thread.
    pub comm: Option<String>,
    /// Process id in the last one.
    pub pid: Option<u32>,
    /// How many.
    pub count: u64,
    /// The first; null where no record has a time.
    #[serde(with = "optional")]
    pub first: Stamp,
    /// The last; null where no record has a time.
    #[serde(with = "optional")]
    pub last: Stamp,
    /// The sentence for a person.
    pub explanation: String,
}

/// A line of a log, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}: {}", self.line, self.reason)
    }
}

/// How much of a log was read: no denial in it means something only beside this.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRead {
    /// Its lines.
    pub lines: u64,
    /// Records on them, of any kind that is read here.
    pub records: u64,
    /// Lines that were understood: these, other audit records, and what the kernel
    /// says of lost ones.
    pub understood: u64,
    /// Records and journal entries that should be readable and are not.
    pub unread: u64,
    /// The first of these.
    pub first_unread: Option<Place>,
    /// Those that look like a record, and that another program than the kernel or
    /// the audit daemon wrote: not believed.
    pub left_out: u64,
    /// The first of these.
    pub first_left_out: Option<Place>,
}

impl LogRead {
    /// What a person has to know of it, a sentence each.
    pub fn notes(&self) -> impl Iterator<Item = String> {
        let place = |place: &Option<Place>| {
            place
                .as_ref()
                .map_or(String::new(), |place| format!("; the first is {place}"))
        };
        let lines = |count: u64| if count == 1 { "line" } else { "lines" };
        let all = format!("{} {}", self.lines, lines(self.lines));
        let unread = (self.unread > 0).then(|| {
            format!(
                "{} of {all} could not be read{}",
                self.unread,
                place(&self.first_unread)
            )
        });
        let left_out = (self.left_out > 0).then(|| {
            format!(
                "{} of {all} left out, because a program other than the kernel or the audit \
                 daemon may have written it{}",
                self.left_out,
                place(&self.first_left_out)
            )
        });
        unread.into_iter().chain(left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_read_is_said_with_the_first_one_s_place() {
        let mut log = LogRead {
            lines: 20,
            ..LogRead::default()
        };
        assert_eq!(log.notes().count(), 0);
        log.unread = 3;
        log.first_unread = Some(Place {
            line: 7,
            reason: "it was cut short".to_owned(),
        });
        let notes: Vec<_> = log.notes().collect();
        assert_eq!(
            notes,
            ["3 of 20 lines could not be read; the first is line 7: it was cut short"]
        );
    }
}
