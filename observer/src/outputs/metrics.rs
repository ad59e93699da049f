//! The metrics in Prometheus's text form. No other module uses the `prometheus`
//! crate.

mod findings;
mod latency;
mod own;

pub use own::Costs;

use std::{borrow::Cow, time::Instant};

use prometheus::{
    Encoder, TextEncoder,
    proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType},
};

use crate::{
    config::label,
    ledger::{Ledger, MAX_SERIES, OVERFLOW},
};

/// Content type of the text form.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// A scrape: the metric families of this moment.
pub struct Scrape {
    families: Vec<MetricFamily>,
}

impl Scrape {
    /// Findings and health. The scrape holds copies, so it does not borrow the
    /// ledger.
    pub fn of(ledger: &Ledger) -> Self {
        let mut families = findings::families(ledger);
        families.extend(health(ledger));
        Self { families }
    }

    /// Adds the cost of the agent and its programs.
    #[must_use]
    pub fn with_costs(mut self, costs: &Costs) -> Self {
        self.families.push(latency::family(&costs.latency));
        self.families.extend(own::programs(costs));
        self.families.extend(own::process());
        self
    }

    /// The text, with the time that it took to gather since `began`.
    ///
    /// # Errors
    /// When the text can't be made.
    pub fn text(self, began: Instant) -> Result<String, prometheus::Error> {
        let Self { mut families } = self;
        families.push(gauge(
            "capwatch_scrape_duration_seconds",
            "Time that it took to gather this scrape.",
            vec![sample(&[], began.elapsed().as_secs_f64())],
        ));
        let mut text = Vec::new();
        families.retain(|family| !family.get_metric().is_empty());
        TextEncoder::new().encode(&families, &mut text)?;
        String::from_utf8(text).map_err(|error| prometheus::Error::Msg(error.to_string()))
    }
}

