//! The cost of the agent and its programs.

use std::collections::BTreeMap;

use prometheus::proto::{MetricFamily, MetricType};

use super::{counter, family, number, sample};
use crate::{
    sources::{bpf::Runs, proc::usage},
    state::Latency,
};

/// The cost of the agent and its programs so far.
pub struct Costs {
    /// How long findings took from the kernel to the ledger.
    pub latency: Latency,
    /// Runs of the programs.
    pub runs: Vec<Runs>,
    /// Answers of a layer that capwatch compared with its own walk.
    pub walks: u64,
    /// Of these, answers that the walk contradicts.
    pub disagreements: u64,
}

/// Runs of the BPF programs, as the kernel reports them.
pub fn programs(costs: &Costs) -> Vec<MetricFamily> {
    let each = |value: fn(&Runs) -> f64| {
        let samples = costs.runs.iter();
        samples
            .map(|run| sample(&[("program", &run.program)], value(run)))
            .collect()
    };
    let one = |count| vec![sample(&[], number(count))];
    vec![
        counter(
            "capwatch_walk_comparisons_total",
            "Answers of a layer that capwatch compared with its own walk over credential and namespaces.",
            one(costs.walks),
        ),
        counter(
            "capwatch_walk_disagreements_total",
            "Answers of a layer that the walk contradicts. Each one is a fault of capwatch on this kernel.",
            one(costs.disagreements),
        ),
        counter(
            "capwatch_program_runs_total",
            "Runs of a BPF program; counted while kernel.bpf_stats_enabled is set.",
            each(|run| number(run.runs)),
        ),
        counter(
            "capwatch_program_run_seconds_total",
            "Time spent in a BPF program; counted while kernel.bpf_stats_enabled is set.",
            each(|run| run.seconds),
        ),
        counter(
            "capwatch_program_misses_total",
            "Runs that the kernel skipped because the program was interrupted on its CPU.",
            each(|run| number(run.misses)),
        ),
    ]
}

/// The agent's own process, under Prometheus's usual names.
pub fn process() -> Vec<MetricFamily> {
    let Some(usage) = usage() else {
        return Vec::new();
    };
    let values: BTreeMap<&str, (&str, MetricType, f64)> = BTreeMap::from([
        (
            "process_cpu_seconds_total",
            (
                "User and system time.",
                MetricType::COUNTER,
                usage.cpu_seconds,
            ),
        ),
        (
            "process_resident_memory_bytes",
            (
                "Resident memory.",
                MetricType::GAUGE,
                number(usage.resident_bytes),
            ),
        ),
        (
            "process_virtual_memory_bytes",
            (
                "Virtual memory.",
                MetricType::GAUGE,
                number(usage.virtual_bytes),
            ),
        ),
        (
            "process_open_fds",
            (
                "Open file descriptors.",
                MetricType::GAUGE,
                number(usage.open_fds),
            ),
        ),
        (
            "process_start_time_seconds",
            (
                "Start time of the process, in seconds since the epoch.",
                MetricType::GAUGE,
                usage.start_seconds,
            ),
        ),
    ]);
    let families = values.into_iter();
    families
        .map(|(name, (help, kind, value))| family(name, help, kind, vec![sample(&[], value)]))
        .collect()
}
