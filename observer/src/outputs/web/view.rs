//! What the server shows: the side that the agent implements.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::finding::{
    Container, Episode, Event, HookReport, Host, Report, SourceReport, Verdict, Workload,
};
use crate::ledger::NONE;
use crate::sandbox;
use crate::sight::Sight;
use crate::sources::bpf::Away;
use crate::time::Stamp;

/// Schema of `/api/v1/status`.
pub const STATUS_SCHEMA: &str = "capwatch.status/1";

/// This host's name.
pub fn node() -> String {
    let host = rustix::system::uname();
    host.nodename().to_string_lossy().into_owned()
}

/// What is known now. Each call answers from memory and soon; the server calls
/// it once or a few times a request.
pub trait View: Send + Sync + 'static {
    /// Everything known now, as `capwatch record` would report it.
    fn report(&self) -> Report;

    /// Episodes in their last state with the time of it, oldest first; a
    /// bounded number, the worst and the newest.
    fn episodes(&self) -> Vec<TimedEpisode>;

    /// How many episodes there are of each kind, whatever is kept of them.
    fn tallies(&self) -> Vec<Tally> {
        self.episodes()
            .iter()
            .map(|timed| Tally::of(&timed.episode))
            .collect()
    }

    /// Supervisors that live now.
    fn supervisors(&self) -> Vec<Supervisor>;

    /// Live workloads whose bounding set is not what it should be.
    fn workloads(&self) -> Vec<Workload> {
        Vec::new()
    }

    /// The state of the agent itself.
    fn status(&self) -> Status;

    /// The metrics in Prometheus's text format, version 0.0.4.
    ///
    /// # Errors
    /// A sentence for the log of the one who scrapes.
    fn metrics(&self) -> Result<String, String>;

    /// Everything that happens from now on.
    fn subscribe(&self) -> broadcast::Receiver<Arc<Event>>;
}

/// An episode and when its state was reported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimedEpisode {
    /// When the state was reported: the end of the episode, or the last look at a
    /// pending one.
    pub time: Stamp,
    /// The episode.
    #[serde(flatten)]
    pub episode: Episode,
}

/// How many episodes are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Name of the supervisor; `none` where there is none.
    pub supervisor: String,
    /// Whether no rule names it.
    pub inferred: bool,
    /// Whether they are of its workloads.
    pub of_workload: bool,
    /// Version of the supervisor; `other` beyond a bound.
    pub version: Option<String>,
    /// Their verdict.
    pub verdict: Verdict,
    /// How many.
    pub count: u64,
}

impl Tally {
    /// One episode's.
    pub fn of(episode: &Episode) -> Self {
        Self {
            supervisor: episode
                .supervisor
                .clone()
                .unwrap_or_else(|| NONE.to_owned()),
            inferred: episode.inferred,
            of_workload: episode.role.as_deref() == Some("workload"),
            version: episode.version.clone(),
            verdict: episode.verdict,
            count: 1,
        }
    }
}

/// A supervisor that lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Supervisor {
    /// Name of its rule.
    pub supervisor: String,
    /// Process id.
    pub pid: u32,
    /// Basename of its executable.
    pub exe: Option<String>,
    /// Image tag or digest, else a digest of the executable.
    pub version: Option<String>,
    /// Its container.
    pub container: Option<Arc<Container>>,
    /// When it was first seen.
    pub since: Stamp,
}

/// The state of the agent itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// [`STATUS_SCHEMA`]
    pub schema: String,
    /// Version of capwatch.
    pub version: String,
    /// Whether every hook and source has been tried.
    pub ready: bool,
    /// Why it is not ready.
    pub reason: Option<String>,
    /// The present, on the agent's clock.
    pub now: Stamp,
    /// When the agent started.
    pub started: Stamp,
    /// The host's name.
    #[serde(default)]
    pub node: String,
    /// The host.
    pub host: Host,
    /// Every hook that was asked for.
    pub hooks: Vec<HookReport>,
    /// Every source of audit records.
    pub sources: Vec<SourceReport>,
    /// What was lost, by reason; `events` is the sum.
    pub lost: BTreeMap<String, u64>,
    /// Whether anything is missed now, and what was.
    #[serde(default)]
    pub sight: Sight,
    /// What outlives the agent; none where nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pins: Option<PinsStatus>,
    /// What the agent dropped once it was attached.
    #[serde(default)]
    pub sandbox: sandbox::Report,
}

/// What outlives the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinsStatus {
    /// Where it is pinned.
    pub folder: String,
    /// The version that attached it.
    pub version: String,
    /// Since when it is attached.
    pub since: Stamp,
    /// Programs that this kernel can't pin, which end with the agent.
    pub unpinned: Vec<String>,
    /// How long nobody listened before this agent; null where none ran before.
    pub away: Option<Away>,
}
