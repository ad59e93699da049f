//! Every metric of the agent with made-up values, for work on dashboards.

use observer::finding::{Episode, Verdict};
use observer::time::Stamp;
use prometheus::{
    Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

pub struct Metrics {
    registry: Registry,
    denials: IntCounterVec,
    lsm_denials: IntCounterVec,
    drops: IntCounterVec,
    episodes: IntCounterVec,
    pending: IntGaugeVec,
    residual: IntGaugeVec,
    last_failed: GaugeVec,
    audit: IntCounterVec,
    matches: IntCounterVec,
}

impl Metrics {
    pub fn new() -> Self {
        let registry = Registry::new();
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let metric = IntCounterVec::new(Opts::new(format!("capwatch_{name}"), help), labels)
                .expect("a metric's name");
            registry
                .register(Box::new(metric.clone()))
                .expect("a new name");
            metric
        };
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            let metric = IntGaugeVec::new(Opts::new(format!("capwatch_{name}"), help), labels)
                .expect("a metric's name");
            registry
                .register(Box::new(metric.clone()))
                .expect("a new name");
            metric
        };
        let floating = |name: &str, help: &str, labels: &[&str]| {
            let metric = GaugeVec::new(Opts::new(format!("capwatch_{name}"), help), labels)
                .expect("a metric's name");
            registry
                .register(Box::new(metric.clone()))
                .expect("a new name");
            metric
        };
        constant(&registry, &counter, &gauge);
        Self {
            denials: counter(
                "denials_total",
                "Refused capability checks.",
                &[
                    "supervisor",
                    "role",
                    "capability",
                    "layer",
                    "audited",
                    "expected",
                ],
            ),
            lsm_denials: counter(
                "lsm_denials_total",
                "Capability checks refused by an LSM.",
                &["supervisor", "layer", "profile", "capability"],
            ),
            drops: counter(
                "bounding_drops_total",
                "Calls that drop a capability from the bounding set.",
                &["supervisor", "result"],
            ),
            episodes: counter(
                "bounding_drop_episodes_total",
                "Closed episodes of drops.",
                &["supervisor", "role", "version", "verdict", "layer"],
            ),
            pending: gauge(
                "bounding_drops_pending",
                "Episodes that are pending.",
                &["supervisor", "role"],
            ),
            residual: gauge(
                "residual_capabilities",
                "Live workloads that run with a capability left raised.",
                &["supervisor", "capability"],
            ),
            last_failed: floating(
                "last_failed_drop_timestamp_seconds",
                "When a drop of a raised capability was last refused.",
                &["supervisor"],
            ),
            audit: counter(
                "audit_denials_total",
                "Denials as the audit log tells them.",
                &["lsm", "profile", "capability", "supervisor"],
            ),
            matches: counter(
                "audit_matches_total",
                "Denials joined with audit records.",
                &["result"],
            ),
            registry,
        }
    }

    pub fn count(&self, episode: &Episode, time: Stamp) {
        let supervisor = episode.supervisor.as_deref().unwrap_or("none");
        let role = episode.role.as_deref().unwrap_or("none");
        let layer = episode.layer.as_deref().unwrap_or("none");
        let version = episode.version.as_deref().unwrap_or("unknown");
        let refused = u64::from(episode.refused_raised);
        self.drops
            .with_label_values(&[supervisor, "refused_raised"])
            .inc_by(refused);
        self.drops
            .with_label_values(&[supervisor, "refused_lowered"])
            .inc_by(episode.refused_lowered.into());
        self.drops
            .with_label_values(&[supervisor, "unknown_capability"])
            .inc_by(0);
        self.drops
            .with_label_values(&[supervisor, "dropped"])
            .inc_by(u64::from(episode.drops).saturating_sub(refused));
        for verdict in [Verdict::Fatal, Verdict::Degraded] {
            self.episodes
                .with_label_values(&[supervisor, role, version, verdict.as_str(), layer])
                .inc_by(0);
        }
        let verdict = episode.verdict;
        if verdict == Verdict::Pending {
            self.pending.with_label_values(&[supervisor, role]).inc();
        } else {
            self.episodes
                .with_label_values(&[supervisor, role, version, verdict.as_str(), layer])
                .inc();
        }
        if verdict == Verdict::Degraded {
            for capability in &episode.residual {
                self.residual
                    .with_label_values(&[supervisor, capability])
                    .set(2);
            }
        }
        if refused > 0 {
            self.last_failed
                .with_label_values(&[supervisor])
                .set(time.as_seconds());
            self.denials
                .with_label_values(&[supervisor, role, "setpcap", layer, "yes", "false"])
                .inc_by(refused);
            if let Some(profile) = &episode.profile {
                self.lsm_denials
                    .with_label_values(&[supervisor, layer, profile, "setpcap"])
                    .inc_by(refused);
                self.audit
                    .with_label_values(&[layer, profile, "setpcap", supervisor])
                    .inc_by(refused / 2);
                self.matches
                    .with_label_values(&["matched"])
                    .inc_by(refused / 2);
                self.matches
                    .with_label_values(&["ebpf_only"])
                    .inc_by(refused - refused / 2);
                self.matches.with_label_values(&["audit_only"]).inc_by(0);
            }
        }
    }

    pub fn text(&self) -> Result<String, String> {
        let mut text = String::new();
        TextEncoder::new()
            .encode_utf8(&self.registry.gather(), &mut text)
            .map_err(|error| error.to_string())?;
        Ok(text)
    }
}

