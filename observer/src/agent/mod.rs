//! The wiring of the rooms: sources to correlate to ledger to outputs. Every
//! command is this agent with other outputs.

mod breaches;
mod held;
mod logged;
mod look;
mod posture;
mod resume;
mod storms;
mod workloads;

use held::Item;
pub use held::{PATIENT, PROMPT};
use resume::{Resumed, shared_state};
use workloads::Workloads;

use std::{
    collections::HashMap,
    os::fd::OwnedFd,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    config::Rules,
    correlate::{self, Calls, Correlator, Finding},
    finding::{Container, EventKind, HookReport, Host, Scope},
    ledger::Ledger,
    memory,
    observation::{
        AuditSeen, DenialSeen, Episode, EpisodeEnd, EpisodeSeen, Observation, Owner, ProcessChange,
        ProcessEvent, ProcessSeen, WorkloadEvent, WorkloadSeen,
    },
    open,
    privileges::silently_missing,
    sources::{
        adopt::{self, Adopted},
        audit::{AuditSource, Live, SourceEvent},
        bpf::{Attach, Kernel, KernelError, Pins, RingReader, Told, active_lsms},
        proc,
    },
    state::{
        Shared,
        kept::{Entry, Left, State},
    },
    time::{Clock, Stamp, monotonic},
    who::{Desk, Identity, Who},
    words::NAME_LEN,
};

/// Records that are taken before the rings get their turn again.
const HEARD_AT_ONCE: usize = 256;
/// How long the end may take to handle what lies in the rings.
const CATCH_UP: Duration = Duration::from_millis(250);
/// How often open episodes and losses are looked at.
const TICK: Duration = Duration::from_millis(500);

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
    #[error("container.labels changed, which takes a restart of capwatch")]
    Labels,
    /// The kernel side did not take them.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

