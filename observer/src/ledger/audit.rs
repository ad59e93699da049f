//! The audit log, as it was read and as it was joined.

use std::collections::{HashMap, VecDeque};

use super::{
    NONE, OVERFLOW,
    denials::sort,
    leftover::Grounds,
    limited::{Counted, Limited, Series as _},
    saved::SavedAudit,
    series::AuditSeries,
};
use crate::{
    caps,
    correlate::{HOLD_NS, explain_logged},
    finding::{Audit, AuditEvent, Denial, Scope},
    time::Stamp,
};

/// Rows of denials that only the log has.
const MAX_ROWS: usize = 4_096;

/// What came of the audit log.
pub struct AuditLog {
    denials: Limited<AuditSeries>,
    /// By scope, each alone.
    tallies: [Audit; Scope::ALL.len()],
    malformed: u64,
    rows: HashMap<RowName, Row>,
    /// Denials that are merged, since they had too many names.
    folded: u64,
    unlogged: Unlogged,
}

/// How many of the security modules' denials left no record, as a counter that never
/// falls: a denial counts once its record would have come.
#[derive(Default)]
struct Unlogged {
    /// When how many denials there were, the oldest first; more than are young.
    seen: VecDeque<(Stamp, u64)>,
    /// The denials whose records would be here; none before the first look.
    due: Option<u64>,
    count: u64,
}

impl Unlogged {
    fn look(&mut self, now: Stamp, by_lsm: u64, matched: u64) {
        // What there was before the agent looked waits for nothing.
        let mut due = *self.due.get_or_insert(by_lsm);
        self.seen.push_back((now, by_lsm));
        let is_due = |(then, _): &mut (Stamp, u64)| now.since(*then) >= HOLD_NS;
        while let Some((_, then)) = self.seen.pop_front_if(is_due) {
            due = then;
        }
        self.due = Some(due);
        self.count = self.count.max(due.saturating_sub(matched));
    }
}

/// What distinguishes a row: its series, comm and scope.
type RowName = (AuditSeries, Option<String>, Scope);

/// Denials that are alike, and that no hook saw.
struct Row {
    pid: Option<u32>,
    namespace: Option<String>,
    count: u64,
    first: Stamp,
    last: Stamp,
}

impl AuditLog {
    /// Nothing yet.
    pub fn new(limit: usize) -> Self {
        Self {
            denials: Limited::new(limit),
            tallies: std::array::from_fn(|_| Audit::default()),
            malformed: 0,
            rows: HashMap::new(),
            folded: 0,
            unlogged: Unlogged::default(),
        }
    }

    /// What is to be kept over a restart.
    pub fn save(&self) -> SavedAudit {
        SavedAudit {
            denials: Counted::of(&self.denials),
            tally: self.tally(Scope::Host, 0),
        }
    }

    /// Goes on from what was kept.
    pub fn restore(&mut self, saved: SavedAudit) {
        self.denials.restore(saved.denials);
        let tally = &mut self.tallies[Scope::Host as usize];
        tally.records += saved.tally.records;
        tally.matched += saved.tally.matched;
        tally.audit_only += saved.tally.audit_only;
    }

    /// Enters a record.
    pub fn enter(&mut self, event: &AuditEvent, time: Stamp, scope: Scope) {
        let tally = &mut self.tallies[scope as usize];
        tally.records += 1;
        match event.result.as_str() {
            "matched" => tally.matched += 1,
            "audit_only" => tally.audit_only += 1,
            _ => {}
        }
        if event.result == "not_a_denial" {
            return;
        }
        let label = |text: &Option<String>| text.clone().unwrap_or_default();
        let series = AuditSeries {
            lsm: label(&event.lsm),
            profile: label(&event.profile),
            capability: label(&event.capability),
            supervisor: event.supervisor.clone().unwrap_or_else(|| NONE.to_owned()),
        };
        if event.result == "audit_only" {
            self.keep(&series, event, time, scope);
        }
        self.denials.add(series, 1);
    }

