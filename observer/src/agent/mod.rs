//! The wiring of the rooms: sources to correlate to ledger to outputs. Every
//! command is this agent with other outputs.

mod breaches;
mod events;
mod held;
mod logged;
mod look;
mod options;
mod posture;
mod pump;
mod records;
mod resume;
mod storms;
mod workloads;

use held::Item;
pub use held::{PATIENT, PROMPT};
pub use options::{Options, ReloadError};
use resume::{Resumed, shared_state};
use workloads::Workloads;

use std::{collections::HashMap, sync::Arc, time::Duration};

use crate::{
    config::Rules,
    correlate::{Calls, Correlator, Finding},
    finding::{EventKind, HookReport, Host},
    ledger::Ledger,
    memory,
    observation::{ProcessChange, ProcessEvent},
    open,
    privileges::silently_missing,
    sources::{
        adopt::{self, Adopted},
        audit::Live,
        bpf::{Kernel, KernelError, KernelEvent, RingReader, active_lsms},
        proc,
    },
    state::{Shared, kept::Entry},
    time::{Clock, monotonic},
    who::{Desk, Who},
    words::NAME_LEN,
};

/// The agent.
pub struct Agent {
    shared: Arc<Shared>,
    correlator: Correlator,
    reader: Option<RingReader>,
    log: Live,
    /// Drops that it alone reports.
    calls: Calls,
    clock: Clock,
    /// Open episodes that were reported, by id, with the time of their last drop and
    /// whether that was final.
    reported: HashMap<u64, (u64, bool)>,
    /// Workloads that run on with what was refused.
    workloads: Workloads,
    details: breaches::Details,
    rules: Arc<Rules>,
    /// Ticks since the stream's last checkpoint.
    unchecked: u32,
    /// Ticks since the last slow look.
    slow: u32,
    who: Arc<Who>,
    /// Where look-ups are handed in, and what waits for them.
    desk: Desk,
    held: held::Queue,
    /// When the youngest state was reported, monotonic.
    reported_until: u64,
    patience: Duration,
    resumed: Resumed,
    boot: String,
    /// When it began, monotonic.
    began: u64,
}

impl Agent {
    /// Attaches what this host can have. A host with no usable hook gives an
    /// agent that says so. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the rings can't be polled, or an audit source that is named can't be read.
    pub fn open(options: Options) -> std::io::Result<Self> {
        let Options {
            attach,
            rules,
            audit,
            audit_socket,
            series,
            patience,
            pins,
            state,
            joined,
        } = options;
        let rules = match &pins {
            Some(pins) => Arc::new(pins.number(&rules)),
            None => rules,
        };
        // A mistake of the operator comes out before the hooks are attached.
        let log = Live::open(&audit, audit_socket).map_err(std::io::Error::other)?;
        let mut ledger = Ledger::new(Arc::clone(&rules), host(), series);
        // Later the sandbox gives some of them up.
        ledger.privileges_missing = silently_missing(proc::effective_capabilities());
        let opened = match joined {
            Some(kernel) => Ok((kernel, None)),
            None => {
                Kernel::open(&attach, &rules, pins).map(|(kernel, rings)| (kernel, Some(rings)))
            }
        };
        let (kernel, reader) = match opened {
            Ok((kernel, rings)) => (Some(kernel), rings.map(RingReader::new).transpose()?),
            // What others may be counting in is no fault of the host's.
            Err(error @ KernelError::Pins(_)) => return Err(std::io::Error::other(error)),
            Err(error) => {
                tracing::error!("{error}");
                ledger.hooks = vec![missing(&error)];
                (None, None)
            }
        };
        memory::give_back();
        if let Some(kernel) = &kernel {
            kernel.watch();
            ledger.hooks = kernel.hooks().to_vec();
        }
        let boot = ledger.host.boot_id.clone();
        let (state, left) = shared_state(state);
        let shared = Shared::new(ledger, kernel, state);
        let (resumed, reported) = resume::restore(&shared, left);
        let names = Arc::clone(shared.names());
        let scopes = Arc::clone(shared.scopes());
        let made = |kernel: &Kernel| Arc::clone(kernel.made_cgroups());
        let made = shared.kernel().as_ref().map(made);
        let who = Arc::new(Who::new(Arc::clone(&rules), names, scopes, made));
        let desk = Desk::open(Arc::clone(&who))?;
        let reported = reported.into_iter();
        let mut agent = Self {
            reported: reported
                .map(|(id, last, is_final)| (id, (last, is_final)))
                .collect(),
            resumed,
            boot,
            began: monotonic(),
            shared: Arc::new(shared),
            correlator: Correlator::new(Arc::clone(&rules)),
            reader,
            log,
            calls: Calls::default(),
            clock: Clock::sample(),
            workloads: Workloads::default(),
            details: breaches::Details::default(),
            who,
            desk,
            held: held::Queue::default(),
            reported_until: 0,
            patience,
            rules,
            unchecked: 0,
            slow: 0,
        };
        agent.keep_states();
        agent.note_sources();
        agent.note_calls();
        storms::follow(&agent.shared)?;
        Ok(agent)
    }

