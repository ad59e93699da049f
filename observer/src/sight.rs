//! *Sight*: whether capwatch sees everything now, and if not, since when, until
//! when and how much it may have missed.
//!
//! The promise is that silence means nothing happened; whatever can break it is
//! a *lapse* with a reason. Loss counters, hooks and sources feed [`Lapses`];
//! every output shows [`Sight`]. No I/O and no clock: stamps come in.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::time::{Stamp, optional};

/// A counter's lapse lasts until the counter has stood still for so many
/// nanoseconds: longer than between two scrapes, so that a gauge shows it.
const LASTS_NS: u64 = 60_000_000_000;
/// Lapses that are over and are kept; beyond, two of a reason become one.
const MAX_PAST: usize = 64;
/// Reasons that are told apart; a stream may bring more than capwatch knows.
const MAX_REASONS: usize = 64;
/// What further reasons count in.
const OTHER: &str = "other";

/// The reasons that every host can have, for outputs that show them all. The
/// loss counters of the kernel side bring others under their own names.
pub const REASONS: [&str; 13] = [
    DROPS_MISSED,
    CHECKS_MISSED,
    TREE_MISSED,
    RULES_MISSED,
    "episodes_full",
    "episodes_lost",
    "tree_full",
    "rows_full",
    HOOK_DOWN,
    SOURCE_DOWN,
    RECORDS_LOST,
    LINES_UNREAD,
    LINES_UNWRITTEN,
];

/// The kernel skipped runs of the programs that see drops.
pub const DROPS_MISSED: &str = "drops_missed";
/// The kernel skipped runs of the programs that see checks.
pub const CHECKS_MISSED: &str = "checks_missed";
/// The kernel skipped runs of the programs that see what rules refuse.
pub const RULES_MISSED: &str = "rules_missed";
/// The kernel skipped runs of the programs that follow processes.
pub const TREE_MISSED: &str = "tree_missed";
/// No agent ran for a while; what was pinned went on.
pub const AGENT_AWAY: &str = "agent_away";
/// A hook that is needed is not attached.
pub const HOOK_DOWN: &str = "hook_down";
/// A source of audit records is not heard.
pub const SOURCE_DOWN: &str = "source_down";
/// A capability is missing without which names can't be looked up.
pub const PRIVILEGE_MISSING: &str = "privilege_missing";
/// Audit records were lost on their way.
pub const RECORDS_LOST: &str = "records_lost";
/// Lines of a log or a stream could not be made sense of.
pub const LINES_UNREAD: &str = "lines_unread";
/// Lines of `--events` or `watch` could not be written.
pub const LINES_UNWRITTEN: &str = "lines_unwritten";

/// The reason that a loss stands for; one that is not told apart here has its own name.
pub fn reason_of<'a>(stage: &str, loss: &'a str) -> &'a str {
    match (stage, loss) {
        ("audit", _) => RECORDS_LOST,
        ("output", _) => LINES_UNWRITTEN,
        (_, "tasks_full") => "tree_full",
        (_, "state_ring_full" | "ring_unread") => "episodes_lost",
        (_, "denial_ring_full") => "events_lost",
        // A drop that was granted for the moment, and a return that was not seen.
        (_, "provisional_full" | "return_missed") => DROPS_MISSED,
        (_, "unpaired") => CHECKS_MISSED,
        (_, own) => own,
    }
}

/// The reason that the misses of a program stand for. Where drops have no hook of
/// their own the checks tell them.
pub fn reason_of_miss(program: &str, drops_are_hooked: bool) -> &'static str {
    if program.starts_with("tree") {
        TREE_MISSED
    } else if program.starts_with("rule") {
        RULES_MISSED
    } else if program.contains("drop") || !drops_are_hooked {
        DROPS_MISSED
    } else {
        CHECKS_MISSED
    }
}

