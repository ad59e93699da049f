//! The lapses of sight, bounded.

use std::collections::BTreeMap;

use super::{Lapse, REASONS, Sight};
use crate::time::Stamp;

/// A counter's lapse lasts until the counter has stood still for so many
/// nanoseconds: longer than between two scrapes, so a gauge shows it.
const LASTS_NS: u64 = 60_000_000_000;
/// Lapses that are over and are kept; beyond, two of a reason become one.
const MAX_PAST: usize = 64;
/// Reasons that are distinguished; a stream may bring more than capwatch knows.
const MAX_REASONS: usize = 64;
/// What further reasons count in.
const OTHER: &str = "other";

/// A lapse that may still last.
#[derive(Clone, Copy, Debug)]
struct Open {
    since: Stamp,
    /// When it was last seen to last.
    last: Stamp,
    count: u64,
    /// Whether it lasts while a condition holds, not while a counter grows.
    is_state: bool,
}

/// Keeps the lapses, bounded.
#[derive(Clone, Debug, Default)]
pub struct Lapses {
    /// When the counters were looked at last.
    looked: Option<Stamp>,
    totals: BTreeMap<String, u64>,
    open: BTreeMap<String, Open>,
    past: Vec<Lapse>,
}

impl Lapses {
    /// Looks at everything that can make sight partial: the total of each loss
    /// counter by reason, and how much is wrong by each condition.
    pub fn look<'a>(
        &mut self,
        now: Stamp,
        counters: impl IntoIterator<Item = (&'a str, u64)>,
        conditions: impl IntoIterator<Item = (&'a str, u64)>,
    ) {
        // What was lost since the last look was lost after it.
        let since = self.looked.unwrap_or(now).min(now);
        let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
        for (reason, total) in counters {
            *totals.entry(reason).or_default() += total;
        }
        for (reason, total) in totals {
            let reason = self.bounded(reason);
            let known = self.totals.entry(reason.to_owned()).or_default();
            let grown = total.saturating_sub(*known);
            *known = total.max(*known);
            if grown > 0 {
                let open = self.open.entry(reason.to_owned()).or_insert(Open {
                    since,
                    last: now,
                    count: 0,
                    is_state: false,
                });
                open.last = open.last.max(now);
                open.count += grown;
            }
        }
        let mut held = Vec::new();
        for (reason, count) in conditions {
            if count == 0 {
                continue;
            }
            held.push(reason);
            let open = self.open.entry(reason.to_owned()).or_insert(Open {
                since: now,
                last: now,
                count,
                is_state: true,
            });
            open.last = now;
            open.count = open.count.max(count);
        }
        self.close(|reason, open| {
            if open.is_state {
                (!held.contains(&reason)).then_some(now)
            } else {
                (now.since(open.last) >= LASTS_NS).then_some(open.last)
            }
        });
        self.looked = Some(now);
    }

    /// Takes over what was reported of another time or by another capwatch: lapses
    /// that lasted there last here.
    pub fn restore(&mut self, sight: &Sight) {
        self.open.clear();
        self.past.clear();
        for lapse in sight.reasons.iter().take(2 * MAX_PAST) {
            if lapse.until.is_some() {
                self.keep(lapse.clone());
                continue;
            }
            let reason = self.bounded(&lapse.reason).to_owned();
            self.open.insert(
                reason,
                Open {
                    since: lapse.since,
                    last: lapse.since,
                    count: lapse.count,
                    is_state: true,
                },
            );
        }
    }

    /// Forgets what was found so far; what the counters have shown is no news.
    pub fn forget(&mut self) {
        self.open.clear();
        self.past.clear();
    }

    /// Sight over all the time since the first look.
    pub fn overall(&self) -> Sight {
        let reasons = self.reasons();
        Sight {
            complete: reasons.is_empty(),
            reasons,
        }
    }

    /// Sight now; what is over is listed too.
    pub fn present(&self) -> Sight {
        Sight {
            complete: self.open.is_empty(),
            reasons: self.reasons(),
        }
    }

    /// Each reason with whether it lasts now; the known ones always.
    pub fn gauges(&self) -> BTreeMap<&str, bool> {
        let known = REASONS.iter().map(|reason| (*reason, false));
        let mut gauges: BTreeMap<&str, bool> = known.collect();
        gauges.extend(self.past.iter().map(|lapse| (lapse.reason.as_str(), false)));
        gauges.extend(self.open.keys().map(|reason| (reason.as_str(), true)));
        gauges
    }

    fn reasons(&self) -> Vec<Lapse> {
        let open = self.open.iter().map(|(reason, open)| Lapse {
            reason: reason.clone(),
            since: open.since,
            until: None,
            count: open.count,
        });
        let mut reasons: Vec<_> = self.past.iter().cloned().chain(open).collect();
        // To the microsecond, as a report has it: a replayed one has the same order.
        reasons.sort_by(|a, b| (a.since.0 / 1_000, &a.reason).cmp(&(b.since.0 / 1_000, &b.reason)));
        reasons
    }

    /// A reason, or [`OTHER`] where too many are known already.
    fn bounded<'a>(&self, reason: &'a str) -> &'a str {
        if self.totals.len() < MAX_REASONS || self.totals.contains_key(reason) {
            reason
        } else {
            OTHER
        }
    }

    fn close(&mut self, over: impl Fn(&str, &Open) -> Option<Stamp>) {
        let mut closed = Vec::new();
        self.open.retain(|reason, open| {
            let Some(until) = over(reason, open) else {
                return true;
            };
            closed.push(Lapse {
                reason: reason.clone(),
                since: open.since,
                until: Some(until),
                count: open.count,
            });
            false
        });
        for lapse in closed {
            self.keep(lapse);
        }
    }

    /// Enters one that is over, and that no counter shows.
    pub fn enter(&mut self, reason: &str, since: Stamp, until: Stamp, count: u64) {
        self.keep(Lapse {
            reason: reason.to_owned(),
            since,
            until: Some(until),
            count,
        });
    }

    /// Keeps one that is over. Where there are too many, the two earliest of a
    /// reason become one that spans both: nothing is forgotten.
    fn keep(&mut self, lapse: Lapse) {
        self.past.push(lapse);
        if self.past.len() <= MAX_PAST {
            return;
        }
        let mut firsts: BTreeMap<&str, usize> = BTreeMap::new();
        let pair = self.past.iter().enumerate().find_map(|(place, lapse)| {
            let first = firsts.insert(&lapse.reason, place)?;
            Some((first, place))
        });
        let Some((first, second)) = pair else {
            // More reasons than lapses that are kept: a stream's own words.
            OTHER.clone_into(&mut self.past[0].reason);
            OTHER.clone_into(&mut self.past[1].reason);
            return self.merge(0, 1);
        };
        self.merge(first, second);
    }

    fn merge(&mut self, first: usize, second: usize) {
        let later = self.past.remove(second);
        let earlier = &mut self.past[first];
        earlier.since = earlier.since.min(later.since);
        earlier.until = earlier.until.max(later.until);
        earlier.count = earlier.count.saturating_add(later.count);
    }
}

#[cfg(test)]
mod tests;
