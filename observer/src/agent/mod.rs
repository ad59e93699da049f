//! The wiring of the rooms: sources to correlate to ledger to outputs. Every
//! command is this agent with other outputs.

mod look;
mod shared;

pub use shared::Shared;

use std::{collections::HashMap, fs, os::fd::OwnedFd, sync::Arc, time::Duration};

use observer_ebpf::{ProcessChange, ProcessEvent};

use crate::{
    config::Rules,
    correlate::{self, Correlator, Finding},
    finding::{HookReport, Host},
    ledger::Ledger,
    observation::{AuditSeen, DenialSeen, EpisodeSeen, Observation, ProcessSeen},
    sources::{
        audit::{AuditSource, Live, SourceEvent},
        bpf::{Attach, Kernel, KernelError, RingReader, Told, active_lsms},
        proc,
    },
    time::{Clock, Stamp, monotonic},
};

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
    /// Series of each metric.
    pub series: usize,
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
    /// Ticks since the stream's last checkpoint.
    unchecked: u32,
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
            series,
        } = options;
        // A mistake of the operator comes out before the hooks are attached.
        let log = Live::open(&audit).map_err(std::io::Error::other)?;
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
            ledger.hooks = kernel.hooks().to_vec();
        }
        let shared = Shared::new(ledger, kernel);
        let agent = Self {
            shared: Arc::new(shared),
            correlator: Correlator::new(Arc::clone(&rules)),
            reader,
            log,
            clock: Clock::sample(),
            told: HashMap::new(),
            workloads: HashMap::new(),
            rules,
            unchecked: 0,
        };
        agent.note_sources();
        Ok(agent)
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
            self.shared.tell(finding);
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
}

/// Bytes from which an allocation is a mapping of its own.
#[cfg(target_env = "gnu")]
const LARGE: libc::c_int = 64 << 10;

/// The kernel's BTF takes some twenty megabytes while the programs are loaded;
/// the allocator would keep them for ever.
fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: releases free memory alone; no pointer in use is touched. A fixed
    // threshold keeps the large texts of reports and lists out of the heap, where
    // the small things between them would hold their pages for ever.
    unsafe {
        libc::malloc_trim(0);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
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