/// What doesn't change in the demo.
fn constant(
    registry: &Registry,
    counter: &impl Fn(&str, &str, &[&str]) -> IntCounterVec,
    gauge: &impl Fn(&str, &str, &[&str]) -> IntGaugeVec,
) {
    gauge("build_info", "The program.", &["version"])
        .with_label_values(&["0.2.0"])
        .set(1);
    let hooks = gauge(
        "hook_attached",
        "Whether a hook is attached.",
        &["hook", "mechanism"],
    );
    for (hook, up) in [
        ("security_capable", 1),
        ("cap_capable", 1),
        ("aa_capable", 1),
        ("cap_task_prctl", 1),
        ("selinux_capable", 0),
    ] {
        hooks.with_label_values(&[hook, "fexit"]).set(up);
    }
    let sources = gauge("source_up", "Whether a source is heard.", &["source"]);
    sources.with_label_values(&["netlink"]).set(1);
    sources.with_label_values(&["kmsg"]).set(0);
    counter("events_lost_total", "What was lost.", &["stage", "reason"])
        .with_label_values(&["ring", "full"])
        .inc_by(0);
    counter(
        "audit_malformed_total",
        "Records that could not be made sense of.",
        &["source"],
    )
    .with_label_values(&["netlink"])
    .inc_by(0);
    own_costs(registry, counter);
    let live = gauge("supervisors", "Live supervisors.", &["supervisor"]);
    live.with_label_values(&["openshell"]).set(3);
    live.with_label_values(&["crun"]).set(1);
    let info = gauge(
        "supervisor_info",
        "A live supervisor.",
        &["supervisor", "pid", "container", "image", "version"],
    );
    info.with_label_values(&[
        "openshell",
        "3990",
        "sandbox-7",
        "ghcr.io/example/openshell:0.0.85",
        "ghcr.io/example/openshell:0.0.85",
    ])
    .set(1);
    info.with_label_values(&[
        "openshell",
        "3992",
        "sandbox-9",
        "ghcr.io/example/openshell:0.0.91",
        "ghcr.io/example/openshell:0.0.91",
    ])
    .set(1);
    process(registry);
}

/// What the agent says of its own costs.
fn own_costs(registry: &Registry, counter: &impl Fn(&str, &str, &[&str]) -> IntCounterVec) {
    let overflow = IntCounter::new(
        "capwatch_series_overflow_total",
        "Increments told under the overflow label.",
    )
    .expect("a metric's name");
    registry.register(Box::new(overflow)).expect("a new name");
    counter("program_runs_total", "Runs of a BPF program.", &["program"])
        .with_label_values(&["security_capable_exit"])
        .inc_by(120_000);
    let seconds = prometheus::CounterVec::new(
        Opts::new(
            "capwatch_program_run_seconds_total",
            "Run time of a BPF program.",
        ),
        &["program"],
    )
    .expect("a metric's name");
    seconds
        .with_label_values(&["security_capable_exit"])
        .inc_by(0.011);
    registry.register(Box::new(seconds)).expect("a new name");
    let latency = HistogramVec::new(
        HistogramOpts::new(
            "capwatch_event_latency_seconds",
            "From the kernel to the ledger.",
        )
        .buckets(vec![0.001, 0.005, 0.01, 0.05, 0.1, 0.5]),
        &[],
    )
    .expect("a metric's name");
    for sample in [0.000_4, 0.000_9, 0.003, 0.02] {
        latency.with_label_values::<&str>(&[]).observe(sample);
    }
    registry.register(Box::new(latency)).expect("a new name");
    let scrape = Gauge::new(
        "capwatch_scrape_duration_seconds",
        "Time to gather the last scrape.",
    )
    .expect("a metric's name");
    scrape.set(0.001_2);
    registry.register(Box::new(scrape)).expect("a new name");
}

/// What every process tells.
fn process(registry: &Registry) {
    for (name, help, value) in [
        ("resident_memory_bytes", "Resident memory.", 1.4e7),
        ("open_fds", "Open file descriptors.", 31.0),
        ("max_fds", "Most file descriptors.", 1024.0),
        (
            "start_time_seconds",
            "Start time.",
            Stamp::now().as_seconds() - 7_500.0,
        ),
    ] {
        let metric = Gauge::new(format!("process_{name}"), help).expect("a metric's name");
        metric.set(value);
        registry.register(Box::new(metric)).expect("a new name");
    }
    let cpu = prometheus::Counter::new("process_cpu_seconds_total", "CPU time.")
        .expect("a metric's name");
    cpu.inc_by(0.8);
    registry.register(Box::new(cpu)).expect("a new name");
}
