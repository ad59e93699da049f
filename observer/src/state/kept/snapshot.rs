//! A snapshot: everything that user space alone knows at one moment.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{ledger::Saved, observation::identity, sources::bpf, state::Latency, time::Stamp};

/// Its schema.
const SCHEMA: &str = "capwatch.state/1";

/// Runs of the programs by name: how many, nanoseconds, and how many were skipped.
pub type Programs = BTreeMap<String, (u64, u64, u64)>;

/// A snapshot.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    schema: String,
    /// The version of capwatch that wrote it.
    pub version: String,
    /// It counts within this boot alone.
    pub boot_id: String,
    /// The number of its journal.
    pub number: u64,
    /// When it was taken.
    pub time: Stamp,
    /// Which of the kernel's counts are in it.
    pub instance: u64,
    /// How the kernel's events and the names of rows are made.
    layout: (u64, u64),
    /// The ledger.
    pub ledger: Saved,
    /// Open episodes that were reported: id, time of the last drop, whether finally.
    #[serde(rename = "told")]
    pub reported: Vec<(u64, u64, bool)>,
    /// How long findings took.
    pub latency: Latency,
    /// Runs of the programs.
    pub programs: Programs,
    /// What the kernel side noted of itself.
    pub notes: Vec<u64>,
    /// How much of each of the kernel's keys of refusals by a rule is in the ledger.
    pub breaches: Vec<(u64, u64)>,
}

/// What the kernel had counted when a snapshot was taken.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Runs of the programs.
    pub programs: Programs,
    /// What the kernel side noted of itself.
    pub notes: Vec<u64>,
    /// Refusals by a rule.
    pub breaches: Vec<(u64, u64)>,
}

impl Snapshot {
    /// One of now.
    pub fn new(
        boot_id: &str,
        instance: u64,
        ledger: Saved,
        reported: Vec<(u64, u64, bool)>,
        latency: Latency,
        counts: Counts,
    ) -> Self {
        let Counts {
            programs,
            notes,
            breaches,
        } = counts;
        Self {
            schema: SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            boot_id: boot_id.to_owned(),
            number: 0,
            time: Stamp::now(),
            instance,
            layout: layout(),
            ledger,
            reported,
            latency,
            programs,
            notes,
            breaches,
        }
    }

    /// Reads one.
    ///
    /// # Errors
    /// Why it is none that this version can go on from.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Head {
            schema: String,
        }
        let head: Head = serde_json::from_slice(bytes)
            .map_err(|error| format!("it is not a state file: {error}"))?;
        if head.schema != SCHEMA {
            let schema: String = head.schema.chars().take(64).collect();
            return Err(format!(
                "it is {schema:?}, and this version reads {SCHEMA:?}"
            ));
        }
        serde_json::from_slice(bytes)
            .map_err(|error| format!("the state file is incomplete: {error}"))
    }

    /// Whether its journal's events, and its rows, are named as this version does.
    pub fn fits(&self) -> bool {
        self.layout == layout()
    }
}

fn layout() -> (u64, u64) {
    (identity(&bpf::layout()), identity(&SCHEMA))
}
