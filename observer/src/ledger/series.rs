//! The labels of what is counted, and under which others it counts where there is no
//! room.

use std::hash::Hash;

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use super::{OTHER, OVERFLOW, limited::Series};
use crate::finding::Verdict;

/// Labels with a supervisor and its version: the version goes first, every other
/// label is kept.
pub trait OfVersion: Eq + Hash + Clone {
    /// The labels that give way: the supervisor's and its version's.
    fn labels(&mut self) -> (&mut String, &mut String);
}

impl<T: OfVersion> Series for T {
    fn coarse(&self) -> Self {
        let mut coarse = self.clone();
        OTHER.clone_into(coarse.labels().1);
        coarse
    }

    fn last_resort(&self) -> Self {
        let mut last = self.clone();
        let (supervisor, version) = last.labels();
        OVERFLOW.clone_into(supervisor);
        OVERFLOW.clone_into(version);
        last
    }
}

/// Labels of `capwatch_denials_total`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct DenialSeries {
    /// Name of the rule.
    pub supervisor: String,
    /// `supervisor`, `workload` or `none`.
    pub role: String,
    /// Capability.
    pub capability: String,
    /// Layer that refused.
    pub layer: &'static str,
    /// Whether an audit record was asked for.
    pub audited: &'static str,
    /// Whether a rule expects it.
    pub expected: bool,
}

impl Series for DenialSeries {
    fn coarse(&self) -> Self {
        Self {
            capability: OVERFLOW.to_owned(),
            ..self.clone()
        }
    }

    fn last_resort(&self) -> Self {
        Self {
            supervisor: OVERFLOW.to_owned(),
            capability: OVERFLOW.to_owned(),
            ..self.clone()
        }
    }
}

/// Labels of `capwatch_lsm_denials_total`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct LsmSeries {
    /// Name of the rule.
    pub supervisor: String,
    /// Layer that refused.
    pub layer: &'static str,
    /// Profile.
    pub profile: String,
    /// Capability.
    pub capability: String,
}

impl Series for LsmSeries {
    fn coarse(&self) -> Self {
        Self {
            profile: OVERFLOW.to_owned(),
            ..self.clone()
        }
    }

    fn last_resort(&self) -> Self {
        Self {
            supervisor: OVERFLOW.to_owned(),
            profile: OVERFLOW.to_owned(),
            capability: OVERFLOW.to_owned(),
            layer: self.layer,
        }
    }
}

/// Labels of `capwatch_bounding_drop_episodes_total`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EpisodeSeries {
    /// Name of the rule.
    pub supervisor: String,
    /// `supervisor`, `workload` or `none`.
    pub role: String,
    /// Version of the supervisor.
    pub version: String,
    /// Verdict.
    pub verdict: Verdict,
    /// Layer that refused, or `none`.
    pub layer: String,
}

impl OfVersion for EpisodeSeries {
    fn labels(&mut self) -> (&mut String, &mut String) {
        (&mut self.supervisor, &mut self.version)
    }
}

/// Labels of `capwatch_bounding_drops_total`: the supervisor, and the result.
pub type DropSeries = (String, &'static str);

impl Series for DropSeries {
    fn coarse(&self) -> Self {
        self.last_resort()
    }

    fn last_resort(&self) -> Self {
        (OVERFLOW.to_owned(), self.1)
    }
}

/// Labels of `capwatch_bounding_drops_skipped_total`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SkippedSeries {
    /// Name of the rule.
    pub supervisor: String,
    /// `supervisor`, `workload` or `none`.
    pub role: String,
    /// Version of the supervisor.
    pub version: String,
}

impl OfVersion for SkippedSeries {
    fn labels(&mut self) -> (&mut String, &mut String) {
        (&mut self.supervisor, &mut self.version)
    }
}

/// Labels of `capwatch_audit_denials_total`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AuditSeries {
    /// `apparmor`, `selinux`, `seccomp`.
    pub lsm: String,
    /// Profile or domain.
    pub profile: String,
    /// Capability.
    pub capability: String,
    /// Name of the rule.
    pub supervisor: String,
}

impl Series for AuditSeries {
    fn coarse(&self) -> Self {
        Self {
            profile: OVERFLOW.to_owned(),
            ..self.clone()
        }
    }

    fn last_resort(&self) -> Self {
        Self {
            lsm: self.lsm.clone(),
            profile: OVERFLOW.to_owned(),
            capability: OVERFLOW.to_owned(),
            supervisor: OVERFLOW.to_owned(),
        }
    }
}

/// Labels of `capwatch_rule_refusals_total`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefusalSeries {
    /// Name of the rule.
    pub supervisor: String,
    /// `supervisor`, `workload` or `none`.
    pub role: String,
    /// The call.
    pub call: String,
    /// The rule that refused it.
    pub rule: String,
}

impl Series for RefusalSeries {
    fn coarse(&self) -> Self {
        Self {
            supervisor: OVERFLOW.to_owned(),
            ..self.clone()
        }
    }

    fn last_resort(&self) -> Self {
        Self {
            supervisor: OVERFLOW.to_owned(),
            role: OVERFLOW.to_owned(),
            call: OVERFLOW.to_owned(),
            rule: OVERFLOW.to_owned(),
        }
    }
}

/// [`DenialSeries`] as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DenialLabels {
    supervisor: String,
    role: String,
    capability: String,
    layer: String,
    audited: String,
    expected: bool,
}

impl TryFrom<DenialLabels> for DenialSeries {
    type Error = &'static str;

    fn try_from(labels: DenialLabels) -> Result<Self, Self::Error> {
        Ok(Self {
            supervisor: labels.supervisor,
            role: labels.role,
            capability: labels.capability,
            layer: word(&labels.layer)?,
            audited: word(&labels.audited)?,
            expected: labels.expected,
        })
    }
}

/// [`LsmSeries`] as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LsmLabels {
    supervisor: String,
    layer: String,
    profile: String,
    capability: String,
}

impl TryFrom<LsmLabels> for LsmSeries {
    type Error = &'static str;

    fn try_from(labels: LsmLabels) -> Result<Self, Self::Error> {
        Ok(Self {
            supervisor: labels.supervisor,
            layer: word(&labels.layer)?,
            profile: labels.profile,
            capability: labels.capability,
        })
    }
}

// Derived, these would want what they are read from to live for ever.
impl<'de> Deserialize<'de> for DenialSeries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let labels = DenialLabels::deserialize(deserializer)?;
        labels.try_into().map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for LsmSeries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let labels = LsmLabels::deserialize(deserializer)?;
        labels.try_into().map_err(D::Error::custom)
    }
}

/// A word that series are distinguished by.
fn word(word: &str) -> Result<&'static str, &'static str> {
    use crate::words::{Audited, Layer};

    let layers = Layer::ALL.iter().map(|layer| layer.as_str());
    let audited = Audited::ALL.iter().map(|audited| audited.as_str());
    let known = layers.chain(audited).find(|known| *known == word);
    known.ok_or("a label has a word that none has")
}
