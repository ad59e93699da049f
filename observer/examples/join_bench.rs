//! Measures how fast records find their events, with so many of them waiting.
//!
//! `join_bench [PAIRS] [WAITING]` prints one JSON object.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use observer::audit::{Parsed, parse_line};
use observer::config::Rules;
use observer::correlate::Correlator;
use observer::finding::Scope;
use observer::observation::{AuditSeen, DenialEvent, DenialSeen, Observation, Row};
use observer::time::Stamp;
use observer::words::Layer;

/// A pair each millisecond.
const APART: u64 = 1_000_000;
const BEGIN: u64 = 1_795_000_000_000_000_000;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u32| -> anyhow::Result<u32> {
        match arguments.next() {
            Some(text) => text
                .parse()
                .with_context(|| format!("{text:?} is no number")),
            None => Ok(default),
        }
    };
    let (pairs, waiting) = (number(200_000)?, number(64)?);
    let mut observations = Vec::new();
    for index in 0..pairs + waiting {
        if index < pairs {
            observations.push(event(index));
        }
        if let Some(index) = index.checked_sub(waiting) {
            observations.push(record(index)?);
        }
    }
    let rules = Rules::load(None)?;
    let mut correlator = Correlator::new(Arc::new(rules));
    let mut joined = 0;
    let begin = Instant::now();
    for observation in observations {
        let findings = correlator.observe(observation);
        joined += u32::from(findings.iter().any(|finding| finding.joined.is_some()));
    }
    let seconds = begin.elapsed().as_secs_f64();
    ensure!(joined == pairs, "{joined} of {pairs} were joined");
    let rate = f64::from(pairs) / seconds;
    let report = serde_json::json!({
        "pairs": pairs,
        "waiting": waiting,
        "pairs_per_second": rate.round(),
    });
    println!("{report}");
    Ok(())
}

fn time(index: u32) -> u64 {
    BEGIN + u64::from(index) * APART
}

fn event(index: u32) -> Observation {
    Observation::Denial(Box::new(DenialSeen {
        time: Stamp(time(index) + 3_000_000),
        event: DenialEvent {
            tgid: 1000 + index,
            row: Row {
                capability: 21,
                layer: Layer::Apparmor,
                ..Row::default()
            },
            ..DenialEvent::default()
        },
        profile: Some("unprivileged_userns".to_owned()),
        container: None,
        count: 1,
        scope: Scope::Host,
    }))
}

fn record(index: u32) -> anyhow::Result<Observation> {
    let milliseconds = time(index) / 1_000_000;
    let line = format!(
        "type=AVC msg=audit({}.{:03}:{index}): apparmor=\"DENIED\" operation=\"capable\" class=\"cap\" \
         profile=\"unprivileged_userns\" pid={} comm=\"unshare\" capability=21  capname=\"sys_admin\"",
        milliseconds / 1000,
        milliseconds % 1000,
        1000 + index,
    );
    let Parsed::Record(record) = parse_line(line.as_bytes()) else {
        anyhow::bail!("{line:?} is no record");
    };
    Ok(Observation::Audit(Box::new(AuditSeen {
        received: Stamp(time(index) + 4_000_000),
        source: "netlink".to_owned(),
        record: record.into_owned(),
        supervisor: None,
        scope: Scope::Host,
    })))
}
