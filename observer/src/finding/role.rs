//! Whose findings are asked for.

use clap::ValueEnum;

/// Whose findings count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RoleFilter {
    /// A supervisor's own
    Supervisor,
    /// A workload's
    Workload,
}