/// One sample: labels and value.
type Sample = (Vec<(Cow<'static, str>, String)>, f64);

fn sample(labels: &[(&'static str, &str)], value: f64) -> Sample {
    let labels = labels
        .iter()
        .map(|(name, value)| (Cow::Borrowed(*name), (*value).to_owned()));
    (labels.collect(), value)
}

#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
const fn number(count: u64) -> f64 {
    count as f64
}

fn counter(name: &str, help: &str, samples: Vec<Sample>) -> MetricFamily {
    family(name, help, MetricType::COUNTER, samples)
}

fn gauge(name: &str, help: &str, samples: Vec<Sample>) -> MetricFamily {
    family(name, help, MetricType::GAUGE, samples)
}

fn family(name: &str, help: &str, kind: MetricType, mut samples: Vec<Sample>) -> MetricFamily {
    samples.sort_by(|(a, _), (b, _)| a.cmp(b));
    let metrics = samples.into_iter().map(|(labels, value)| {
        let pairs = labels.into_iter().map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name(name.into_owned());
            pair.set_value(value);
            pair
        });
        let mut metric = Metric::from_label(pairs.collect());
        if kind == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        metric
    });
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics.collect());
    family
}

fn live(ledger: &Ledger) -> Vec<MetricFamily> {
    let residual = ledger.supervisors.residual(MAX_SERIES);
    let residual = residual.iter().map(|((supervisor, capability), count)| {
        let labels = [
            ("supervisor", supervisor.as_str()),
            ("capability", capability),
        ];
        sample(&labels, number(*count))
    });
    let by_name = ledger.supervisors.by_name();
    let by_name = by_name
        .iter()
        .map(|(name, count)| sample(&[("supervisor", name)], number(*count)));
    let info = ledger.supervisors.placed().map(|event| {
        let container = event.container.as_deref();
        let name = container.map(|container| container.name.as_deref().unwrap_or(&container.id));
        let image = container.and_then(|container| container.image.as_deref());
        let pod = container.and_then(|container| container.pod.as_ref());
        let pid = event.pid.to_string();
        let labels = [
            ("supervisor", event.supervisor.as_str()),
            ("pid", &pid),
            ("container", name.unwrap_or_default()),
            ("image", image.unwrap_or_default()),
            ("version", event.version.as_deref().unwrap_or_default()),
            (
                "pod",
                pod.and_then(|pod| pod.name.as_deref()).unwrap_or_default(),
            ),
            (
                "namespace",
                pod.and_then(|pod| pod.namespace.as_deref())
                    .unwrap_or_default(),
            ),
        ];
        let (mut labels, value) = sample(&labels, 1.0);
        for name in &ledger.labels {
            let known = container.and_then(|container| container.labels.get(name));
            labels.push((label(name).into(), known.cloned().unwrap_or_default()));
        }
        (labels, value)
    });
    let live = ledger.supervisors.live().len();
    let unnamed = live.saturating_sub(ledger.supervisors.placed().count());
    let overflow = (unnamed > 0).then(|| {
        let named =
            ["pid", "container", "image", "version", "pod", "namespace"].map(|name| (name, ""));
        let mut labels = vec![("supervisor", OVERFLOW)];
        labels.extend(named);
        sample(&labels, number(unnamed as u64))
    });
    vec![
        gauge(
            "capwatch_residual_capabilities",
            "Running workloads that have this capability in the bounding set and should not.",
            residual.collect(),
        ),
        gauge(
            "capwatch_supervisors",
            "Running supervisors.",
            by_name.collect(),
        ),
        gauge(
            "capwatch_supervisor_info",
            "1 for each running supervisor; the series ends with the process.",
            info.chain(overflow).collect(),
        ),
    ]
}

fn health(ledger: &Ledger) -> Vec<MetricFamily> {
    // A hook that another mechanism replaces has no series.
    let hooks = ledger.hooks.iter();
    let hooks = hooks
        .filter(|hook| hook.attached || hook.needed)
        .map(|hook| {
            let mechanism = hook
                .mechanism
                .map_or("none", |mechanism| mechanism.as_str());
            let attached = f64::from(u8::from(hook.attached));
            sample(&[("hook", &hook.hook), ("mechanism", mechanism)], attached)
        });
    let sources = ledger.sources.iter();
    let sources =
        sources.map(|source| sample(&[("source", &source.name)], f64::from(u8::from(source.up))));
    // `capwatch_program_misses_total` has the losses of the programs, by program.
    let losses = ledger
        .losses()
        .filter(|(stage, _, _)| *stage != crate::ledger::PROGRAM);
    let losses = losses.map(|(stage, reason, count)| {
        sample(&[("stage", stage), ("reason", reason)], number(count))
    });
    let matches = ledger.audit.matches();
    let matches = matches
        .iter()
        .map(|(result, count)| sample(&[("result", result)], number(*count)));
    let denials = ledger.audit.denials().iter().map(|(series, count)| {
        let labels = [
            ("lsm", series.lsm.as_str()),
            ("profile", &series.profile),
            ("capability", &series.capability),
            ("supervisor", &series.supervisor),
        ];
        sample(&labels, number(count))
    });
    let malformed = ledger.sources.iter();
    let malformed =
        malformed.map(|source| sample(&[("source", &source.name)], number(source.malformed)));
    let sight = ledger.sight.gauges();
    let sight = sight
        .into_iter()
        .map(|(reason, lasts)| sample(&[("reason", reason)], f64::from(u8::from(lasts))));
    let mut families = live(ledger);
    families.extend([
        gauge(
            "capwatch_sight",
            "1 while capwatch misses something for this reason, else 0.",
            sight.collect(),
        ),
        gauge(
            "capwatch_build_info",
            "The agent's version.",
            vec![sample(&[("version", env!("CARGO_PKG_VERSION"))], 1.0)],
        ),
        gauge(
            "capwatch_hook_attached",
            "1 if the hook is attached, else 0, and the mechanism in use or tried last.",
            hooks.collect(),
        ),
        gauge(
            "capwatch_source_up",
            "1 if the source of audit records is connected, else 0.",
            sources.collect(),
        ),
        counter(
            "capwatch_events_lost_total",
            "Events and details that were lost, by stage and reason.",
            losses.collect(),
        ),
        counter(
            "capwatch_audit_denials_total",
            "Denials in the audit log.",
            denials.collect(),
        ),
        counter(
            "capwatch_audit_malformed_total",
            "Lines and messages of the audit log that could not be parsed.",
            malformed.collect(),
        ),
        counter(
            "capwatch_audit_matches_total",
            "Denials by a security module, by whether eBPF, the audit log or both show them.",
            matches.collect(),
        ),
        counter(
            "capwatch_series_overflow_total",
            "Findings that count under coarser labels, because a limit of series is reached.",
            vec![sample(&[], number(ledger.series_overflow()))],
        ),
    ]);
    families
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Rules,
        finding::Scope,
        finding::{Container, Host, SupervisorEvent},
        sources::bpf::Runs,
        state::Latency,
        time::Stamp,
    };

    #[test]
    fn a_scrape_shows_what_it_is_given() {
        let rules = Rules::load(None).unwrap();
        let mut ledger = Ledger::new(rules.into(), Host::default(), 10);
        ledger.lose("kernel", "rows_full", 7);
        let run = |program: &str, misses| Runs {
            program: program.to_owned(),
            runs: 40,
            seconds: 0.5,
            misses,
        };
        let costs = Costs {
            latency: Latency::default(),
            runs: vec![run("drop_exit", 3)],
            walks: 9,
            disagreements: 2,
        };
        let scrape = Scrape::of(&ledger);
        drop(ledger);
        let text = scrape.with_costs(&costs).text(Instant::now()).unwrap();
        for line in [
            "capwatch_events_lost_total{stage=\"kernel\",reason=\"rows_full\"} 7",
            "capwatch_program_runs_total{program=\"drop_exit\"} 40",
            "capwatch_program_run_seconds_total{program=\"drop_exit\"} 0.5",
            "capwatch_program_misses_total{program=\"drop_exit\"} 3",
            "capwatch_walk_comparisons_total 9",
            "capwatch_walk_disagreements_total 2",
            "capwatch_event_latency_seconds_count 0",
        ] {
            let mut lines = text.lines();
            assert!(lines.any(|one| one == line), "{line}: {text}");
        }
        assert!(text.contains("\ncapwatch_scrape_duration_seconds "));
    }

    #[test]
    fn hostile_names_stay_within_their_labels() {
        let mut rules = Rules::load(None).unwrap();
        let labels = "[container]\nlabels = [\"a/b\", \"absent\"]\n";
        rules.add(labels, "test").unwrap();
        let mut ledger = Ledger::new(rules.into(), Host::default(), 10);
        let hostile = "a\"} 1\nfake_metric{x=\"\\ \u{1b}[31m";
        let container = Container {
            runtime: "podman".to_owned(),
            id: hostile.to_owned(),
            name: Some(hostile.to_owned()),
            image: Some(hostile.to_owned()),
            labels: [("a/b".to_owned(), hostile.to_owned())].into(),
            ..Container::default()
        };
        let event = SupervisorEvent {
            supervisor: "crun".to_owned(),
            change: "started".to_owned(),
            pid: 7,
            ppid: 1,
            exe: None,
            version: Some(hostile.to_owned()),
            container: Some(container.into()),
            scope: Scope::Host,
        };
        ledger.supervisors.enter(&event, Stamp(1));
        let mut families = live(&ledger);
        families.retain(|family| !family.get_metric().is_empty());
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(
            !text.lines().any(|line| line.starts_with("fake_metric")),
            "{text}"
        );
        let info = text
            .lines()
            .find(|line| line.starts_with("capwatch_supervisor_info{"));
        let info = info.unwrap();
        assert!(
            info.contains(r#"label_a_b="a\"} 1\nfake_metric{x=\"\\ "#),
            "{info}"
        );
        assert!(info.ends_with("label_absent=\"\"} 1"), "{info}");
    }
}
