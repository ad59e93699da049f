//! What a report of a command says of its scope.

use serde::{Deserialize, Serialize};

use super::{Container, Counts, Scope};

/// What a report of a command says of its scope.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scoped {
    /// What was asked for: counts, lists and `--fail-on` are of this.
    pub chosen: Scope,
    /// Counts of the command's tree alone.
    pub tree: Counts,
    /// Counts of what was made beside it alone; none where that was not asked for.
    pub beside: Option<Counts>,
    /// Counts of all others on the host alone; none where that was not asked for.
    pub host: Option<Counts>,
    /// Containers, machines and units beside it that something is known of.
    pub made: Vec<Made>,
    /// How many more there were, where there are too many to list.
    pub made_unlisted: u64,
    /// The rest of it.
    #[serde(flatten)]
    pub course: Course,
}

/// What counts don't show of a command's scope.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Course {
    /// Why it can't be known what was made beside the command; none where it can.
    pub beside_unknown: Option<String>,
    /// Programs of the tree that have a daemon do the work.
    pub clients: Vec<String>,
    /// Processes of the tree that still ran when the recording ended.
    pub running: Vec<Running>,
    /// How many more of them there were.
    pub running_unlisted: u64,
}

/// A container, a machine or a unit that was made while the command ran.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Made {
    /// `podman`, …; `systemd` for a unit; `unknown` for one that was gone before it
    /// could be named.
    pub runtime: String,
    /// Its id, or the unit's name; empty where it is not known.
    pub id: String,
    /// Its name, where state on disk has it.
    pub name: Option<String>,
}

impl Made {
    /// A container or unit; none where it was gone before it could be named.
    pub fn new(container: Option<&Container>) -> Self {
        container.map_or_else(
            || Self {
                runtime: "unknown".to_owned(),
                ..Self::default()
            },
            |container| Self {
                runtime: container.runtime.clone(),
                id: container.id.clone(),
                name: container.name.clone(),
            },
        )
    }
}

/// A process that still runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Process id.
    pub pid: u32,
    /// Name of its main thread.
    pub comm: String,
}
