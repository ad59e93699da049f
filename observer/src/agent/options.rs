//! What an agent is to watch, and how.

use std::{os::fd::OwnedFd, sync::Arc, time::Duration};

use super::held::PROMPT;
use crate::{
    config::Rules,
    sources::{
        audit::AuditSource,
        bpf::{Attach, Kernel, KernelError, Pins},
    },
    state::kept::{Left, State},
};

/// What an agent watches.
pub struct Options {
    /// How to attach.
    pub attach: Attach,
    /// The rules for supervisors.
    pub rules: Arc<Rules>,
    /// The sources of audit records to listen to; none for the best one.
    pub audit: Vec<AuditSource>,
    /// A socket of the audit multicast group that systemd passed.
    pub audit_socket: Option<OwnedFd>,
    /// Series of each metric.
    pub series: usize,
    /// How long an event may wait for its names: [`PROMPT`] or [`PATIENT`].
    pub patience: Duration,
    /// Where what the kernel keeps outlives the agent; none where nothing does.
    pub pins: Option<Pins>,
    /// Where counters outlive the agent, and what one before left there.
    pub state: Option<(State, Left)>,
    /// The programs of an agent that runs, to be looked through.
    pub joined: Option<Kernel>,
}

impl Options {
    /// With the best source of audit records, and nothing that outlives the agent.
    pub const fn new(attach: Attach, rules: Arc<Rules>) -> Self {
        Self {
            attach,
            rules,
            audit: Vec::new(),
            audit_socket: None,
            series: usize::MAX,
            patience: PROMPT,
            pins: None,
            state: None,
            joined: None,
        }
    }
}

/// Why rules can't be exchanged while the agent runs.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// They are labels of a metric.
    #[error("container.labels changed: restart capwatch to apply it")]
    Labels,
    /// The kernel side did not take them.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}
