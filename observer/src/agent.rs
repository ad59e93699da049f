//! The wiring of the rooms: sources to correlate to ledger to outputs. Every
//! command is this agent with other outputs.

use std::{
    collections::HashMap,
    fs,
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use observer_ebpf::{Episode, Loss, ProcessChange, ProcessEvent, RowKey};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::sync::broadcast;

use crate::{
    config::Rules,
    correlate::{self, Correlator, Finding, Tally},
    finding::{Event, EventKind, Fate, HookReport, Host, LossEvent, Verdict},
    ledger::Ledger,
    observation::{AuditSeen, DenialSeen, EpisodeSeen, Observation, ProcessSeen},
    outputs::metrics::Latency,
    sources::{
        audit::{Live, SourceEvent},
        bpf::{Attach, Kernel, KernelError, RingReader, Told, active_lsms},
        proc,
    },
    time::{Clock, Stamp, monotonic},
};

/// An open episode without a drop for this long is told as running.
const SILENCE_NS: u64 = 2_000_000_000;
/// How often open episodes and losses are looked at.
const TICK: Duration = Duration::from_millis(500);
/// Events that a slow subscriber may lag behind before it misses some.
const EVENTS: usize = 1_024;
/// Rows in the kernel beyond which those of ended supervisors are forgotten.
const FOLD_ABOVE: usize = 8_192;

/// What an agent watches.
pub struct Options {
    /// How to attach.
    pub attach: Attach,
    /// The rules for supervisors.
    pub rules: Arc<Rules>,
    /// Series of each metric.
    pub series: usize,
}

/// What outputs share with the agent.
pub struct Shared {
    ledger: Mutex<Ledger>,
    kernel: Mutex<Option<Kernel>>,
    events: broadcast::Sender<Arc<Event>>,
    latency: Mutex<Latency>,
    started: Stamp,
    ready: AtomicBool,
}

/// The agent.
pub struct Agent {
    shared: Arc<Shared>,
    correlator: Correlator,
    reader: Option<RingReader>,
    log: Live,
    clock: Clock,
    /// Open episodes that were told as running, with the time of their last drop.
    told: HashMap<u32, u64>,
    /// Workloads that run on with what was refused: their pidfd tells when they end.
    workloads: HashMap<u32, OwnedFd>,
    rules: Arc<Rules>,
}

impl Shared {
    /// The ledger. A panic elsewhere leaves it readable.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The kernel side; none where it can't be had.
    pub fn kernel(&self) -> MutexGuard<'_, Option<Kernel>> {
        self.kernel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long findings took from the kernel to the ledger.
    pub fn latency(&self) -> MutexGuard<'_, Latency> {
        self.latency.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the agent started.
    pub const fn started(&self) -> Stamp {
        self.started
    }

    /// Why the agent is not ready: it still attaches, or it sees nothing at all.
    pub fn unready(&self) -> Option<&'static str> {
        if !self.ready.load(Ordering::Relaxed) {
            return Some("hooks are being attached");
        }
        let ledger = self.ledger();
        let sees = ledger.hooks.iter().any(|hook| hook.attached);
        let hears = ledger.sources.iter().any(|source| source.up);
        (!sees && !hears).then_some("no hook is attached and no audit source is heard")
    }

    /// Says that every hook and source has been tried.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    /// Findings from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.events.subscribe()
    }

    /// Takes over the kernel's counts as they stand now.
    pub fn refresh(&self) {
        let mut kernel = self.kernel();
        let Some(kernel) = kernel.as_mut() else {
            return;
        };
        let clock = Clock::sample();
        let tallied = |(key, count): (RowKey, observer_ebpf::Count)| {
            let tally = Tally {
                count: count.count,
                first: clock.stamp(count.first),
                last: clock.stamp(count.last),
            };
            (key, tally)
        };
        let mut rows: Vec<_> = kernel.rows().into_iter().map(tallied).collect();
        let totals = kernel.totals();
        let mut ledger = self.ledger();
        if rows.len() > FOLD_ABOVE {
            let gone = split_gone(kernel, &mut rows);
            let keys: Vec<_> = gone.iter().map(|(key, _)| *key).collect();
            ledger.denials.fold(&gone);
            kernel.forget_rows(&keys);
        }
        ledger.denials.set(rows, totals);
    }

    /// Enters a loss, and tells it.
    pub fn lose(&self, stage: &str, reason: &str, count: u64) {
        let loss = LossEvent {
            stage: stage.to_owned(),
            reason: reason.to_owned(),
            count,
        };
        self.ledger().lose(stage, reason, count);
        self.tell(Event::new(Stamp::now(), EventKind::Loss(loss)));
    }

    fn tell(&self, event: Event) {
        // Nobody listening is no loss: the ledger has it.
        let _ = self.events.send(Arc::new(event));
    }
}

