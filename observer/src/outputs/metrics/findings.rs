//! Findings: denials, rule refusals and episodes.

use prometheus::proto::MetricFamily;

use super::{counter, gauge, number, sample};
use crate::ledger::Ledger;

/// All of them.
pub fn families(ledger: &Ledger) -> Vec<MetricFamily> {
    let mut families = denials(ledger);
    families.extend(episodes(ledger));
    families.push(refusals(ledger));
    families
}

fn denials(ledger: &Ledger) -> Vec<MetricFamily> {
    let denials = ledger.denials.by_series();
    let denials = denials.iter().map(|(series, count)| {
        let labels = [
            ("supervisor", series.supervisor.as_str()),
            ("role", &series.role),
            ("capability", &series.capability),
            ("layer", series.layer),
            ("audited", series.audited),
            ("expected", if series.expected { "true" } else { "false" }),
        ];
        sample(&labels, number(count))
    });
    let by_profile = ledger.denials.by_profile();
    let by_profile = by_profile.iter().map(|(series, count)| {
        let labels = [
            ("supervisor", series.supervisor.as_str()),
            ("layer", series.layer),
            ("profile", &series.profile),
            ("capability", &series.capability),
        ];
        sample(&labels, number(count))
    });
    vec![
        counter(
            "capwatch_denials_total",
            "Capability checks that were refused, counted in the kernel.",
            denials.collect(),
        ),
        counter(
            "capwatch_lsm_denials_total",
            "Capability checks that a security module refused, counted by eBPF.",
            by_profile.collect(),
        ),
    ]
}

fn refusals(ledger: &Ledger) -> MetricFamily {
    let refusals = ledger.refusals.by_series().iter().map(|(series, count)| {
        let labels = [
            ("supervisor", series.supervisor.as_str()),
            ("role", &series.role),
            ("call", &series.call),
            ("rule", &series.rule),
        ];
        sample(&labels, number(count))
    });
    counter(
        "capwatch_rule_refusals_total",
        "Calls that the kernel refused by a rule, without a capability check.",
        refusals.collect(),
    )
}

fn episodes(ledger: &Ledger) -> Vec<MetricFamily> {
    let drops = ledger
        .episodes
        .drops()
        .iter()
        .map(|((supervisor, result), count)| {
            sample(
                &[("supervisor", supervisor), ("result", result)],
                number(count),
            )
        });
    let episodes = ledger.episodes.closed().iter().map(|(series, count)| {
        let labels = [
            ("supervisor", series.supervisor.as_str()),
            ("role", &series.role),
            ("version", &series.version),
            ("verdict", series.verdict.as_str()),
            ("layer", &series.layer),
        ];
        sample(&labels, number(count))
    });
    let skipped = ledger.episodes.skipped().iter().map(|(series, count)| {
        let labels = [
            ("supervisor", series.supervisor.as_str()),
            ("role", &series.role),
            ("version", &series.version),
        ];
        sample(&labels, number(count))
    });
    let pending = ledger.episodes.pending();
    let pending = pending.iter().map(|((supervisor, role), count)| {
        sample(
            &[("supervisor", supervisor), ("role", role)],
            number(*count),
        )
    });
    let inferred = ledger.episodes.inferred().iter();
    let inferred = inferred.map(|supervisor| sample(&[("supervisor", supervisor)], 1.0));
    let last_failed = ledger.episodes.last_failed().iter();
    let last_failed = last_failed
        .map(|(supervisor, time)| sample(&[("supervisor", supervisor)], time.as_seconds()));
    vec![
        counter(
            "capwatch_bounding_drops_total",
            "PR_CAPBSET_DROP calls, by result.",
            drops.collect(),
        ),
        counter(
            "capwatch_bounding_drop_episodes_total",
            "Closed episodes. An episode is all bounding-set drops of one process until it execs or ends.",
            episodes.collect(),
        ),
        counter(
            "capwatch_bounding_drops_skipped_total",
            "Episodes in which the process never tried a requested drop.",
            skipped.collect(),
        ),
        gauge(
            "capwatch_bounding_drops_pending",
            "Open episodes whose refused capability is still in the set.",
            pending.collect(),
        ),
        gauge(
            "capwatch_supervisor_inferred",
            "1 for each supervisor without a rule: a process that drops from its bounding set.",
            inferred.collect(),
        ),
        gauge(
            "capwatch_last_failed_drop_timestamp_seconds",
            "Time of the supervisor's last failed drop; workloads are not included.",
            last_failed.collect(),
        ),
    ]
}
