//! What rules refused, by what makes it alike: bounded.

use std::{collections::HashMap, sync::Arc};

use super::{
    NONE,
    limited::{Counted, Limited},
    saved::SavedRefusals,
    series::RefusalSeries,
};
use crate::{
    correlate::explain_rule,
    finding::{Container, RuleCounts, RuleRefusal, Scope},
    time::Stamp,
};

/// Rows that are distinguished.
const MAX_ROWS: usize = 2_048;
/// Of those, for supervisors of root and what they start.
const OF_ROOT: usize = 512;
/// Rows of one other user.
const OF_USER: usize = 128;
/// Rows of what belongs to no supervisor.
const OF_NOBODY: usize = 512;

/// What distinguishes a row.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Name {
    scope: Scope,
    call: String,
    rule: String,
    errno: u16,
    supervisor: Option<String>,
    role: Option<String>,
    missing: Vec<String>,
    version: Option<String>,
    container: Option<String>,
    comm: String,
    exe: Option<String>,
}

struct Row {
    container: Option<Arc<Container>>,
    pid: Option<u32>,
    uid: Option<u32>,
    path: Option<String>,
    count: u64,
    while_away: bool,
    first: Stamp,
    last: Stamp,
}

/// What is known of them.
pub struct Refusals {
    rows: HashMap<Name, Row>,
    by_user: HashMap<Option<u32>, usize>,
    nobody: usize,
    series: Limited<RefusalSeries>,
    /// Calls that were refused, and not only without a file's privileges, by scope.
    counts: [RuleCounts; Scope::ALL.len()],
}

impl Refusals {
    /// None yet.
    pub fn new(limit: usize) -> Self {
        Self {
            rows: HashMap::new(),
            by_user: HashMap::new(),
            nobody: 0,
            series: Limited::new(limit),
            counts: Default::default(),
        }
    }

    /// Enters an event, with what is alike.
    pub fn enter(&mut self, refusal: &RuleRefusal, scope: Scope) {
        let role = refusal.role.clone();
        let series = RefusalSeries {
            supervisor: refusal.supervisor.as_deref().unwrap_or(NONE).to_owned(),
            role: role.as_deref().unwrap_or(NONE).to_owned(),
            call: refusal.call.clone(),
            rule: refusal.rule.clone(),
        };
        self.series.add(series, refusal.count);
        if refusal.errno != 0 {
            self.counts[scope as usize].add(role.as_deref(), refusal.count);
        }
        self.enter_row(refusal, scope);
    }

    /// What is to be kept over a restart.
    pub fn save(&self) -> SavedRefusals {
        let rows = self.rows.iter().map(|(name, row)| RuleRefusal {
            explanation: String::new(),
            ..reported(name, row)
        });
        SavedRefusals {
            series: Counted::of(&self.series),
            counts: self.counts,
            rows: rows.collect(),
        }
    }

