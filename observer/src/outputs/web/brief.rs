//! What a person would want of a moment's events: a few of each sort.

use std::sync::Arc;

use crate::finding::{Event, EventKind};

/// Events of one moment that are shown.
const MOST: usize = 20;

/// A choice from events that come one by one. A storm of one sort never crowds
/// out the others.
#[derive(Debug, Default)]
pub struct Brief {
    chosen: Vec<Arc<Event>>,
    left_out: u64,
}

impl Brief {
    /// Whether nothing was added that anybody would want.
    pub fn is_empty(&self) -> bool {
        self.chosen.is_empty()
    }

    /// Takes one more in, or counts it; what tells nobody anything is passed over.
    pub fn add(&mut self, event: Arc<Event>) {
        if !is_telling(&event) {
            return;
        }
        if self.chosen.len() == MOST {
            self.left_out += 1;
            let crowd = |of: &Event| {
                let wanted = sort(of);
                let chosen = self.chosen.iter();
                chosen.filter(|one| sort(one) == wanted).count()
            };
            let own = crowd(&event);
            // No other can be larger; the case of a storm.
            if own >= MOST / 2 {
                return;
            }
            let crowds = self.chosen.iter().map(|one| crowd(one)).zip(0..);
            let (largest, place) = crowds.max().unwrap_or_default();
            if own + 1 >= largest {
                return;
            }
            // The newest of the largest crowd: order stays that of time.
            self.chosen.remove(place);
        }
        self.chosen.push(event);
    }

    /// What was chosen, in the order in which it came, and how many were left out.
    pub fn finish(self) -> (Vec<Arc<Event>>, u64) {
        let Self { chosen, left_out } = self;
        (chosen, left_out)
    }
}

/// Denials that nobody would want to read of are in the lists all the same.
fn is_telling(event: &Event) -> bool {
    match &event.kind {
        EventKind::Denial(denial) => denial.is_telling(),
        EventKind::Episode(_)
        | EventKind::Audit(_)
        | EventKind::Supervisor(_)
        | EventKind::Loss(_) => true,
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::SupervisorEvent;
    use crate::time::Stamp;

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
            chosen
                .iter()
                .filter(|one| sort(one).1 == Some(name))
                .count()
        };
        assert_eq!((of("loud"), of("quiet")), (MOST - 3, 3));
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