/// Takes out the rows of supervisors of which no process is left, so that
/// nobody counts in them any more.
fn split_gone(kernel: &Kernel, rows: &mut Vec<(RowKey, Tally)>) -> Vec<(RowKey, Tally)> {
    let owners: std::collections::HashSet<_> = kernel
        .tasks()
        .iter()
        .map(|(_, task)| (task.owner.tgid, task.owner.start))
        .collect();
    let gone =
        |key: &RowKey| key.owner.tgid != 0 && !owners.contains(&(key.owner.tgid, key.owner.start));
    let (gone, live) = rows.drain(..).partition(|(key, _)| gone(key));
    *rows = live;
    gone
}

impl Agent {
    /// Attaches what this host can have. A host with no usable hook gives an
    /// agent that says so. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the rings can't be polled.
    pub fn open(options: Options) -> std::io::Result<Self> {
        let Options {
            attach,
            rules,
            series,
        } = options;
        let mut ledger = Ledger::new(Arc::clone(&rules), host(), series);
        let (kernel, reader) = match Kernel::open(&attach, &rules) {
            Ok((kernel, rings)) => (Some(kernel), Some(RingReader::new(rings)?)),
            Err(error) => {
                tracing::error!("{error}");
                ledger.hooks = vec![missing(&error)];
                (None, None)
            }
        };
        give_back_memory();
        if let Some(kernel) = &kernel {
            ledger.hooks = kernel.hooks().iter().map(HookReport::from).collect();
        }
        let shared = Shared {
            ledger: Mutex::new(ledger),
            kernel: Mutex::new(kernel),
            events: broadcast::Sender::new(EVENTS),
            latency: Mutex::new(Latency::default()),
            started: Stamp::now(),
            ready: AtomicBool::new(false),
        };
        Ok(Self {
            shared: Arc::new(shared),
            correlator: Correlator::new(Arc::clone(&rules)),
            reader,
            log: Live::open(),
            clock: Clock::sample(),
            told: HashMap::new(),
            workloads: HashMap::new(),
            rules,
        })
    }

    /// What outputs need.
    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Whether any hook is attached.
    pub fn sees(&self) -> bool {
        self.shared.ledger().hooks.iter().any(|hook| hook.attached)
    }

    /// Enters the trees of supervisors that run already.
    pub fn adopt(&mut self) {
        let adopted = {
            let mut kernel = self.shared.kernel();
            let Some(kernel) = kernel.as_mut() else {
                return;
            };
            proc::adopt(kernel, &self.rules)
        };
        let adopted = match adopted {
            Ok(adopted) => adopted,
            Err(error) => {
                tracing::error!("processes that ran before are not all attributed: {error}");
                return;
            }
        };
        for (process, task) in adopted {
            let mut exe = [0; observer_ebpf::NAME_LEN];
            let name = process.exe.unwrap_or_default();
            let length = name.len().min(exe.len() - 1);
            exe[..length].copy_from_slice(&name[..length]);
            let event = ProcessEvent {
                kind: 0,
                change: ProcessChange::Started as u32,
                time: monotonic(),
                owner: task.owner,
                cgroup: 0,
                ppid: process.ppid,
                uid: 0,
                exe,
            };
            self.process(event);
        }
    }

