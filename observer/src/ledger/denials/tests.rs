use super::*;
use crate::{
    finding::{self, FailOn, Gate, RoleFilter},
    observation::Owner,
    time::Stamp,
    words::{Audited, Role},
};

fn row(number: u64, rule: u16, in_tree: bool) -> KernelRow {
    let key = Row {
        owner: Owner {
            rule,
            role: Role::Supervisor,
            in_tree,
            ..Owner::default()
        },
        cgroup: number,
        capability: 8,
        layer: Layer::Commoncap,
        audited: Audited::Yes,
        own_credentials: true,
        ..Row::default()
    };
    let tally = Tally {
        count: 2,
        first: Stamp(number),
        last: Stamp(number),
    };
    KernelRow::new(identity(&key), key, tally)
}

/// What `record` would report of these.
fn report(denials: Denials) -> finding::Report {
    let rules = Arc::new(Rules::default());
    let host = finding::Host::default();
    let mut ledger = crate::ledger::Ledger::new(rules, host, 5_000);
    ledger.denials = denials;
    ledger.report(Scope::Tree, None)
}

#[test]
fn denials_are_counted_exactly_whatever_the_kernel_forgets_and_a_report_lists() {
    let rules = Arc::new(Rules::load(None).unwrap());
    let grounds = Grounds::default();
    let mut denials = Denials::new(rules, 5_000);
    let own: Vec<_> = (0..9_000).map(|number| row(number, 1, true)).collect();
    let others: Vec<_> = (0..9_000).map(|number| row(number, 2, false)).collect();
    denials.set(&[own.clone(), others.clone()].concat(), &[]);
    denials.fold(&own[..3_000], &grounds);
    denials.fold(&others, &grounds);
    denials.set(&own[3_000..], &[]);
    let series: u64 = denials.by_series().iter().map(|(_, count)| count).sum();
    assert_eq!(series, 36_000, "no counter falls");

    let report = report(denials);
    let counts = &report.counts.denials;
    assert_eq!((counts.all, counts.rows), (18_000, 9_000));
    assert_eq!(counts.rows_shown, report.denials.len() as u64);
    assert_eq!(report.denials.len(), 4_096);
    assert_eq!(counts.denied(Some(RoleFilter::Supervisor)), 18_000);
    let gate = Gate {
        fail_on: vec![FailOn::Denied],
        role: None,
    };
    let why = gate.matches(&report);
    assert_eq!(why.last().unwrap(), "denied: 17800 more denials");
}
