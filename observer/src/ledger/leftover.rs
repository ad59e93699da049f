//! Why a denial is in the hooks' count and not in the log, or the other way
//! round, as far as that can be known.

use crate::config::Release;
use crate::finding::{Denial, HookReport, Host, SourceReport};

/// What it is judged by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grounds {
    /// Whether any source of audit records is connected.
    pub connected: bool,
    /// Records that are known to be lost.
    pub records_lost: u64,
    /// Details of denials that the kernel had no room for.
    pub events_lost: u64,
    /// Hooks that are attached.
    pub hooks: Vec<String>,
    /// Whether `AppArmor` forgets a duplicate after a second: since 6.14
    /// (`audit_caps`, `security/apparmor/capability.c`); before, it never does.
    pub duplicates_expire: bool,
    /// The release of the host that wrote the log.
    pub release: Release,
}

impl Grounds {
    /// From what a report says of the host.
    pub fn new(host: &Host, hooks: &[HookReport], sources: &[SourceReport]) -> Self {
        let attached = hooks.iter().filter(|hook| hook.attached);
        Self {
            connected: sources.iter().any(|source| source.up),
            records_lost: sources.iter().map(|source| source.lost).sum(),
            events_lost: 0,
            hooks: attached.map(|hook| hook.hook.clone()).collect(),
            duplicates_expire: version(&host.kernel) >= Some((6, 14)),
            release: Release::Other,
        }
    }

    /// Why a row's denials are not all in the log; `elsewhere` says whether the
    /// log has others of the same profile and capability.
    pub fn unlogged(&self, denial: &Denial, elsewhere: bool) -> Option<&'static str> {
        let logged = denial.logged?;
        if logged >= denial.count {
            return None;
        }
        let seconds = denial.last.seconds_since(denial.first);
        Some(match denial.layer.as_str() {
            _ if denial.audited == "no" => "no_audit",
            _ if !self.connected => "source_missing",
            _ if self.records_lost > 0 => "lost",
            "apparmor" if logged > 0 || elsewhere => "duplicate",
            "apparmor" if self.duplicates_expire && seconds > 1.0 => "quiet_rule",
            "apparmor" => "quiet_rule_or_duplicate",
            // `dontaudit`; an enforced AVC is logged each time.
            "selinux" if logged == 0 => "quiet_rule",
            _ => "unknown",
        })
    }

    /// Why no event is beside the log's record of a denial by this module.
    pub fn unseen(&self, lsm: &str) -> &'static str {
        let hook = match lsm {
            "apparmor" => "aa_capable",
            "selinux" => "selinux_capable",
            _ => "security_capable",
        };
        if !self.hooks.iter().any(|attached| attached == hook) {
            "hook_missing"
        } else if self.events_lost > 0 {
            "event_lost"
        } else {
            "unknown"
        }
    }
}

/// A clause for the sentence of a denial that the log does not have.
pub fn clause(leftover: &str) -> Option<&'static str> {
    Some(match leftover {
        "source_missing" => "no audit source is connected, so the log could not be checked",
        "lost" => "the log may have had it: records were lost",
        "log_says_allowed" => {
            "the log shows that one profile of a stack allowed it, and leaves out the profile \
             that refused"
        }
        "duplicate" => {
            "the log has one record like it; AppArmor leaves out the others as duplicates"
        }
        "quiet_rule" => {
            "the log has no record of it: a quiet rule of the policy (deny without audit, dontaudit)"
        }
        "quiet_rule_or_duplicate" => {
            "the log has no record of it: a quiet rule (deny without audit), or AppArmor logged \
             one like it before"
        }
        _ => return None,
    })
}

/// Major and minor number of a kernel's release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Stamp;

    fn denial(layer: &str, count: u64, logged: Option<u64>, seconds: u64) -> Denial {
        Denial {
            scope: crate::finding::Scope::Host,
            supervisor: None,
            role: None,
            container: None,
            comm: "x".to_owned(),
            layer: layer.to_owned(),
            audited: "yes".to_owned(),
            count,
            logged,
            first: Stamp(1),
            last: Stamp(1 + seconds * 1_000_000_000),
            ..crate::correlate::denial(
                &crate::observation::Row::default(),
                crate::correlate::Tally {
                    count,
                    first: Stamp(1),
                    last: Stamp(1),
                },
                crate::finding::Scope::Host,
                None,
                &crate::config::Rules::default(),
            )
        }
    }

    fn connected(kernel: &str) -> Grounds {
        Grounds {
            connected: true,
            duplicates_expire: version(kernel) >= Some((6, 14)),
            hooks: vec!["aa_capable".to_owned()],
            ..Grounds::default()
        }
    }

    #[test]
    fn each_reason_where_it_can_be_known() {
        let (old, new) = (connected("6.12.107-amd64"), connected("7.3.4+deb13"));
        let quiet = denial("apparmor", 9, Some(0), 3);
        assert_eq!(old.unlogged(&quiet, false), Some("quiet_rule_or_duplicate"));
        assert_eq!(new.unlogged(&quiet, false), Some("quiet_rule"));
        assert_eq!(new.unlogged(&quiet, true), Some("duplicate"));
        let at_once = denial("apparmor", 9, Some(0), 1);
        assert_eq!(
            new.unlogged(&at_once, false),
            Some("quiet_rule_or_duplicate")
        );
        let some = denial("apparmor", 9, Some(1), 0);
        assert_eq!(old.unlogged(&some, false), Some("duplicate"));
        assert_eq!(
            old.unlogged(&denial("apparmor", 9, Some(9), 0), false),
            None
        );
        assert_eq!(old.unlogged(&denial("commoncap", 9, None, 0), false), None);
        let dontaudit = denial("selinux", 2, Some(0), 0);
        assert_eq!(old.unlogged(&dontaudit, false), Some("quiet_rule"));
        let odd = denial("selinux", 2, Some(1), 0);
        assert_eq!(old.unlogged(&odd, false), Some("unknown"));
        let mut no_audit = denial("apparmor", 1, Some(0), 0);
        no_audit.audited = "no".to_owned();
        assert_eq!(old.unlogged(&no_audit, false), Some("no_audit"));
        assert_eq!(
            Grounds::default().unlogged(&some, false),
            Some("source_missing")
        );
        let lossy = Grounds {
            records_lost: 1,
            ..old
        };
        assert_eq!(lossy.unlogged(&some, false), Some("lost"));
    }

    #[test]
    fn a_record_without_an_event_has_a_reason_too() {
        let grounds = connected("6.12");
        assert_eq!(grounds.unseen("apparmor"), "unknown");
        assert_eq!(grounds.unseen("selinux"), "hook_missing");
        let lossy = Grounds {
            events_lost: 2,
            ..grounds
        };
        assert_eq!(lossy.unseen("apparmor"), "event_lost");
        assert_eq!(Grounds::default().unseen("apparmor"), "hook_missing");
    }
}
