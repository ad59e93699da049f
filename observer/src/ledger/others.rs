//! Records that are no capability denials, by what makes them alike: bounded.

use std::collections::HashMap;

use crate::{
    correlate::explain_other,
    finding::{AuditEvent, Other, Scope, Sort},
    time::Stamp,
};

/// Rows that are distinguished.
const MAX_ROWS: usize = 512;

/// What distinguishes a row.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Name {
    kind: Sort,
    lsm: Option<String>,
    verdict: Option<String>,
    operation: Option<String>,
    capability: Option<String>,
    profile: Option<String>,
    comm: Option<String>,
    scope: Scope,
}

struct Row {
    pid: Option<u32>,
    count: u64,
    first: Stamp,
    last: Stamp,
}

/// What is known of them.
#[derive(Default)]
pub struct Others {
    rows: HashMap<Name, Row>,
}

impl Others {
    /// Enters the record of a capability that was not refused.
    pub fn enter_event(&mut self, event: &AuditEvent, time: Stamp, scope: Scope) {
        let kind = match (event.verdict.as_deref(), event.lsm.as_deref()) {
            (Some("allowed"), Some("selinux")) => Sort::Permissive,
            (Some("allowed"), _) => Sort::Complain,
            (Some("audit"), _) => Sort::Granted,
            _ => return,
        };
        let row = Other {
            kind,
            lsm: event.lsm.clone(),
            verdict: event.verdict.clone(),
            operation: None,
            capability: event.capability.clone(),
            profile: event.profile.clone(),
            comm: event.comm.clone(),
            pid: event.pid,
            count: 1,
            first: time,
            last: time,
            explanation: String::new(),
        };
        self.enter(row, scope);
    }

    /// Enters a row, with one that is alike.
    pub fn enter(&mut self, other: Other, scope: Scope) {
        let Other {
            kind,
            lsm,
            verdict,
            operation,
            capability,
            profile,
            comm,
            pid,
            count,
            first,
            last,
            explanation: _,
        } = other;
        let mut name = Name {
            kind,
            lsm,
            verdict,
            operation,
            capability,
            profile,
            comm,
            scope,
        };
        if kind == Sort::Other {
            // Of mounts, files and the like, how many is enough.
            name = Name {
                capability: None,
                profile: None,
                comm: None,
                ..name
            };
        }
        if self.rows.len() >= MAX_ROWS && !self.rows.contains_key(&name) {
            // A log may hold any names: what finds no row counts with its sort.
            name = Name {
                lsm: None,
                operation: None,
                capability: None,
                profile: None,
                comm: None,
                ..name
            };
        }
        let row = self.rows.entry(name).or_insert(Row {
            pid,
            count: 0,
            first,
            last,
        });
        row.count += count;
        row.pid = pid.or(row.pid);
        if first.is_known() && (first < row.first || !row.first.is_known()) {
            row.first = first;
        }
        row.last = row.last.max(last);
    }

    /// Every row: by sort, the most first.
    pub fn report(&self, scope: Scope) -> Vec<Other> {
        let rows = self.rows.iter();
        let mut rows: Vec<_> = rows.filter(|(name, _)| scope.takes(name.scope)).collect();
        rows.sort_by(|(one, row), (other, than)| {
            (one.kind, than.count, one).cmp(&(other.kind, row.count, other))
        });
        rows.into_iter()
            .map(|(name, row)| reported(name, row))
            .collect()
    }
}

fn reported(name: &Name, row: &Row) -> Other {
    let Name {
        kind,
        lsm,
        verdict,
        operation,
        capability,
        profile,
        comm,
        scope: _,
    } = name.clone();
    let has_name = comm.is_some();
    let mut other = Other {
        kind,
        lsm,
        verdict,
        operation,
        capability,
        profile,
        comm,
        pid: row.pid.filter(|_| has_name || row.count == 1),
        count: row.count,
        first: row.first,
        last: row.last,
        explanation: String::new(),
    };
    other.explanation = explain_other(&other);
    other
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(kind: Sort, comm: &str, time: u64) -> Other {
        Other {
            kind,
            lsm: Some("apparmor".to_owned()),
            verdict: Some("denied".to_owned()),
            operation: Some("mount".to_owned()),
            capability: None,
            profile: Some("p".to_owned()),
            comm: Some(comm.to_owned()),
            pid: Some(7),
            count: 1,
            first: Stamp(time),
            last: Stamp(time),
            explanation: String::new(),
        }
    }

    #[test]
    fn alike_rows_are_one_and_names_without_end_are_bounded() {
        let mut others = Others::default();
        for number in 0..10_000_u64 {
            others.enter(row(Sort::Other, &format!("c{number}"), number), Scope::Host);
        }
        let rows = others.report(Scope::Host);
        assert_eq!((rows.len(), rows[0].count), (1, 10_000));
        // The one without a time has no say.
        assert_eq!((rows[0].first, rows[0].last), (Stamp(1), Stamp(9_999)));
        for number in 0..10_000_u64 {
            others.enter(
                row(Sort::Seccomp, &format!("c{number}"), number),
                Scope::Host,
            );
        }
        let rows = others.report(Scope::Host);
        assert!(rows.len() <= MAX_ROWS + 1, "{}", rows.len());
        assert_eq!(rows.iter().map(|row| row.count).sum::<u64>(), 20_000);
        assert!(others.report(Scope::Tree).is_empty());
    }
}
