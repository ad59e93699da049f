//! What a trial reports, from the results of its own calls, and what follows.

use serde::{Deserialize, Serialize};

use crate::{
    caps::{self, CapSet},
    finding::Verdict,
};

/// A trial's account, reported by the process that made the drops.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Whether SETPCAP was in its effective set.
    pub setpcap: bool,
    /// Bounding set before the first drop.
    pub before: u64,
    /// Bounding set after the last one.
    pub after: u64,
    /// Calls.
    pub drops: u32,
    /// Bits refused while raised.
    pub refused: u64,
    /// The first of them.
    pub first_refused: Option<u32>,
    /// Calls refused while the bit was raised.
    pub refused_raised: u32,
    /// Calls refused while the bit was lowered already.
    pub refused_lowered: u32,
    /// Calls for a number that the kernel knows no capability of.
    pub unknown_capability: u32,
    /// `AppArmor`'s or `SELinux`' word for its confinement; none where neither is asked.
    pub label: Option<String>,
    /// Whether a seccomp filter is on.
    pub seccomp: bool,
    /// Whether it stopped before exec.
    pub gave_up: bool,
}

impl Attempt {
    /// What is refused and still raised.
    pub const fn residual(&self) -> CapSet {
        CapSet(self.refused & self.after)
    }

    /// What it came to, by the words of an episode; none where no call was made.
    pub fn verdict(&self) -> Option<Verdict> {
        if self.drops == 0 {
            return None;
        }
        Some(match (self.residual().is_empty(), self.gave_up) {
            (false, true) => Verdict::Fatal,
            (false, false) => Verdict::Degraded,
            (true, _) if self.refused_raised == 0 && self.refused_lowered > 0 => Verdict::Harmless,
            (true, _) => Verdict::Ok,
        })
    }

    /// Who refused, as far as a process can know by itself: commoncap asks for
    /// SETPCAP first; where it is held, the other layer that confines the process.
    pub fn layer(&self) -> Option<&'static str> {
        if self.refused_raised + self.refused_lowered == 0 {
            return None;
        }
        Some(match &self.label {
            _ if !self.setpcap => "commoncap",
            Some(label) if label.contains(':') => "selinux",
            Some(_) => "apparmor",
            None if self.seccomp => "seccomp",
            None => "lsm",
        })
    }

    /// The profile, where `AppArmor` refused; without its mode.
    pub fn profile(&self) -> Option<&str> {
        let label = self.label.as_deref()?;
        (self.layer() == Some("apparmor")).then(|| bare(label))
    }

    /// One sentence for a person.
    pub fn sentence(&self) -> String {
        if self.drops == 0 {
            return "made no call, because SETPCAP is not in its effective set: the workload's \
                    bounding set is unchanged"
                .to_owned();
        }
        let Some(first) = self.first_refused else {
            return match self.verdict() {
                Some(Verdict::Harmless) => {
                    "only capabilities already absent from the set were refused".to_owned()
                }
                _ => "every drop was granted".to_owned(),
            };
        };
        let why = match (self.layer(), self.profile()) {
            (Some("commoncap"), _) => {
                "the kernel (commoncap) refused because CAP_SETPCAP is not in its \
                                       effective set, so there is no audit record"
                    .to_owned()
            }
            (Some("apparmor"), Some(profile)) => format!("AppArmor's profile {profile} refused"),
            (layer, _) => format!("{} refused", layer.unwrap_or("lsm")),
        };
        let end = if self.gave_up {
            "it stopped before exec"
        } else {
            "the workload runs with capabilities that should be gone"
        };
        format!("could not drop {}: {why}; {end}", caps::name(first))
    }
}

/// `NAME (enforce)` without its mode.
fn bare(label: &str) -> &str {
    label.rsplit_once(" (").map_or(label, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(setpcap: bool, label: Option<&str>) -> Attempt {
        Attempt {
            setpcap,
            before: 1,
            after: 1,
            drops: 1,
            refused: 1,
            first_refused: Some(0),
            refused_raised: 1,
            label: label.map(str::to_owned),
            gave_up: true,
            ..Attempt::default()
        }
    }

    #[test]
    fn commoncap_is_asked_first() {
        let attempt = refused(false, Some("a profile (enforce)"));
        assert_eq!(attempt.layer(), Some("commoncap"));
        assert_eq!(attempt.profile(), None);
        assert_eq!(attempt.verdict(), Some(Verdict::Fatal));
    }

    #[test]
    fn who_confines_a_process_that_has_setpcap_refused_it() {
        let attempt = refused(true, Some("a profile (enforce)"));
        assert_eq!(attempt.layer(), Some("apparmor"));
        assert_eq!(attempt.profile(), Some("a profile"));
        assert_eq!(refused(true, Some("u:r:t:s0")).layer(), Some("selinux"));
        assert_eq!(refused(true, None).layer(), Some("lsm"));
    }

    #[test]
    fn verdicts_are_an_episodes() {
        let mut attempt = refused(false, None);
        attempt.gave_up = false;
        assert_eq!(attempt.verdict(), Some(Verdict::Degraded));
        attempt.after = 0;
        assert_eq!(attempt.verdict(), Some(Verdict::Ok), "retried");
        (attempt.refused_raised, attempt.refused_lowered) = (0, 3);
        assert_eq!(attempt.verdict(), Some(Verdict::Harmless));
        assert_eq!(Attempt::default().verdict(), None);
    }
}