    fn keep(&mut self, series: &AuditSeries, event: &AuditEvent, time: Stamp, scope: Scope) {
        let key = (series.clone(), event.comm.clone(), scope);
        if self.rows.len() >= MAX_ROWS && !self.rows.contains_key(&key) {
            self.fold();
        }
        let row = self.rows.entry(key).or_insert(Row {
            pid: event.pid,
            namespace: event.namespace.clone(),
            count: 0,
            first: time,
            last: time,
        });
        row.count += 1;
        row.pid = event.pid.or(row.pid);
        row.first = earliest(row.first, time);
        row.last = row.last.max(time);
    }

    /// Merges half of the rows, the least worthy: those with the fewest
    /// denials, the oldest first. Of each module, capability and supervisor a row
    /// stays that has their counts.
    fn fold(&mut self) {
        let worth = |row: &Row| (row.count, row.last);
        let mut worths: Vec<_> = self.rows.values().map(worth).collect();
        worths.sort_unstable();
        let Some(median) = worths.get(worths.len() / 2).copied() else {
            return;
        };
        let is_folded = |(series, comm, _): &RowName| comm.is_none() && series.profile == OVERFLOW;
        let rows = self.rows.drain();
        let (mut kept, folded): (HashMap<_, _>, Vec<_>) = {
            let (kept, folded): (Vec<_>, Vec<_>) =
                rows.partition(|(key, row)| is_folded(key) || worth(row) > median);
            (kept.into_iter().collect(), folded)
        };
        for ((series, _, scope), row) in folded {
            self.folded += row.count;
            let all = kept.entry((series.coarse(), None, scope)).or_insert(Row {
                pid: None,
                namespace: None,
                count: 0,
                first: row.first,
                last: row.last,
            });
            all.count += row.count;
            all.first = earliest(all.first, row.first);
            all.last = all.last.max(row.last);
        }
        self.rows = kept;
    }

    /// How many denials are merged, since they had too many names.
    pub const fn folded(&self) -> u64 {
        self.folded
    }

    /// Denials that only the log has, as rows of a report of a scope and those
    /// within it.
    pub fn report(&self, scope: Scope, grounds: &Grounds) -> Vec<Denial> {
        let rows = self.rows.iter();
        let rows = rows.filter(|((_, _, of), _)| scope.takes(*of));
        let mut denials: Vec<_> = rows
            .map(|((series, comm, of), row)| denial(series, comm.as_deref(), *of, row, grounds))
            .collect();
        sort(&mut denials);
        denials
    }

    /// Sets how many records could not be parsed.
    pub const fn set_malformed(&mut self, count: u64) {
        self.malformed = count;
    }

    /// The tally of a scope and those within it, with the denials that left no
    /// record among so many that a security module gave.
    pub fn tally(&self, scope: Scope, by_lsm: u64) -> Audit {
        let mut all = Audit {
            malformed: self.malformed,
            ..Audit::default()
        };
        for part in scope.parts() {
            let Audit {
                records,
                matched,
                audit_only,
                ..
            } = &self.tallies[part as usize];
            all.records += records;
            all.matched += matched;
            all.audit_only += audit_only;
        }
        all.ebpf_only = by_lsm.saturating_sub(all.matched);
        all
    }

    /// Counts which of the denials that the security modules gave left no record;
    /// to be called whenever those are counted.
    pub fn look(&mut self, now: Stamp, by_lsm: u64) {
        let matched = self.tally(Scope::Host, 0).matched;
        self.unlogged.look(now, by_lsm, matched);
    }

