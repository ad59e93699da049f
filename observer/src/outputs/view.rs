//! What the agent shows to the page.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use tokio::sync::broadcast::Receiver;

use super::{
    metrics::{Costs, Scrape},
    web::{PinsStatus, STATUS_SCHEMA, Status, Supervisor, Tally, TimedEpisode, View, node},
};
use crate::{
    finding::{Event, Report, Scope, Workload},
    sandbox,
    state::Shared,
    time::Stamp,
    words::Note,
};

impl View for Shared {
    fn report(&self) -> Report {
        self.refresh_for_readers();
        self.ledger().report(Scope::Host, None)
    }

    fn episodes(&self) -> Vec<TimedEpisode> {
        let ledger = self.ledger();
        let kept = ledger.episodes.kept();
        kept.map(|(episode, time)| TimedEpisode {
            time,
            episode: episode.clone(),
        })
        .collect()
    }

    fn tallies(&self) -> Vec<Tally> {
        let ledger = self.ledger();
        let tallies = ledger.episodes.tallies().into_iter();
        tallies
            .map(|(series, count)| Tally {
                inferred: ledger.episodes.inferred().contains(&series.supervisor),
                of_workload: series.role == "workload",
                version: (!series.version.is_empty()).then_some(series.version),
                supervisor: series.supervisor,
                verdict: series.verdict,
                count,
            })
            .collect()
    }

    fn supervisors(&self) -> Vec<Supervisor> {
        let ledger = self.ledger();
        let live = ledger.supervisors.live().values();
        live.map(|(event, since)| Supervisor {
            supervisor: event.supervisor.clone(),
            pid: event.pid,
            exe: event.exe.clone(),
            version: event.version.clone(),
            container: event.container.clone(),
            since: *since,
        })
        .collect()
    }

    fn workloads(&self) -> Vec<Workload> {
        let ledger = self.ledger();
        ledger.supervisors.workloads().values().cloned().collect()
    }

    fn status(&self) -> Status {
        let unready = self.unready();
        let pins = self.kernel().as_ref().and_then(|kernel| {
            let (pins, about) = kernel.pinned()?;
            Some(PinsStatus {
                folder: pins.path().display().to_string(),
                version: about.version.clone(),
                since: about.since,
                unpinned: about.unpinned.clone(),
                away: kernel.away().cloned(),
            })
        });
        let ledger = self.ledger();
        let lost: BTreeMap<String, u64> = ledger.lost();
        Status {
            schema: STATUS_SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ready: unready.is_none(),
            reason: unready.map(str::to_owned),
            now: Stamp::now(),
            started: self.started(),
            node: node(),
            host: ledger.host.clone(),
            hooks: ledger.hooks.clone(),
            sources: ledger.sources.clone(),
            lost,
            sight: ledger.sight.present(),
            pins,
            sandbox: sandbox::report(),
        }
    }

    fn metrics(&self) -> Result<String, String> {
        let began = Instant::now();
        self.refresh_for_readers();
        let scrape = Scrape::of(&self.ledger());
        let costs = Costs {
            latency: self.note_shown(),
            runs: self.runs(),
            walks: self.note(Note::WalkCompared),
            disagreements: self.note(Note::WalkDisagreed),
        };
        let text = scrape.with_costs(&costs).text(began);
        text.map_err(|error| error.to_string())
    }

    fn subscribe(&self) -> Receiver<Arc<Event>> {
        Self::subscribe(self)
    }
}
