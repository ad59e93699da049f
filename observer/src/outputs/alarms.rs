//! Drops that failed, in the agent's log: on a thread of its
//! own, since that reader may stall, and no more of each source than can be read.

use std::{
    collections::BTreeMap,
    io,
    sync::Arc,
    thread::Builder,
    time::{Duration, Instant},
};

use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{color::Color, columns::Layout, recent::Recent, terminal};
use crate::{
    clean::clean,
    finding::{Episode, Event, EventKind, Verdict},
    ledger::NONE,
    sandbox::{self, Room},
};

/// Alarms of one source that are shown in a minute.
const SHOWN: u32 = 5;
/// How long a source's alarms are counted together.
const MINUTE: Duration = Duration::from_mins(1);
/// Sources that are distinguished in a minute.
const SOURCES: usize = 64;
/// What further ones are called.
const OTHERS: &str = "others";
/// How often it is looked for minutes that are over.
const LOOK: Duration = Duration::from_secs(5);

/// How they are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Columns and a sentence on stderr.
    Columns(Color),
    /// Lines of the log, with date and level.
    Log,
}

/// Which alarms are shown.
#[derive(Debug, Default)]
struct Limiter {
    sources: BTreeMap<String, Minute>,
}

#[derive(Debug)]
struct Minute {
    began: Instant,
    shown: u32,
    more: u64,
}

impl Limiter {
    /// Whether another alarm of a source is shown; else it is counted.
    fn shows(&mut self, source: &str, now: Instant) -> bool {
        let known = self.sources.len() < SOURCES || self.sources.contains_key(source);
        let source = if known { source } else { OTHERS };
        let minute = self.sources.entry(source.to_owned()).or_insert(Minute {
            began: now,
            shown: 0,
            more: 0,
        });
        if minute.shown < SHOWN {
            minute.shown += 1;
            return true;
        }
        minute.more += 1;
        false
    }

    /// How many were not shown of each source whose minute is over.
    fn over(&mut self, now: Instant) -> Vec<(String, u64)> {
        let mut over = Vec::new();
        self.sources.retain(|source, minute| {
            let lasts = now.duration_since(minute.began) < MINUTE;
            if !lasts && minute.more > 0 {
                over.push((source.clone(), minute.more));
            }
            lasts
        });
        over
    }
}

/// Reports every drop that fails from now on, until the agent ends.
///
/// # Errors
/// When no thread can be started.
pub fn start(events: Receiver<Arc<Event>>, how: Manner) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    Builder::new().name("alarms".to_owned()).spawn(move || {
        sandbox::enter(Room::Plain);
        runtime.block_on(report(events, how));
    })?;
    Ok(())
}

async fn report(mut events: Receiver<Arc<Event>>, how: Manner) {
    let mut limiter = Limiter::default();
    let mut shown = Recent::default();
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) => alarm(&event, how, &mut limiter, &mut shown),
                // The ledger has them, and the page and the metrics show them.
                Err(RecvError::Lagged(count)) => say(how, &format!("{count} findings not printed")),
                Err(RecvError::Closed) => return,
            },
            _ = look.tick() => {
                for (source, more) in limiter.over(Instant::now()) {
                    let source = clean(&source);
                    say(how, &format!("{more} more of {source} in that minute: see the status page"));
                }
            }
        }
    }
}

fn alarm(event: &Event, how: Manner, limiter: &mut Limiter, shown: &mut Recent) {
    let EventKind::Episode(episode) = &event.kind else {
        return;
    };
    if episode.verdict < Verdict::Pending {
        return;
    }
    let source = episode.supervisor.as_deref().unwrap_or(NONE);
    if !limiter.shows(source, Instant::now()) {
        return;
    }
    match how {
        Manner::Columns(color) => {
            let stderr = io::stderr();
            let layout = terminal::size(&stderr);
            let layout = layout.map_or_else(Layout::piped, |(columns, _)| Layout::fit(columns));
            let line = shown.again(event, &layout);
            let line = line.or_else(|| layout.line(event, color.on(&stderr)));
            if let Some(line) = line {
                eprintln!("{line}");
            }
        }
        Manner::Log => log(episode),
    }
}

/// One line of the log: a sentence, and the fields that it is searched by.
fn log(episode: &Episode) {
    let sentence = clean(&episode.explanation);
    let field = |text: &Option<String>| clean(text.as_deref().unwrap_or(NONE)).into_owned();
    let (supervisor, role) = (field(&episode.supervisor), field(&episode.role));
    let (version, layer) = (field(&episode.version), field(&episode.layer));
    let (verdict, pid) = (episode.verdict.as_str(), episode.pid);
    let (comm, id) = (clean(&episode.comm), &episode.id);
    // A macro's level must be written there.
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                verdict,
                supervisor,
                role,
                version,
                layer,
                pid,
                %comm,
                episode = %id,
                "{sentence}"
            )
        };
    }
    if episode.verdict == Verdict::Pending {
        line!(warn);
    } else {
        line!(error);
    }
}

fn say(how: Manner, sentence: &str) {
    match how {
        Manner::Columns(_) => eprintln!("capwatch: {sentence}"),
        Manner::Log => tracing::warn!("{sentence}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_fails_a_lot_is_cut_and_counted() {
        let mut limiter = Limiter::default();
        let began = Instant::now();
        let shown = (0..100)
            .filter(|_| limiter.shows("openshell", began))
            .count();
        assert_eq!(shown, 5);
        assert!(limiter.shows("crun", began), "another has its own share");
        assert!(
            limiter.over(began).is_empty(),
            "not before the minute is over"
        );
        let later = began + MINUTE;
        assert_eq!(limiter.over(later), [("openshell".to_owned(), 95)]);
        assert!(limiter.shows("openshell", later), "a new minute");
    }

    #[test]
    fn sources_are_bounded() {
        let mut limiter = Limiter::default();
        let now = Instant::now();
        for number in 0..10_000 {
            limiter.shows(&format!("source {number}"), now);
        }
        assert_eq!(limiter.sources.len(), SOURCES + 1);
        let over = limiter.over(now + MINUTE);
        let more: u64 = over.iter().map(|(_, more)| more).sum();
        assert_eq!(more, 10_000 - 64 - u64::from(SHOWN));
    }
}