    /// The counters of `capwatch_audit_matches_total`, by result.
    pub fn matches(&self) -> [(&'static str, u64); 3] {
        let all = self.tally(Scope::Host, 0);
        [
            ("matched", all.matched),
            ("ebpf_only", self.unlogged.count),
            ("audit_only", all.audit_only),
        ]
    }

    /// The counters of `capwatch_audit_denials_total`.
    pub const fn denials(&self) -> &Limited<AuditSeries> {
        &self.denials
    }

    /// How much found no series.
    pub const fn overflowed(&self) -> u64 {
        self.denials.overflowed()
    }
}

/// The earlier of two times, where a record without a stamp has none.
fn earliest(one: Stamp, other: Stamp) -> Stamp {
    match (one.is_known(), other.is_known()) {
        (true, true) => one.min(other),
        (true, false) => one,
        (false, _) => other,
    }
}

fn denial(
    series: &AuditSeries,
    comm: Option<&str>,
    scope: Scope,
    row: &Row,
    grounds: &Grounds,
) -> Denial {
    let AuditSeries {
        lsm,
        profile,
        capability,
        supervisor,
    } = series;
    let mut denial = Denial {
        scope,
        supervisor: (supervisor != NONE).then(|| supervisor.clone()),
        role: None,
        container: None,
        comm: comm.unwrap_or_default().to_owned(),
        exe: None,
        pid: row.pid,
        chain: Vec::new(),
        number: caps::number(capability.as_bytes()).unwrap_or_default(),
        capability: capability.clone(),
        layer: lsm.clone(),
        reason: None,
        profile: Some(profile.clone()),
        namespace: row.namespace.clone(),
        target_namespace: None,
        audited: "yes".to_owned(),
        expected: false,
        own_credentials: true,
        via: "unknown".to_owned(),
        count: row.count,
        exact: comm.is_some(),
        logged: Some(row.count),
        leftover: Some(grounds.unseen(lsm).to_owned()),
        first: row.first,
        last: row.last,
        explanation: String::new(),
    };
    denial.explanation = explain_logged(&denial, grounds.release);
    denial
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(result: &str) -> AuditEvent {
        AuditEvent {
            lsm: Some("apparmor".to_owned()),
            verdict: Some("denied".to_owned()),
            profile: Some("p".to_owned()),
            namespace: None,
            pid: Some(1),
            comm: None,
            capability: Some("setpcap".to_owned()),
            supervisor: None,
            result: result.to_owned(),
            ambiguous: false,
            note: None,
            serial: None,
            source: "netlink".to_owned(),
            scope: Scope::Host,
        }
    }

    #[test]
    fn names_without_end_are_reported_together_and_the_many_stay_apart() {
        let mut log = AuditLog::new(10);
        for number in 0..50_000_u64 {
            let mut one = event("audit_only");
            one.profile = Some(format!("profile {number}"));
            one.comm = Some(format!("name {number}"));
            log.enter(&one, Stamp(number), Scope::Host);
            log.enter(&event("audit_only"), Stamp(number), Scope::Host);
        }
        let rows = log.report(Scope::Host, &Grounds::default());
        assert!(rows.len() <= MAX_ROWS, "{}", rows.len());
        assert_eq!(rows.iter().map(|row| row.count).sum::<u64>(), 100_000);
        assert_eq!(rows[0].profile.as_deref(), Some("p"), "it came most often");
        assert_eq!(rows[0].count, 50_000);
        let together = rows
            .iter()
            .find(|row| !row.exact && row.profile.as_deref() == Some(OVERFLOW));
        assert_eq!(together.map(|row| row.count), Some(log.folded()));
    }

    #[test]
    fn what_left_no_record_is_reported() {
        let mut log = AuditLog::new(10);
        log.enter(&event("matched"), Stamp(1), Scope::Tree);
        log.enter(&event("audit_only"), Stamp(2), Scope::Host);
        log.enter(&event("not_a_denial"), Stamp(3), Scope::Host);
        let all = log.tally(Scope::Host, 1_000);
        assert_eq!((all.records, all.matched, all.audit_only), (3, 1, 1));
        assert_eq!(all.ebpf_only, 999);
        assert_eq!(log.tally(Scope::Tree, 1).records, 1);
        assert_eq!(
            log.report(Scope::Host, &Grounds::default())
                .iter()
                .map(|row| row.count)
                .sum::<u64>(),
            1
        );
        assert!(log.report(Scope::Tree, &Grounds::default()).is_empty());
        assert_eq!(log.denials().iter().map(|(_, count)| count).sum::<u64>(), 2);
    }

    #[test]
    fn the_counter_of_what_left_no_record_never_falls() {
        let second = |number: u64| Stamp(number * 1_000_000_000);
        let mut log = AuditLog::new(10);
        let count = |log: &mut AuditLog, now, by_lsm| {
            log.look(second(now), by_lsm);
            log.matches()[1].1
        };
        assert_eq!(count(&mut log, 10, 5), 5, "before the agent");
        // A denial whose record comes after it was counted.
        assert_eq!(count(&mut log, 11, 6), 5);
        log.enter(&event("matched"), second(11), Scope::Host);
        assert_eq!(count(&mut log, 20, 7), 5);
        assert_eq!(count(&mut log, 30, 7), 6, "no record came of the last");
    }
}
