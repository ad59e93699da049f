//! A view of made-up findings that grow as time goes by.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use observer::finding::{Event, EventKind, Report};
use observer::outputs::web::{Status, Supervisor, TimedEpisode, View};
use observer::time::Stamp;
use tokio::sync::broadcast;

use crate::findings;
use crate::metrics::Metrics;

const KEPT: usize = 500;

pub struct Demo {
    started: Stamp,
    events: broadcast::Sender<Arc<Event>>,
    episodes: Mutex<VecDeque<TimedEpisode>>,
    metrics: Metrics,
}

impl Demo {
    pub fn new() -> Self {
        let now = Stamp::now();
        let episodes: VecDeque<_> = findings::history(now).into();
        let metrics = Metrics::new();
        for timed in &episodes {
            metrics.count(&timed.episode, timed.time);
        }
        Self {
            started: Stamp(now.0 - 7_500 * findings::SECOND),
            events: broadcast::channel(1024).0,
            episodes: Mutex::new(episodes),
            metrics,
        }
    }

    /// One more event: an episode, or now and then a denial.
    pub fn happen(&self) {
        let now = Stamp::now();
        let mut episodes = self.lock();
        let number = episodes.back().map_or(0, |timed| {
            let digits = timed.episode.id.trim_start_matches("ep-");
            digits.parse::<u64>().unwrap_or_default() + 1
        });
        let episode = findings::episode(number);
        self.metrics.count(&episode, now);
        let kind = if number.is_multiple_of(4) {
            EventKind::Denial(findings::denial(number % 7, now))
        } else {
            EventKind::Episode(episode.clone())
        };
        episodes.push_back(TimedEpisode { time: now, episode });
        if episodes.len() > KEPT {
            episodes.pop_front();
        }
        // An error says that nobody listens.
        let _ = self.events.send(Arc::new(Event::new(now, kind)));
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<TimedEpisode>> {
        self.episodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl View for Demo {
    fn report(&self) -> Report {
        let episodes = self.episodes().into_iter().map(|timed| timed.episode);
        findings::report(episodes.collect(), Stamp::now())
    }

    fn episodes(&self) -> Vec<TimedEpisode> {
        self.lock().iter().cloned().collect()
    }

    fn supervisors(&self) -> Vec<Supervisor> {
        findings::supervisors(Stamp::now())
    }

    fn status(&self) -> Status {
        findings::status(Stamp::now(), self.started)
    }

    fn metrics(&self) -> Result<String, String> {
        self.metrics.text()
    }

    fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.events.subscribe()
    }
}