    /// Goes on from what was kept.
    pub fn restore(&mut self, saved: SavedRefusals) {
        let SavedRefusals {
            series,
            counts,
            rows,
        } = saved;
        self.series.restore(series);
        for (count, saved) in self.counts.iter_mut().zip(counts) {
            count.join(saved);
        }
        // Those that others were folded into have room beyond the bound.
        let (folded, rows): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|row| row.comm.is_empty());
        for row in rows.iter().chain(&folded) {
            self.enter_row(row, row.scope);
        }
    }

    fn enter_row(&mut self, refusal: &RuleRefusal, scope: Scope) {
        let row = self.row(refusal, scope);
        row.count += refusal.count;
        row.while_away |= refusal.while_away;
        row.first = row.first.min(refusal.first);
        row.last = row.last.max(refusal.last);
        row.pid = refusal.pid.or(row.pid);
        row.uid = refusal.uid.or(row.uid);
        if refusal.path.is_some() {
            row.path.clone_from(&refusal.path);
        }
    }

    /// Its row. Anybody can make names: above a share there is one for each rule.
    fn row(&mut self, refusal: &RuleRefusal, scope: Scope) -> &mut Row {
        let mut name = name(refusal, scope);
        if !self.rows.contains_key(&name) {
            if self.has_room(refusal) {
                *self.by_user.entry(refusal.uid).or_default() += 1;
                self.nobody += usize::from(refusal.supervisor.is_none());
            } else {
                name = folded(name);
            }
        }
        self.rows.entry(name).or_insert_with(|| Row {
            container: refusal.container.clone(),
            pid: None,
            uid: None,
            path: None,
            count: 0,
            while_away: false,
            first: refusal.first,
            last: refusal.last,
        })
    }

    fn has_room(&self, refusal: &RuleRefusal) -> bool {
        let is_nobody = refusal.supervisor.is_none();
        if refusal.uid == Some(0) && !is_nobody {
            return self.rows.len() < MAX_ROWS;
        }
        let of_user = self.by_user.get(&refusal.uid).copied().unwrap_or(0);
        self.rows.len() < MAX_ROWS - OF_ROOT
            && (refusal.uid == Some(0) || of_user < OF_USER)
            && (!is_nobody || self.nobody < OF_NOBODY)
    }

    /// The counters.
    pub const fn by_series(&self) -> &Limited<RefusalSeries> {
        &self.series
    }

    /// How many calls a rule refused in a scope, those within it left out.
    pub const fn counts(&self, scope: Scope) -> RuleCounts {
        self.counts[scope as usize]
    }

    /// Every row of a scope and those within it: supervisors' first, then the most.
    pub fn report(&self, scope: Scope) -> Vec<RuleRefusal> {
        let rows = self.rows.iter();
        let mut rows: Vec<_> = rows.filter(|(name, _)| scope.takes(name.scope)).collect();
        rows.sort_by(|(one, row), (other, than)| {
            let rank = |name: &Name| match name.role.as_deref() {
                _ if name.errno == 0 => 3,
                Some("supervisor") => 0,
                Some(_) => 1,
                None => 2,
            };
            (rank(one), than.count, one).cmp(&(rank(other), row.count, other))
        });
        rows.into_iter()
            .map(|(name, row)| reported(name, row))
            .collect()
    }
}

fn name(refusal: &RuleRefusal, scope: Scope) -> Name {
    let container = refusal.container.as_deref();
    Name {
        scope,
        call: refusal.call.clone(),
        rule: refusal.rule.clone(),
        errno: refusal.errno,
        supervisor: refusal.supervisor.clone(),
        role: refusal.role.clone(),
        missing: refusal.missing.clone(),
        version: refusal.version.clone(),
        container: container.map(|container| container.id.clone()),
        comm: refusal.comm.clone(),
        exe: refusal.exe.clone(),
    }
}

/// The name without what a process can choose.
fn folded(name: Name) -> Name {
    Name {
        missing: Vec::new(),
        version: None,
        container: None,
        comm: String::new(),
        exe: None,
        ..name
    }
}