/// The agent.
pub struct Agent {
    shared: Arc<Shared>,
    correlator: Correlator,
    reader: Option<RingReader>,
    log: Live,
    /// Drops that it alone tells of.
    calls: Calls,
    clock: Clock,
    /// Open episodes that were told, by id, with the time of their last drop and
    /// whether that was final.
    told: HashMap<u64, (u64, bool)>,
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
    /// When the youngest state was told, monotonic.
    told_until: u64,
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
        let (resumed, told) = resume::restore(&shared, left);
        let names = Arc::clone(shared.names());
        let scopes = Arc::clone(shared.scopes());
        let who = Arc::new(Who::new(Arc::clone(&rules), names, scopes));
        let desk = Desk::open(Arc::clone(&who))?;
        let told = told.into_iter();
        let mut agent = Self {
            told: told
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
            told_until: 0,
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

    /// Has what the kernel tells be written down before the ring forgets it. What an
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
                tracing::error!("processes that ran before are not all attributed: {error}");
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
            self.hold(Item::Told(Told::Process(Box::new(event))));
        }
        self.find_residual();
        self.release_started();
    }

    /// Handles what comes, for ever; a future that may be dropped at any time.
    ///
    /// # Errors
    /// When the rings can't be polled.
    pub async fn pump(&mut self) -> std::io::Result<()> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut told = Vec::new();
        loop {
            let reader = self.reader.as_mut();
            let ring = async {
                match reader {
                    Some(reader) => reader.next(|event| told.push(event)).await,
                    None => std::future::pending().await,
                }
            };
            // Whose turn it is is drawn by lot: a ring or a log that a storm keeps
            // full must not starve the others.
            let (bell, until) = (self.desk.bell(), self.held.until());
            let looked_up = async {
                match until {
                    Some(until) => {
                        let _ = tokio::time::timeout_at(until.into(), bell.notified()).await;
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                result = ring => result?,
                () = looked_up => {}
                event = self.log.next() => {
                    self.hear(event);
                    self.hear_more();
                }
                _ = tick.tick() => self.tick(),
            }
            for event in told.drain(..) {
                self.hold(Item::Told(event));
            }
            self.release_ready();
            // Signals and whatever else waits beside this get theirs too.
            tokio::task::yield_now().await;
        }
    }

    /// Handles what lies in the rings now; under a storm, what can be in a moment.
    /// Returns whether that was all.
    pub fn catch_up(&mut self) -> bool {
        let until = Instant::now() + CATCH_UP;
        let mut told = Vec::new();
        while Instant::now() < until {
            let reader = self.reader.as_mut();
            let more = reader.is_some_and(|reader| reader.rest(|event| told.push(event)));
            for event in told.drain(..) {
                self.hold(Item::Told(event));
            }
            self.release_all();
            let heard = self.log.rest();
            let heard = heard.map(|event| self.hear(event)).is_some();
            self.hear_more();
            if !more && !heard {
                return true;
            }
        }
        false
    }

    /// Whether everything is read that the rings had at this time, monotonic: they
    /// are read in order. Others may go on to fill them for ever.
    pub const fn has_read_until(&self, time: u64) -> bool {
        self.told_until > time
    }

    /// What comes no more: records that no event was seen for.
    pub fn finish(&mut self) {
        self.release_all();
        self.count_breaches(true);
        // What the log told last has no more to wait for.
        self.settle_calls(Stamp(Stamp::now().0.saturating_add(correlate::SETTLE_NS)));
        let findings = self.correlator.finish();
        self.settle(findings);
    }

    /// Whether something younger than so many nanoseconds waits to be joined.
    pub fn waits(&self, younger: u64) -> bool {
        !self.held.is_empty() || self.correlator.waits(Stamp::now(), younger)
    }

    /// Handles what else has come by now, up to a batch.
    fn hear_more(&mut self) {
        for _ in 0..HEARD_AT_ONCE {
            let Some(event) = self.log.rest() else {
                return;
            };
            self.hear(event);
        }
    }

    fn hear(&mut self, event: SourceEvent) {
        match event {
            SourceEvent::Record {
                source,
                record,
                received,
            } => {
                if self.log.wants_calls() {
                    self.calls.record(&record);
                }
                if !record.is_about_capability() {
                    return;
                }
                let task = record.pid.and_then(|pid| {
                    let task = self.shared.kernel().as_ref()?.task(pid)?;
                    // The end of the former owner of that number may have been missed.
                    proc::is_same(pid, task.start).then_some(task)
                });
                let mut owner = task.map(|task| task.owner).unwrap_or_default();
                let scope = self.scope_of_record(&owner, record.pid);
                self.shared.names().rename(&mut owner, 0);
                let seen = AuditSeen {
                    received: Stamp(received),
                    source: source.name().to_owned(),
                    record: *record,
                    supervisor: correlate::name(&self.rules, owner.rule),
                    scope,
                };
                let findings = self.correlator.observe(Observation::Audit(Box::new(seen)));
                self.settle(findings);
            }
            SourceEvent::Aside { aside } => self.hear_aside(&aside),
            SourceEvent::Lost { reason, count, .. } => {
                self.shared.lose("audit", reason.name(), count.max(1));
            }
            SourceEvent::Malformed { source, why } => {
                tracing::debug!("malformed record from {}: {why}", source.name());
            }
            SourceEvent::Up { source } => tracing::info!("audit source {} is up", source.name()),
            SourceEvent::Down { source, reason } => {
                tracing::warn!("audit source {} is down: {reason}", source.name());
            }
        }
    }

    /// The scope of a record whose event is not known yet.
    fn scope_of_record(&self, owner: &Owner, pid: Option<u32>) -> Scope {
        let scopes = self.shared.scopes();
        if owner.in_tree || !scopes.are_told() {
            return scopes.of(owner, 0);
        }
        let cgroup = pid.map_or(0, |pid| self.who.cgroup_id(pid));
        scopes.of(owner, cgroup)
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
        if !self.was_told(&finding) {
            self.shared.tell(finding);
        }
    }

    fn handle(&mut self, told: Told) {
        match told {
            Told::Denial(mut event) => {
                let profile = self.profile(event.row.profile);
                let container = self.container(&event.row.owner, event.row.cgroup);
                let cgroup = event.row.cgroup;
                let scope = self.shared.scopes().of(&event.row.owner, cgroup);
                self.shared.names().rename(&mut event.row.owner, cgroup);
                let time = self.clock.stamp(event.time);
                self.enter(
                    event.time,
                    Observation::Denial(Box::new(DenialSeen {
                        time,
                        event: *event,
                        profile,
                        container,
                        count: 1,
                        scope,
                    })),
                );
            }
            Told::Episode(event) => {
                let id = event.episode.id;
                if event.end.open {
                    self.told.insert(id, (event.episode.last, true));
                } else {
                    self.told.remove(&id);
                }
                let until = self.clock.stamp(event.end.time);
                let seen = self.episode(&event.episode, Some(event.end), until);
                self.enter(event.end.time, Observation::Episode(Box::new(seen)));
            }
            Told::Process(event) => self.process(*event),
            // Its words were kept when it came.
            Told::Argv(_) => {}
            Told::Workload(event) => self.launched(*event),
            Told::Breach(event) => self.breach(&event),
        }
    }

    /// An episode with what is known of its process.
    fn episode(&mut self, told: &Episode, end: Option<EpisodeEnd>, until: Stamp) -> EpisodeSeen {
        let container = self.container(&told.owner, told.cgroup);
        let identity = self.who.identity(&told.owner);
        let mut episode = told.clone();
        self.shared.names().rename(&mut episode.owner, told.cgroup);
        let exe = told.exe.as_deref();
        let own = exe.and_then(|exe| self.rules.by_basename(exe.as_bytes()));
        let own = own.is_some_and(|rule| rule.id == episode.owner.rule);
        self.shared.names().restore(&mut episode.owner, own);
        EpisodeSeen {
            first: self.clock.stamp(episode.first),
            until,
            end,
            profile: self.profile(episode.profile),
            container,
            version: identity.version,
            exe_uid: identity.exe_uid,
            scope: self.shared.scopes().of(&told.owner, told.cgroup),
            episode,
        }
    }

    fn launched(&mut self, mut event: WorkloadEvent) {
        let container = self.container(&event.owner, event.cgroup);
        let Identity {
            version, exe_uid, ..
        } = self.who.identity(&event.owner);
        let scope = self.shared.scopes().of(&event.owner, event.cgroup);
        self.shared.names().rename(&mut event.owner, event.cgroup);
        let time = event.time;
        let seen = WorkloadSeen {
            time: self.clock.stamp(time),
            event,
            container,
            version,
            exe_uid,
            scope,
        };
        self.enter(time, Observation::Workload(Box::new(seen)));
    }

    fn container(&self, owner: &Owner, cgroup: u64) -> Option<Container> {
        let container = self.who.container_now(owner, cgroup);
        container.map(Arc::unwrap_or_clone)
    }

    fn process(&mut self, mut event: ProcessEvent) {
        let Identity {
            container, version, ..
        } = self.who.identity(&event.owner);
        let scope = self.shared.scopes().of(&event.owner, event.cgroup);
        self.shared.names().rename(&mut event.owner, 0);
        if event.owner.rule == 0 {
            // By its path or its cgroup it is no supervisor after all.
            return;
        }
        let time = event.time;
        let seen = ProcessSeen {
            time: self.clock.stamp(time),
            event,
            container: container.map(Arc::unwrap_or_clone),
            version,
            scope,
        };
        self.enter(time, Observation::Process(Box::new(seen)));
    }

    fn enter(&mut self, since: u64, observation: Observation) {
        let findings = self.found(since, observation);
        self.settle(findings);
        self.note_latency(since);
    }

    /// What an observation comes to, with whether nobody listened at that time,
    /// monotonic.
    fn found(&mut self, since: u64, observation: Observation) -> Vec<Finding> {
        let mut findings = self.correlator.observe(observation);
        if self.was_away(since) {
            for finding in &mut findings {
                match &mut finding.event.kind {
                    EventKind::Episode(episode) => episode.while_away = true,
                    EventKind::RuleRefusal(refusal) => refusal.while_away = true,
                    _ => {}
                }
            }
        }
        findings
    }

    fn note_latency(&self, since: u64) {
        if since < self.began {
            // It waited for this agent.
            return;
        }
        self.shared
            .latency()
            .observe(monotonic().saturating_sub(since));
    }

    /// Whether nobody listened at this time, monotonic.
    fn was_away(&self, time: u64) -> bool {
        let kernel = self.shared.kernel();
        let away = kernel.as_ref().and_then(Kernel::away);
        away.is_some_and(|away| (away.since_monotonic..away.until_monotonic).contains(&time))
    }

    fn profile(&self, hash: u64) -> Option<String> {
        self.shared.kernel().as_ref()?.profile(hash)
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