/// Whether a lapse of this reason can hide a finding, so that a gate that finds
/// nothing proves nothing. The others cost details or text: the kernel's counts
/// hold, and it is they that a gate looks at.
pub fn hides(reason: &str) -> bool {
    !matches!(
        reason,
        "events_lost"
            | "rows_full"
            | "rows_share"
            | "breaches_share"
            | "inflight_full"
            | "profiles_full"
            | "lookups_late"
            | "workloads_full"
            | AGENT_AWAY
            | PRIVILEGE_MISSING
            | SOURCE_DOWN
            | RECORDS_LOST
            | LINES_UNWRITTEN
    )
}

/// What a lapse means and what to do, as a sentence each.
#[expect(clippy::too_many_lines, reason = "a table")]
pub fn advice(reason: &str) -> (&'static str, &'static str) {
    match reason {
        DROPS_MISSED => (
            "the kernel skipped runs of the programs that watch bounding-set drops, so failed drops may be missing",
            "look for a process that calls prctl in a loop, and see `capwatch doctor` for a mechanism that does not miss",
        ),
        CHECKS_MISSED => (
            "the kernel skipped runs of the programs that count capability checks, so counts may be too low",
            "look for a process that asks for a capability in a loop",
        ),
        RULES_MISSED => (
            "the kernel skipped runs of the programs that watch what rules refuse, so refused calls may be missing",
            "look for a process that calls capset or execs in a loop",
        ),
        "breaches_full" => (
            "the kernel had no room for another refusal by a rule, so refused calls may be missing",
            "look for a process that changes its name in a loop",
        ),
        "breaches_share" => (
            "one user or cgroup has its share of refusals by a rule: counts hold, names of theirs are missing",
            "look for a process that changes its name in a loop",
        ),
        TREE_MISSED => (
            "the kernel skipped runs of the programs that follow processes, so some may lack their supervisor",
            "look for a process that forks or execs in a loop",
        ),
        "episodes_full" => (
            "the kernel had no room for another open episode, so failed drops may be missing",
            "look for a user with thousands of processes that each dropped a capability",
        ),
        "episodes_lost" => (
            "the ring of episodes was full, so the ends of some episodes are missing",
            "give capwatch more CPU time, or stop the storm",
        ),
        "tree_full" => (
            "the kernel had no room for another followed process, so some lack their supervisor",
            "look for a supervisor with tens of thousands of processes",
        ),
        "followers_full" => (
            "the kernel had no room for what an episode's processes forked, so some verdicts may be missing",
            "look for a process that forks in a loop after a refused drop",
        ),
        "episodes_share" => (
            "one user or cgroup has its share of open episodes, so failed drops of theirs may be missing",
            "look for a user with thousands of processes that each dropped a capability",
        ),
        "tasks_share" => (
            "one user has its share of followed processes, so some of theirs lack their supervisor",
            "look for a supervisor with tens of thousands of processes",
        ),
        "rows_share" => (
            "one user or cgroup has its share of rows: counts hold, names of theirs are missing",
            "look for a process that changes its name in a loop",
        ),
        "totals_full" => (
            "the kernel had no room for another supervisor's counter: sums hold, owners are missing",
            "look for a process that starts supervisors in a loop",
        ),
        "inflight_full" => (
            "the kernel had no room for a layer's answer: some denials name the layer `lsm`",
            "look for a storm of refused checks",
        ),
        "profiles_full" => (
            "the kernel had no room for another profile's name: counts hold",
            "look for profiles that are made in a loop",
        ),
        "rows_full" => (
            "the kernel had no room for another row of denials: counts hold, names are missing",
            "look for a process that changes its name in a loop",
        ),
        "events_lost" => (
            "the ring of denials was full: counts hold, details are missing",
            "look for a denial storm",
        ),
        AGENT_AWAY => (
            "no capwatch ran for a while: the pinned programs counted on, audit records of that time are missing",
            "see the log of capwatch for why it ended",
        ),
        PRIVILEGE_MISSING => (
            "the agent lacks a capability to look up names, so versions of supervisors or containers are missing",
            "run `capwatch doctor` as the agent's user and grant what it names",
        ),
        HOOK_DOWN => (
            "a hook is not attached, so what it sees is missing",
            "run `capwatch doctor` on the host and grant what it names",
        ),
        SOURCE_DOWN => (
            "an audit source is not connected: eBPF still counts denials, their records are missing",
            "run `capwatch doctor` on the host, or leave the source out with --audit-source",
        ),
        RECORDS_LOST => (
            "audit records were lost: eBPF still counts denials, their records are missing",
            "raise the audit backlog (auditctl -b 8192)",
        ),
        LINES_UNREAD => (
            "lines could not be understood, so what they say is missing",
            "`capwatch replay --records` shows each of them with its line number",
        ),
        LINES_UNWRITTEN => (
            "lines of the event output could not be written: metrics and page have what they said",
            "make room on the disk of --events, or read its pipe faster",
        ),
        "workloads_full" => (
            "more workloads run with leftover capabilities than are watched: counters hold",
            "fix the cause of the refused drops, then restart the workloads",
        ),
        "lookups_late" => (
            "looking up containers or versions took too long, so some names are missing",
            "look for a hung mount or a slow disk",
        ),
        _ => (
            "something was lost in the kernel or on the way",
            "see capwatch_events_lost_total for where and why",
        ),
    }
}