fn reported(name: &Name, row: &Row) -> RuleRefusal {
    let Name {
        scope,
        call,
        rule,
        errno,
        supervisor,
        role,
        missing,
        version,
        container: _,
        comm,
        exe,
    } = name.clone();
    let is_folded = comm.is_empty();
    let mut refusal = RuleRefusal {
        scope,
        call,
        rule,
        missing,
        errno,
        count: row.count,
        while_away: row.while_away,
        supervisor,
        role,
        version,
        container: row.container.clone().filter(|_| !is_folded),
        pid: row.pid.filter(|_| !is_folded),
        uid: row.uid.filter(|_| !is_folded),
        comm,
        exe,
        path: row.path.clone().filter(|_| !is_folded),
        first: row.first,
        last: row.last,
        explanation: String::new(),
    };
    refusal.explanation = explain_rule(&refusal);
    refusal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(comm: &str, time: u64) -> RuleRefusal {
        RuleRefusal {
            call: "capset".to_owned(),
            rule: "permitted_beyond_permitted".to_owned(),
            missing: vec!["chown".to_owned()],
            errno: 1,
            count: 2,
            pid: Some(7),
            comm: comm.to_owned(),
            first: Stamp(time),
            last: Stamp(time),
            ..RuleRefusal::default()
        }
    }

    #[test]
    fn alike_calls_are_one_row_and_names_without_end_are_bounded() {
        let mut refusals = Refusals::new(10);
        for time in [5, 3, 9] {
            refusals.enter(&refusal("one", time), Scope::Host);
        }
        let rows = refusals.report(Scope::Host);
        assert_eq!((rows.len(), rows[0].count), (1, 6));
        assert_eq!((rows[0].first, rows[0].last), (Stamp(3), Stamp(9)));
        assert!(rows[0].explanation.contains("permitted set"), "{rows:?}");
        for number in 0..10_000 {
            refusals.enter(&refusal(&format!("c{number}"), 1), Scope::Host);
        }
        let rows = refusals.report(Scope::Host);
        assert!(rows.len() <= OF_USER + 1, "{}", rows.len());
        assert_eq!(rows.iter().map(|row| row.count).sum::<u64>(), 20_006);
        assert_eq!(refusals.counts(Scope::Host).none, 20_006);
        assert!(refusals.report(Scope::Tree).is_empty());
    }

    #[test]
    fn what_was_kept_over_a_restart_goes_on_where_it_was() {
        let mut refusals = Refusals::new(3);
        let names = (0..2_000).map(|number| format!("c{number}"));
        for name in names {
            let supervisor = Some(name[..2].to_owned());
            let refusal = RuleRefusal {
                supervisor,
                while_away: name == "c7",
                ..refusal(&name, 5_000_000)
            };
            refusals.enter(&refusal, Scope::Host);
        }
        let saved = serde_json::to_string(&refusals.save()).unwrap();
        let mut next = Refusals::new(3);
        next.restore(serde_json::from_str(&saved).unwrap());
        let series = |of: &Refusals| {
            let series = of.by_series().iter();
            let mut series: Vec<_> = series.map(|(key, count)| (key.clone(), count)).collect();
            series.sort();
            series
        };
        assert_eq!(series(&next), series(&refusals));
        assert_eq!(
            next.by_series().overflowed(),
            refusals.by_series().overflowed()
        );
        assert_eq!(next.counts(Scope::Host), refusals.counts(Scope::Host));
        let rows = next.report(Scope::Host);
        assert!(rows == refusals.report(Scope::Host));
        assert_eq!(rows.iter().filter(|row| row.while_away).count(), 1);
        next.enter(&refusal("c1", 9), Scope::Host);
        assert_eq!(next.counts(Scope::Host).none, 4_002);
    }

    #[test]
    fn names_of_many_users_leave_a_supervisor_of_root_its_row() {
        let mut refusals = Refusals::new(10);
        for number in 0..100_000 {
            let one = RuleRefusal {
                supervisor: (number % 2 == 0).then(|| "openshell".to_owned()),
                uid: Some(1_000 + number % 1_000),
                ..refusal(&format!("c{number}"), 1)
            };
            refusals.enter(&one, Scope::Host);
        }
        assert!(refusals.rows.len() <= MAX_ROWS, "{}", refusals.rows.len());
        let real = RuleRefusal {
            supervisor: Some("openshell".to_owned()),
            uid: Some(0),
            ..refusal("real", 5)
        };
        refusals.enter(&real, Scope::Host);
        let rows = refusals.report(Scope::Host);
        let row = rows.iter().find(|row| row.comm == "real").unwrap();
        assert_eq!((row.count, row.uid, row.pid), (2, Some(0), Some(7)));
        assert_eq!(rows.iter().map(|row| row.count).sum::<u64>(), 200_002);
    }
}