    /// Handles what comes, for ever; a future that may be dropped at any time.
    ///
    /// # Errors
    /// When the rings can't be polled.
    pub async fn pump(&mut self) -> std::io::Result<()> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let mut told = Vec::new();
            let reader = self.reader.as_mut();
            let ring = async {
                match reader {
                    Some(reader) => reader.next(|event| told.push(event)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                result = ring => result?,
                event = self.log.next() => self.hear(event),
                _ = tick.tick() => self.tick(),
            }
            for event in told {
                self.handle(event);
            }
        }
    }

    /// Handles what lies in the rings now.
    pub fn catch_up(&mut self) {
        let mut told = Vec::new();
        if let Some(reader) = &mut self.reader {
            reader.rest(|event| told.push(event));
        }
        for event in told {
            self.handle(event);
        }
        while let Some(event) = self.log.rest() {
            self.hear(event);
        }
    }

    /// What comes no more: records that no event was seen for.
    pub fn finish(&mut self) {
        let findings = self.correlator.finish();
        self.settle(findings);
    }

    /// Whether something younger than so many nanoseconds waits to be joined.
    pub fn waits(&self, younger: u64) -> bool {
        self.correlator.waits(Stamp::now(), younger)
    }

    fn hear(&mut self, event: SourceEvent) {
        match event {
            SourceEvent::Record {
                source,
                record,
                received,
            } => {
                if !record.is_about_capability() {
                    return;
                }
                let owner = record
                    .pid
                    .and_then(|pid| self.shared.kernel().as_ref()?.task(pid));
                let owner = owner.map(|task| task.owner).unwrap_or_default();
                let seen = AuditSeen {
                    received: Stamp(received),
                    source: source.name().to_owned(),
                    record: *record,
                    supervisor: correlate::name(&self.rules, owner.rule),
                    in_tree: owner.in_tree == 1,
                };
                let findings = self.correlator.observe(Observation::Audit(Box::new(seen)));
                self.settle(findings);
            }
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

    fn settle(&mut self, findings: Vec<Finding>) {
        for finding in findings {
            self.shared.ledger().enter(&finding);
            self.follow_workload(&finding);
            self.shared.tell(finding.event);
        }
    }

    fn handle(&mut self, told: Told) {
        match told {
            Told::Denial(event) => {
                let profile = self.profile(event.row.profile);
                let time = self.clock.stamp(event.time);
                self.enter(
                    event.time,
                    Observation::Denial(Box::new(DenialSeen {
                        time,
                        event: *event,
                        profile,
                        container: None,
                        count: 1,
                    })),
                );
            }
            Told::Episode(event) => {
                self.told.remove(&event.episode.tgid);
                let seen = EpisodeSeen {
                    first: self.clock.stamp(event.episode.first),
                    until: self.clock.stamp(event.end.time),
                    episode: event.episode,
                    end: Some(event.end),
                    profile: self.profile(event.episode.profile),
                    container: None,
                    version: None,
                };
                self.enter(event.end.time, Observation::Episode(Box::new(seen)));
            }
            Told::Process(event) => self.process(*event),
        }
    }

    fn process(&mut self, event: ProcessEvent) {
        let seen = ProcessSeen {
            time: self.clock.stamp(event.time),
            event,
            container: None,
            version: None,
        };
        self.enter(event.time, Observation::Process(Box::new(seen)));
    }

    fn enter(&mut self, since: u64, observation: Observation) {
        let findings = self.correlator.observe(observation);
        self.settle(findings);
        self.shared
            .latency()
            .observe(monotonic().saturating_sub(since));
    }

    fn profile(&self, hash: u64) -> Option<String> {
        self.shared.kernel().as_ref()?.profile(hash)
    }

    /// A workload that runs on with what was refused is watched until it ends.
    fn follow_workload(&mut self, finding: &Finding) {
        let EventKind::Episode(episode) = &finding.event.kind else {
            return;
        };
        if episode.verdict != Verdict::Degraded || episode.fate != Fate::Exec {
            return;
        }
        let pid = i32::try_from(episode.pid).ok().and_then(Pid::from_raw);
        let pidfd = pid.map(|pid| pidfd_open(pid, PidfdFlags::empty()));
        match pidfd {
            Some(Ok(pidfd)) => {
                self.workloads.insert(episode.pid, pidfd);
            }
            // It ended before we looked.
            _ => self
                .shared
                .ledger()
                .supervisors
                .retain_workloads(|pid| pid != episode.pid),
        }
    }

    /// Looks at what no event tells: open episodes, losses, ended workloads, the clock.
    pub fn tick(&mut self) {
        self.clock = Clock::sample();
        let expired = self.correlator.expire(Stamp::now());
        self.settle(expired);
        self.note_sources();
        self.tell_open(SILENCE_NS);
        self.workloads.retain(|_, pidfd| !ended(pidfd));
        let workloads = &self.workloads;
        self.shared
            .ledger()
            .supervisors
            .retain_workloads(|pid| workloads.contains_key(&pid));
        let losses: Vec<_> = match self.shared.kernel().as_mut() {
            Some(kernel) => {
                kernel.flush_diagnostics();
                let losses = Loss::ALL.iter();
                losses
                    .map(|loss| (loss.reason(), kernel.loss(*loss)))
                    .collect()
            }
            None => return,
        };
        for (reason, total) in losses {
            let grown = self.shared.ledger().set_loss("kernel", reason, total);
            if grown > 0 {
                let loss = LossEvent {
                    stage: "kernel".to_owned(),
                    reason: reason.to_owned(),
                    count: grown,
                };
                self.shared
                    .tell(Event::new(Stamp::now(), EventKind::Loss(loss)));
            }
        }
    }

    fn note_sources(&mut self) {
        let sources = self.log.report();
        let mut ledger = self.shared.ledger();
        let malformed = sources.iter().map(|source| source.malformed).sum();
        ledger.audit.set_malformed(malformed);
        ledger.sources = sources;
    }

    /// Episodes that are open now.
    pub fn open_episodes(&self) -> Vec<Episode> {
        self.shared
            .kernel()
            .as_ref()
            .map_or_else(Vec::new, Kernel::open_episodes)
    }

    /// Tells open episodes that have been silent for so many nanoseconds, each
    /// once for its last drop; they stay open.
    pub fn tell_open(&mut self, silence: u64) {
        let now = monotonic();
        let episodes = self.open_episodes();
        self.told
            .retain(|tgid, _| episodes.iter().any(|episode| episode.tgid == *tgid));
        for episode in episodes {
            let silent = now.saturating_sub(episode.last) >= silence;
            if !silent || self.told.get(&episode.tgid) == Some(&episode.last) {
                continue;
            }
            self.told.insert(episode.tgid, episode.last);
            let seen = EpisodeSeen {
                first: self.clock.stamp(episode.first),
                until: self.clock.stamp(now),
                episode,
                end: None,
                profile: self.profile(episode.profile),
                container: None,
                version: None,
            };
            self.enter(now, Observation::Episode(Box::new(seen)));
        }
    }
}

fn ended(pidfd: &OwnedFd) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut fds, Some(&at_once)).is_ok_and(|ready| ready > 0)
}

/// The kernel's BTF takes some twenty megabytes while the programs are loaded;
/// the allocator would keep them for ever.
fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: releases free memory alone; no pointer in use is touched.
    unsafe {
        libc::malloc_trim(0);
    }
}

fn missing(error: &KernelError) -> HookReport {
    HookReport {
        hook: "security_capable".to_owned(),
        mechanism: None,
        attached: false,
        reason: Some(error.to_string()),
    }
}

/// The host as a report names it.
pub fn host() -> Host {
    let read = |path: &str| {
        fs::read_to_string(path)
            .map(|text| text.trim().to_owned())
            .unwrap_or_default()
    };
    Host {
        kernel: read("/proc/sys/kernel/osrelease"),
        lsm: active_lsms(),
        boot_id: read("/proc/sys/kernel/random/boot_id"),
    }
}