/// Why sight is partial, or was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lapse {
    /// Why: a word of [`REASONS`], or that of a loss.
    pub reason: String,
    /// When it began, at the earliest; null of a log that has no times.
    #[serde(with = "optional")]
    pub since: Stamp,
    /// When it ended; none while it lasts.
    pub until: Option<Stamp>,
    /// How much: events possibly missed; of hooks and sources, how many are down.
    pub count: u64,
}

impl fmt::Display for Lapse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            reason,
            since,
            until,
            count,
        } = self;
        write!(formatter, "{reason}, {count}")?;
        // A log's lines may have no time.
        if !since.is_known() {
            return Ok(());
        }
        write!(formatter, " since {since}")?;
        match until {
            Some(until) => write!(formatter, " until {until}"),
            None => Ok(()),
        }
    }
}

/// What capwatch can say of its own sight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sight {
    /// Of a report: whether nothing was missed in all the time that it covers.
    /// Of the agent's status: whether nothing is missed now.
    pub complete: bool,
    /// What was or is missed, the earliest first.
    pub reasons: Vec<Lapse>,
}

impl Default for Sight {
    fn default() -> Self {
        Self {
            complete: true,
            reasons: Vec::new(),
        }
    }
}

impl Sight {
    /// The lapses that last.
    pub fn lasting(&self) -> impl Iterator<Item = &Lapse> {
        self.reasons.iter().filter(|lapse| lapse.until.is_none())
    }

    /// The lapses that can hide a finding, over or not.
    pub fn hiding(&self) -> impl Iterator<Item = &Lapse> {
        self.reasons.iter().filter(|lapse| hides(&lapse.reason))
    }

