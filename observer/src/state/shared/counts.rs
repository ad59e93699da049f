//! Taking the kernel's counts over.

use std::{collections::HashSet, sync::atomic::Ordering};

use super::{FOLD_ABOVE, FOLD_IDLE_ABOVE, IDLE_NS, Shared};
use crate::{
    correlate::Tally,
    finding::Scope,
    ledger::{KernelRow, KernelTotal, row_name},
    observation::Row,
    sources::bpf::{Counted, Kernel},
    state::{kept::Entry, stream::Recorder},
    time::{Clock, Stamp, monotonic},
};

impl Shared {
    /// One at a time: a row that was read before it was given back, and entered
    /// after, would count twice.
    pub(super) fn take_counts(&self, give_back: bool) {
        self.refreshed.store(monotonic(), Ordering::Relaxed);
        let kernel = self.kernel();
        let Some(kernel) = kernel.as_ref() else {
            return;
        };
        let clock = Clock::sample();
        let tallied = |(id, key, count): (u64, Row, Counted)| {
            let tally = Tally {
                count: count.count,
                first: clock.stamp(count.first),
                last: clock.stamp(count.last),
            };
            KernelRow::new(id, key, tally)
        };
        let mut rows: Vec<_> = kernel.rows().into_iter().map(tallied).collect();
        let totals = kernel.totals().into_iter();
        let mut totals: Vec<_> = totals
            .map(|(id, key, count)| KernelTotal::new(id, key, count))
            .collect();
        for KernelTotal { key, .. } in &mut totals {
            self.names.rename(&mut key.owner, 0);
        }
        let rename = |rows: &mut Vec<KernelRow>| {
            for KernelRow { key, scope, .. } in rows {
                *scope = self.scopes.now(&key.owner, key.cgroup);
                self.names.rename(&mut key.owner, key.cgroup);
            }
        };
        self.rows.store(rows.len(), Ordering::Relaxed);
        if give_back && rows.len() > FOLD_IDLE_ABOVE {
            let mut gone = split_idle(&mut rows, Stamp::now());
            if rows.len() > FOLD_ABOVE {
                gone.extend(split_gone(kernel, &mut rows));
            }
            let keys: Vec<_> = gone.iter().map(|row| row.key).collect();
            rename(&mut gone);
            let scope = self.recorder().as_ref().map(Recorder::scope);
            let mut final_rows = Vec::new();
            if let Some(state) = &self.state
                && !gone.is_empty()
            {
                let folded = self.ledger().denials.to_fold(&gone);
                state.note(&Entry::Folded(folded));
            }
            {
                let mut ledger = self.ledger();
                let grounds = ledger.grounds();
                if let Some(scope) = scope {
                    let rows = gone.iter().filter(|row| scope.takes(row.scope));
                    final_rows.extend(rows.map(|row| {
                        let denials = &ledger.denials;
                        let denial = denials.row(&row.key, row.tally, row.scope, &grounds);
                        (row_name(&row.key), denial)
                    }));
                }
                if let Some(recording) = self.recording().as_mut() {
                    let of_scope = |row: &&KernelRow| recording.scope().takes(row.scope);
                    let rows: Vec<_> = gone.iter().filter(of_scope).collect();
                    for row in rows {
                        recording.row(ledger.denials.folded_row(row));
                    }
                }
                ledger.denials.fold(&gone, &grounds);
            }
            // Their texts are made without holding up other users of the ledger.
            if let Some(recorder) = self.recorder().as_mut() {
                for (name, denial) in final_rows {
                    recorder.row(name, denial, true);
                }
            }
            kernel.forget_rows(&keys);
        }
        rename(&mut rows);
        let mut ledger = self.ledger();
        ledger.denials.set(&rows, &totals);
        let by_lsm = ledger.denials.by_lsm(Scope::Host);
        ledger.audit.look(Stamp::now(), by_lsm);
    }
}

/// Takes out the rows of processes that no supervisor owns, in which nothing was
/// counted for a while: anybody can make them.
fn split_idle(rows: &mut Vec<KernelRow>, now: Stamp) -> Vec<KernelRow> {
    let idle = |row: &KernelRow| {
        row.key.owner.rule == 0 && !row.key.owner.in_tree && now.since(row.tally.last) > IDLE_NS
    };
    let (idle, live) = rows.drain(..).partition(idle);
    *rows = live;
    idle
}

/// Takes out the rows of supervisors of which no process is left, so
/// nobody counts in them any more.
fn split_gone(kernel: &Kernel, rows: &mut Vec<KernelRow>) -> Vec<KernelRow> {
    let Some(tasks) = kernel.tasks() else {
        return Vec::new();
    };
    let owners: HashSet<_> = tasks
        .iter()
        .map(|(_, task)| (task.owner.tgid, task.owner.start))
        .collect();
    let gone =
        |key: &Row| key.owner.tgid != 0 && !owners.contains(&(key.owner.tgid, key.owner.start));
    let (gone, live) = rows.drain(..).partition(|row| gone(&row.key));
    *rows = live;
    gone
}
