//! What the ledger knows that the kernel does not, to be kept over a restart: the
//! counters, and how much of the kernel's counts is in them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    AuditSeries, DenialSeries, EpisodeSeries, Ledger, LsmSeries, RefusalSeries, SkippedSeries,
    limited::Counted,
};
use crate::{
    finding::{Audit, DenialCounts, EpisodeCounts, RuleCounts, RuleRefusal, Scope, Verdict},
    time::Stamp,
};

/// The counters of denials.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedDenials {
    pub(super) denials: Counted<DenialSeries>,
    pub(super) profiles: Counted<LsmSeries>,
    /// What each row of the kernel had counted by then, by its name.
    pub(super) counted: Vec<(u64, u64)>,
    /// What waits for the name of its profile.
    pub(super) waiting: Vec<(u64, u64)>,
    /// What the kernel counts no more.
    pub(super) folded: DenialCounts,
    pub(super) folded_by_lsm: u64,
    /// What a security module had refused by then, of what the kernel counts.
    pub(super) live_by_lsm: u64,
}

/// The last state of an episode that may be reported again.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedClosed {
    pub(super) id: String,
    pub(super) role: String,
    pub(super) verdict: Verdict,
    pub(super) calls: Option<[u32; 4]>,
}

/// The counters of episodes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedEpisodes {
    pub(super) closed: Counted<EpisodeSeries>,
    pub(super) drops: Vec<(String, String, u64)>,
    pub(super) skipped: Counted<SkippedSeries>,
    pub(super) last_failed: BTreeMap<String, Stamp>,
    pub(super) inferred: Vec<String>,
    pub(super) overflowed: u64,
    pub(super) counts: EpisodeCounts,
    pub(super) open: Vec<(String, EpisodeSeries)>,
    #[serde(rename = "told")]
    pub(super) remembered: Vec<SavedClosed>,
}

/// The counters of audit records.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedAudit {
    pub(super) denials: Counted<AuditSeries>,
    pub(super) tally: Audit,
}

/// What rules refused.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedRefusals {
    pub(super) series: Counted<RefusalSeries>,
    /// By scope, each alone.
    pub(super) counts: [RuleCounts; Scope::ALL.len()],
    pub(super) rows: Vec<RuleRefusal>,
}

/// What a source of audit records has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedSource {
    /// Records read.
    pub records: u64,
    /// Records known to be lost.
    pub lost: u64,
    /// What could not be parsed.
    pub malformed: u64,
}

/// All of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    pub(super) denials: SavedDenials,
    pub(super) episodes: SavedEpisodes,
    pub(super) audit: SavedAudit,
    pub(super) refusals: SavedRefusals,
    pub(super) supervisors_overflowed: u64,
    pub(super) losses: Vec<(String, String, u64)>,
    /// By the name of the source.
    pub(super) sources: BTreeMap<String, SavedSource>,
}

/// Whose counts the kernel shows now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// Those that were saved, and whatever came since.
    Same,
    /// Others, which began at nought.
    Other,
}

impl Ledger {
    /// What is to be kept over a restart.
    pub fn save(&self) -> Saved {
        let losses = self.losses();
        Saved {
            denials: self.denials.save(),
            episodes: self.episodes.save(),
            audit: self.audit.save(),
            refusals: self.refusals.save(),
            supervisors_overflowed: self.supervisors.overflowed(),
            losses: losses
                .map(|(stage, reason, count)| (stage.to_owned(), reason.to_owned(), count))
                .collect(),
            sources: self.save_sources(),
        }
    }

    fn save_sources(&self) -> BTreeMap<String, SavedSource> {
        let sources = self.sources.iter();
        let mut saved: BTreeMap<_, _> = sources
            .map(|source| {
                let counts = SavedSource {
                    records: source.records,
                    lost: source.lost,
                    malformed: source.malformed,
                };
                (source.name.clone(), counts)
            })
            .collect();
        // One that this agent does not listen to may be another's again.
        for (name, counts) in &self.source_bases {
            saved.entry(name.clone()).or_insert_with(|| counts.clone());
        }
        saved
    }

    /// Goes on from what was kept.
    pub fn restore(&mut self, saved: Saved, kernel: Kernel) {
        let Saved {
            denials,
            episodes,
            audit,
            refusals,
            supervisors_overflowed,
            losses,
            sources,
        } = saved;
        self.denials.restore(denials, kernel);
        self.episodes.restore(episodes, kernel);
        self.audit.restore(audit);
        self.refusals.restore(refusals);
        self.supervisors.restore_overflowed(supervisors_overflowed);
        for (stage, reason, count) in losses {
            if stage == "kernel" && kernel == Kernel::Other {
                let name = (stage.clone(), reason.clone());
                self.loss_bases.insert(name, count);
            }
            self.lose(&stage, &reason, count);
        }
        self.source_bases = sources;
    }
}
