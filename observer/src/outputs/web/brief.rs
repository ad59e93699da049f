//! What a person would want of a moment's events: a few of each sort.

use std::sync::Arc;

use crate::finding::{Event, EventKind, LossEvent, Verdict};
use crate::time::Stamp;

/// Events of one moment that are shown.
const MOST: usize = 20;

/// A choice from events that come one by one. A storm of one sort never crowds
/// out the others.
#[derive(Debug, Default)]
pub struct Brief {
    chosen: Vec<Arc<Event>>,
    /// Losses of each kind, summed: all are reported.
    losses: Vec<(Stamp, LossEvent)>,
    left_out: u64,
}

impl Brief {
    /// Whether nothing was added that anybody would want.
    pub fn is_empty(&self) -> bool {
        self.chosen.is_empty() && self.losses.is_empty()
    }

    /// Takes one more in, or counts it; what shows nothing new is passed over.
    pub fn add(&mut self, event: Arc<Event>) {
        if let EventKind::Loss(loss) = &event.kind {
            let mut known = self.losses.iter_mut();
            match known.find(|(_, one)| one.stage == loss.stage && one.reason == loss.reason) {
                Some((_, one)) => one.count += loss.count,
                None => self.losses.push((event.time, loss.clone())),
            }
            return;
        }
        if !is_notable(&event) {
            return;
        }
        if self.chosen.len() == MOST {
            self.left_out += 1;
            let Some(place) = self.place_for(&event) else {
                return;
            };
            self.chosen.remove(place);
        }
        self.chosen.push(event);
    }

    /// Which event gives its place to this one: the newest of the largest crowd, of
    /// those that alarm only to another that does.
    fn place_for(&self, event: &Event) -> Option<usize> {
        let crowd = |of: &Event| {
            let wanted = sort(of);
            let chosen = self.chosen.iter();
            chosen.filter(|one| sort(one) == wanted).count()
        };
        let (own, alarms) = (crowd(event), is_alarm(event));
        // The case of a storm: no other crowd can be larger.
        if own >= MOST / 2 {
            return None;
        }
        let places = self.chosen.iter().enumerate();
        let candidates = places.filter_map(|(place, one)| {
            let weaker = alarms && !is_alarm(one);
            let crowd = crowd(one);
            let gives_way = weaker || (is_alarm(one) == alarms && crowd > own + 1);
            gives_way.then_some((weaker, crowd, place))
        });
        candidates.max().map(|(.., place)| place)
    }

    /// What was chosen, in the order in which it came, then what was lost; and how
    /// many were left out.
    pub fn finish(self) -> (Vec<Arc<Event>>, u64) {
        let Self {
            mut chosen,
            losses,
            left_out,
        } = self;
        let losses = losses.into_iter();
        chosen.extend(losses.map(|(time, loss)| Arc::new(Event::new(time, EventKind::Loss(loss)))));
        (chosen, left_out)
    }
}

/// Denials that nobody would want to read of are in the lists all the same.
fn is_notable(event: &Event) -> bool {
    match &event.kind {
        EventKind::Denial(denial) => denial.is_notable(),
        EventKind::Episode(_)
        | EventKind::Audit(_)
        | EventKind::Supervisor(_)
        | EventKind::RuleRefusal(_)
        | EventKind::Loss(_) => true,
    }
}

/// Whether somebody should look at once.
fn is_alarm(event: &Event) -> bool {
    match &event.kind {
        EventKind::Episode(episode) => match episode.verdict {
            Verdict::Fatal | Verdict::Degraded | Verdict::Pending => true,
            Verdict::Ok | Verdict::Harmless => false,
        },
        EventKind::Denial(_)
        | EventKind::Audit(_)
        | EventKind::Supervisor(_)
        | EventKind::RuleRefusal(_)
        | EventKind::Loss(_) => false,
    }
}

/// What makes two events alike: kind, supervisor, and how it went.
fn sort(event: &Event) -> (u8, Option<&str>, &str) {
    match &event.kind {
        EventKind::Denial(denial) => (0, denial.supervisor.as_deref(), &denial.layer),
        EventKind::Episode(episode) => (1, episode.supervisor.as_deref(), episode.verdict.as_str()),
        EventKind::Audit(audit) => (2, audit.supervisor.as_deref(), &audit.result),
        EventKind::Supervisor(change) => (3, Some(&change.supervisor), &change.change),
        EventKind::Loss(loss) => (4, None, &loss.reason),
        EventKind::RuleRefusal(refusal) => (5, refusal.supervisor.as_deref(), &refusal.rule),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::SupervisorEvent;

    fn event(supervisor: &str, pid: u32) -> Arc<Event> {
        let kind = EventKind::Supervisor(SupervisorEvent {
            supervisor: supervisor.to_owned(),
            change: "started".to_owned(),
            pid,
            ..SupervisorEvent::default()
        });
        Arc::new(Event::new(Stamp(0), kind))
    }

    #[test]
    fn a_storm_of_one_sort_leaves_room_for_the_others() {
        let mut brief = Brief::default();
        for pid in 0..500 {
            brief.add(event("loud", pid));
        }
        for pid in 500..503 {
            brief.add(event("quiet", pid));
        }
        for pid in 503..1000 {
            brief.add(event("loud", pid));
        }
        let (chosen, left_out) = brief.finish();
        assert_eq!(chosen.len(), MOST);
        assert_eq!(left_out, 1000 - MOST as u64);
        let of = |name: &str| {
            let chosen = chosen.iter();
            chosen.filter(|one| sort(one).1 == Some(name)).count()
        };
        assert_eq!((of("loud"), of("quiet")), (MOST - 3, 3));
        let pids = chosen.iter().map(|one| match &one.kind {
            EventKind::Supervisor(change) => change.pid,
            _ => 0,
        });
        assert!(pids.is_sorted(), "the order is that of time");
    }

    #[test]
    fn losses_are_all_reported() {
        let mut brief = Brief::default();
        for count in 1..=100 {
            let loss = LossEvent {
                stage: "output".to_owned(),
                reason: "feed_behind".to_owned(),
                count,
            };
            brief.add(Arc::new(Event::new(Stamp(0), EventKind::Loss(loss))));
        }
        assert!(!brief.is_empty());
        let (chosen, left_out) = brief.finish();
        let [event] = chosen.as_slice() else {
            panic!("{chosen:?}");
        };
        assert!(matches!(&event.kind, EventKind::Loss(loss) if loss.count == 5_050));
        assert_eq!(left_out, 0);
    }

    #[test]
    fn few_events_are_all_there_in_their_order() {
        let mut brief = Brief::default();
        let events: Vec<_> = (0..5).map(|pid| event("one", pid)).collect();
        for event in &events {
            brief.add(Arc::clone(event));
        }
        assert_eq!(brief.finish(), (events, 0));
    }
}
