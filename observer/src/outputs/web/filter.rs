//! What a query may ask for.

use serde::Deserialize;

use crate::finding::{Denial, Episode, RuleRefusal, Verdict};

/// Most rows of an answer.
const MOST: usize = 10_000;

/// The query of the lists under `/api/v1/`. `none` means no supervisor and
/// no layer, as in the metrics.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    supervisor: Option<String>,
    role: Option<String>,
    layer: Option<String>,
    verdict: Option<Verdict>,
    limit: Option<usize>,
}

impl Filter {
    /// Whether an episode is asked for.
    pub fn wants_episode(&self, episode: &Episode) -> bool {
        // By its own name, and as what no rule matches.
        let none = episode.inferred && self.supervisor.as_deref() == Some("none");
        let supervisor = episode.supervisor.as_deref().filter(|_| !none);
        agrees(self.supervisor.as_deref(), supervisor)
            && agrees(self.role.as_deref(), episode.role.as_deref())
            && agrees(self.layer.as_deref(), episode.layer.as_deref())
            && self
                .verdict
                .is_none_or(|verdict| verdict == episode.verdict)
    }

    /// Whether a row of denials is asked for.
    pub fn wants_denial(&self, denial: &Denial) -> bool {
        agrees(self.supervisor.as_deref(), denial.supervisor.as_deref())
            && agrees(self.role.as_deref(), denial.role.as_deref())
            && agrees(self.layer.as_deref(), Some(&denial.layer))
    }

    /// Whether a row of calls that a rule refused is asked for.
    pub fn wants_refusal(&self, refusal: &RuleRefusal) -> bool {
        agrees(self.supervisor.as_deref(), refusal.supervisor.as_deref())
            && agrees(self.role.as_deref(), refusal.role.as_deref())
    }

    /// Whether a live supervisor is asked for.
    pub fn wants_supervisor(&self, name: &str) -> bool {
        agrees(self.supervisor.as_deref(), Some(name))
    }

    /// Leaves the last rows, as many as asked for.
    pub fn last_of<T>(&self, mut rows: Vec<T>) -> Vec<T> {
        let limit = self.limit.unwrap_or(MOST).min(MOST);
        let surplus = rows.len().saturating_sub(limit);
        rows.drain(..surplus);
        rows
    }
}

fn agrees(wanted: Option<&str>, present: Option<&str>) -> bool {
    wanted.is_none_or(|wanted| wanted == present.unwrap_or("none"))
}