    /// Writes down what the kernel reports before the ring forgets it. What an
    /// agent before wrote down last may be in the ring still.
    fn keep_states(&mut self) {
        let (Some(state), Some(reader)) = (self.shared.state(), &mut self.reader) else {
            return;
        };
        let state = Arc::clone(state);
        reader.keep(Box::new(move |bytes| state.note(&Entry::state(bytes))));
        if let Some(last) = self.resumed.last.take() {
            reader.skip(&last);
        }
    }

    /// What outputs need.
    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Goes by other rules from now on; processes that run keep what they were
    /// recognised as.
    ///
    /// # Errors
    /// When these can't take the place of the former ones, or the kernel refuses one.
    pub fn reload(&mut self, rules: Rules) -> Result<(), ReloadError> {
        if !rules.can_replace(&self.rules) {
            return Err(ReloadError::Labels);
        }
        // What is under way knows a rule by its number.
        let rules = Arc::new(rules.numbered(&self.rules.names()));
        if let Some(kernel) = self.shared.kernel_mut().as_mut() {
            kernel.set_rules(&rules)?;
        }
        self.correlator.set_rules(Arc::clone(&rules));
        self.who.set_rules(Arc::clone(&rules));
        self.shared.ledger().denials.set_rules(Arc::clone(&rules));
        self.rules = rules;
        Ok(())
    }

    /// How many entries each bounded table has, in the kernel and here.
    pub fn sizes(&self) -> Vec<(&'static str, usize)> {
        let kernel = self.shared.kernel();
        let mut sizes = kernel.as_ref().map_or_else(Vec::new, Kernel::sizes);
        sizes.extend(self.who.sizes());
        sizes.push(("workloads", self.workloads.len()));
        sizes
    }

    /// Whether any hook is attached.
    pub fn sees(&self) -> bool {
        self.shared.ledger().hooks.iter().any(|hook| hook.attached)
    }

    /// Enters the trees of supervisors that run already.
    pub fn adopt(&mut self) {
        let adopted = {
            let mut kernel = self.shared.kernel_mut();
            let Some(kernel) = kernel.as_mut() else {
                return;
            };
            adopt::adopt(kernel, &self.rules)
        };
        let adopted = match adopted {
            Ok(adopted) => adopted,
            Err(error) => {
                tracing::error!(
                    "some processes that were running already have no supervisor: {error}"
                );
                return;
            }
        };
        self.held.is_starting = true;
        for Adopted {
            process,
            task,
            above,
        } in adopted
        {
            let exe = process.exe.map(|name| {
                let length = name.len().min(NAME_LEN - 1);
                String::from_utf8_lossy(&name[..length]).into_owned()
            });
            let event = ProcessEvent {
                change: ProcessChange::Started,
                time: monotonic(),
                owner: task.owner,
                cgroup: self.who.cgroup_id(process.pid),
                ppid: process.ppid,
                uid: proc::status(process.pid).map_or(0, |status| status.uid),
                above,
                exe,
                exe_uid: proc::owner_of_exe(process.pid),
            };
            self.hold(Item::Event(KernelEvent::Process(Box::new(event))));
        }
        self.find_residual();
        self.release_started();
    }

    fn settle(&mut self, findings: Vec<Finding>) {
        for finding in findings {
            self.note(&finding);
            self.settle_noted(finding);
        }
    }

    /// Writes down what the kernel does not count, before it is counted here.
    fn note(&self, finding: &Finding) {
        let Some(state) = self.shared.state() else {
            return;
        };
        let Finding { event, scope, .. } = finding;
        match &event.kind {
            EventKind::Episode(_) => state.note(&Entry::Episode(Box::new(event.clone()), *scope)),
            EventKind::Audit(record) => {
                let record = Box::new(record.clone());
                state.note(&Entry::Audit(record, event.time, *scope));
            }
            _ => {}
        }
    }

    fn settle_noted(&mut self, finding: Finding) {
        self.shared.ledger().enter(&finding);
        self.follow_workload(&finding);
        if !self.was_reported(&finding) {
            self.shared.publish(finding);
        }
    }
}

fn missing(error: &KernelError) -> HookReport {
    HookReport {
        hook: "security_capable".to_owned(),
        mechanism: None,
        attached: false,
        needed: true,
        reason: Some(error.to_string()),
    }
}

/// The host as a report names it.
pub fn host() -> Host {
    let read = |path: &str| {
        open::text(path)
            .map(|text| text.trim().to_owned())
            .unwrap_or_default()
    };
    Host {
        kernel: read("/proc/sys/kernel/osrelease"),
        lsm: active_lsms(),
        boot_id: read("/proc/sys/kernel/random/boot_id"),
    }
}