    /// The word for it.
    pub const fn word(&self) -> &'static str {
        if self.complete { "complete" } else { "partial" }
    }
}

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

    /// Takes over what was told of another time or by another capwatch: lapses
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

    /// Forgets what was found so far; what the counters have told is no news.
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

    /// Sight now; what is over is told too.
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

    /// Enters one that is over, and that no counter tells.
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
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn at(seconds: u64) -> Stamp {
        Stamp(seconds * SECOND)
    }

    #[test]
    fn a_counter_that_grows_is_a_lapse_with_its_span_and_how_much() {
        let mut lapses = Lapses::default();
        lapses.look(at(10), [(DROPS_MISSED, 0)], []);
        assert_eq!(lapses.present(), Sight::default());

        lapses.look(at(11), [(DROPS_MISSED, 3)], []);
        lapses.look(at(12), [(DROPS_MISSED, 7)], []);
        let sight = lapses.present();
        assert!(!sight.complete);
        let [lapse] = sight.reasons.as_slice() else {
            panic!("{sight:?}");
        };
        // What the look at 11 s found was lost after the one at 10 s.
        assert_eq!((lapse.since, lapse.until, lapse.count), (at(10), None, 7));
        assert!(lapses.gauges()[DROPS_MISSED]);

        lapses.look(at(72), [(DROPS_MISSED, 7)], []);
        let sight = lapses.present();
        assert!(sight.complete, "it is over, and still told");
        assert_eq!(sight.reasons[0].until, Some(at(12)));
        assert!(!lapses.gauges()[DROPS_MISSED]);
        assert!(!lapses.overall().complete, "a report covers that time too");
    }

    #[test]
    fn a_lapse_that_comes_again_is_another_one() {
        let mut lapses = Lapses::default();
        for (second, total) in [(1, 0), (2, 5), (100, 5), (101, 6)] {
            lapses.look(at(second), [("episodes_full", total)], []);
        }
        let counts: Vec<_> = lapses.present().reasons.iter().map(|l| l.count).collect();
        assert_eq!(counts, [5, 1]);
    }

    #[test]
    fn a_hook_is_down_for_as_long_as_it_is() {
        let mut lapses = Lapses::default();
        lapses.look(at(1), [], [(HOOK_DOWN, 2), (SOURCE_DOWN, 0)]);
        assert_eq!(lapses.present().reasons[0].count, 2);
        lapses.look(at(2), [], [(HOOK_DOWN, 1)]);
        lapses.look(at(3), [], [(HOOK_DOWN, 0)]);
        let [lapse] = &lapses.present().reasons[..] else {
            panic!("one lapse");
        };
        assert_eq!((lapse.since, lapse.until), (at(1), Some(at(3))));
    }

    #[test]
    fn what_is_kept_is_bounded_and_nothing_is_forgotten() {
        let mut lapses = Lapses::default();
        let mut total = 0;
        for round in 0..1_000 {
            total += 2;
            lapses.look(at(round * 200), [(RECORDS_LOST, total)], []);
            lapses.look(at(round * 200 + 100), [(RECORDS_LOST, total)], []);
        }
        let sight = lapses.overall();
        assert!(sight.reasons.len() <= MAX_PAST, "{}", sight.reasons.len());
        let counts: u64 = sight.reasons.iter().map(|lapse| lapse.count).sum();
        assert_eq!(counts, total);
        assert_eq!(sight.reasons[0].since, at(0));
    }

    #[test]
    fn reasons_that_a_stream_invents_are_bounded() {
        let mut lapses = Lapses::default();
        for number in 0..1_000 {
            let reason = format!("invented_{number}");
            lapses.look(at(number * 100), [(reason.as_str(), 1)], []);
        }
        assert!(lapses.overall().reasons.len() <= MAX_PAST + 1);
        assert!(lapses.gauges().len() <= MAX_PAST + MAX_REASONS + REASONS.len());
    }

    #[test]
    fn what_costs_details_alone_hides_nothing() {
        for reason in ["drops_missed", "episodes_full", "hook_down", "anything_new"] {
            assert!(hides(reason), "{reason}");
        }
        for reason in ["rows_full", "events_lost", "source_down", "lines_unwritten"] {
            assert!(!hides(reason), "{reason}");
        }
        let unknown = advice("anything_new");
        for loss in crate::words::Loss::ALL {
            let reason = reason_of("kernel", loss.reason());
            assert_ne!(advice(reason), unknown, "{reason} has no sentence");
        }
        assert_eq!(reason_of_miss("drop_exit", true), DROPS_MISSED);
        assert_eq!(reason_of_miss("cap_capable_exit", true), CHECKS_MISSED);
        assert_eq!(
            reason_of_miss("cap_capable_tracepoint", false),
            DROPS_MISSED
        );
        assert_eq!(reason_of("kernel", "tasks_full"), "tree_full");
        assert_eq!(reason_of("audit", "kernel"), RECORDS_LOST);
        assert_eq!(reason_of("lookup", "lookups_late"), "lookups_late");
    }

    #[test]
    fn a_sight_that_was_told_comes_back() {
        let mut lapses = Lapses::default();
        lapses.look(at(1), [], [(HOOK_DOWN, 1)]);
        lapses.look(at(2), [(CHECKS_MISSED, 4)], [(HOOK_DOWN, 0)]);
        let told = lapses.overall();
        let mut other = Lapses::default();
        other.restore(&told);
        assert_eq!(other.overall(), told);
    }
}
