//! The live feed: server-sent events.
//!
//! One task reads the ledger's events and turns each into text once, whatever
//! the number of clients; clients share the text. What comes within a tenth of
//! a second is sent together: a storm costs a client ten writes a
//! second. A client that is too slow loses the oldest pieces and learns how
//! many events that were.
//!
//! A second task makes the brief feed, for those whose reader is a person: no
//! more of each moment than can be read, and the number of what is left out.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::stream;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::brief::Brief;
use crate::finding::{Event, EventKind, LossEvent};
use crate::time::Stamp;

/// Clients at one time.
pub const MAX_CLIENTS: usize = 64;
/// Pieces that a slow client may lag behind: they are what a client that reads
/// nothing makes the agent hold, some 2 KiB an event.
const PIECES: usize = 8;
/// Events in one piece.
const PIECE_EVENTS: usize = 128;
/// How long events are gathered.
const GATHER: Duration = Duration::from_millis(100);
/// How long they are for the brief feed: as often as a page draws.
const GATHER_BRIEF: Duration = Duration::from_millis(250);
/// A comment is sent after so long a silence, so both ends see a dead
/// connection.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Text of some events, ready to be sent.
#[derive(Clone, Debug)]
struct Piece {
    text: Bytes,
    /// Events reported before the first one in it, since the start.
    before: u64,
    /// Events in it.
    events: u64,
}

/// Which feed a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Every event.
    Full,
    /// As many as a person can read.
    Brief,
}

/// Pieces that are sent to everybody who listens.
#[derive(Clone, Debug)]
struct Channel {
    pieces: broadcast::WeakSender<Piece>,
    sent: Arc<AtomicU64>,
}

impl Channel {
    fn start(
        detail: Detail,
        events: broadcast::Receiver<Arc<Event>>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let (sender, _) = broadcast::channel(PIECES);
        let pieces = sender.downgrade();
        let sent = Arc::new(AtomicU64::new(0));
        tokio::spawn(pump(detail, events, sender, Arc::clone(&sent), stop));
        Self { pieces, sent }
    }
}

/// The live feed and its clients.
#[derive(Clone, Debug)]
pub struct Feed {
    full: Channel,
    brief: Channel,
    clients: Arc<Semaphore>,
}

impl Feed {
    /// Starts the tasks that feed; they end when `stop` becomes true, and the
    /// clients' streams end with them.
    pub fn start(events: broadcast::Receiver<Arc<Event>>, stop: watch::Receiver<bool>) -> Self {
        Self {
            brief: Channel::start(Detail::Brief, events.resubscribe(), stop.clone()),
            full: Channel::start(Detail::Full, events, stop),
            clients: Arc::new(Semaphore::new(MAX_CLIENTS)),
        }
    }

    /// A body for one more client; none when there are too many, or when the
    /// feed ended.
    pub fn client(&self, detail: Detail) -> Option<Body> {
        let permit = Arc::clone(&self.clients).try_acquire_owned().ok()?;
        let channel = match detail {
            Detail::Full => &self.full,
            Detail::Brief => &self.brief,
        };
        let receiver = channel.pieces.upgrade()?.subscribe();
        let client = Client {
            receiver,
            sent: channel.sent.load(Ordering::Acquire),
            greeted: false,
            held: None,
            _permit: permit,
        };
        Some(Body::from_stream(stream::unfold(client, Client::next)))
    }
}

async fn pump(
    detail: Detail,
    mut events: broadcast::Receiver<Arc<Event>>,
    sender: broadcast::Sender<Piece>,
    sent: Arc<AtomicU64>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let gather = async {
            match detail {
                Detail::Full => gather(&mut events).await,
                Detail::Brief => gather_brief(&mut events).await,
            }
        };
        let gathered = tokio::select! {
            gathered = gather => gathered,
            _ = stop.wait_for(|stopped| *stopped) => return,
        };
        let Some(batch) = gathered else { return };
        if sender.receiver_count() == 0 {
            continue;
        }
        let mut text = String::new();
        for event in &batch.events {
            frame(&mut text, event);
        }
        if batch.left_out > 0 {
            frame(&mut text, &loss("brief", batch.left_out));
        }
        // It is held as long as the slowest client needs it.
        text.shrink_to_fit();
        let count = batch.events.len() as u64 + batch.left_out;
        // An error says that no client is left: nothing is lost by it.
        let _ = sender.send(Piece {
            text: text.into(),
            before: sent.fetch_add(count, Ordering::AcqRel),
            events: count,
        });
    }
}

/// What goes into one piece.
struct Batch {
    events: Vec<Arc<Event>>,
    left_out: u64,
}

/// Events of a tenth of a second, at least one; none when no more will come.
async fn gather(events: &mut broadcast::Receiver<Arc<Event>>) -> Option<Batch> {
    let mut batch = vec![receive(events).await?];
    let end = Instant::now() + GATHER;
    while batch.len() < PIECE_EVENTS {
        tokio::select! {
            event = receive(events) => match event {
                Some(event) => batch.push(event),
                None => break,
            },
            () = sleep_until(end) => break,
        }
    }
    Some(Batch {
        events: batch,
        left_out: 0,
    })
}

/// What a person would want of a quarter of a second, at least one event; none
/// when no more will come.
async fn gather_brief(events: &mut broadcast::Receiver<Arc<Event>>) -> Option<Batch> {
    let mut brief = Brief::default();
    while brief.is_empty() {
        brief.add(receive(events).await?);
    }
    let end = sleep_until(Instant::now() + GATHER_BRIEF);
    tokio::pin!(end);
    loop {
        tokio::select! {
            event = receive(events) => match event {
                Some(event) => brief.add(event),
                None => break,
            },
            () = &mut end => break,
        }
    }
    let (events, left_out) = brief.finish();
    Some(Batch { events, left_out })
}

async fn receive(events: &mut broadcast::Receiver<Arc<Event>>) -> Option<Arc<Event>> {
    match events.recv().await {
        Ok(event) => Some(event),
        Err(RecvError::Lagged(count)) => Some(Arc::new(loss("feed_behind", count))),
        Err(RecvError::Closed) => None,
    }
}

fn loss(reason: &str, count: u64) -> Event {
    let kind = EventKind::Loss(LossEvent {
        stage: "output".to_owned(),
        reason: reason.to_owned(),
        count,
    });
    Event::new(Stamp::now(), kind)
}

/// One event as a frame: JSON has no raw line breaks, so one `data:` line holds it.
fn frame(text: &mut String, event: &Event) {
    let name = match &event.kind {
        EventKind::Denial(_) => "denial",
        EventKind::Episode(_) => "episode",
        EventKind::Audit(_) => "audit",
        EventKind::Supervisor(_) => "supervisor",
        EventKind::RuleRefusal(_) => "rule_refusal",
        EventKind::Loss(_) => "loss",
    };
    if let Ok(json) = serde_json::to_string(event) {
        // Writing into a String can't fail.
        let _ = write!(text, "event: {name}\ndata: {json}\n\n");
    }
}

struct Client {
    receiver: broadcast::Receiver<Piece>,
    /// Events reported to it or left out for it, since the start.
    sent: u64,
    greeted: bool,
    /// A piece that waits for the word of what was lost before it. The text of
    /// pieces is never copied: slow clients share what they wait for.
    held: Option<Bytes>,
    _permit: OwnedSemaphorePermit,
}

impl Client {
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if !self.greeted {
            self.greeted = true;
            // Headers and a first line at once: the page knows it is live.
            return Some((Ok(Bytes::from_static(b"retry: 3000\n\n")), self));
        }
        if let Some(text) = self.held.take() {
            return Some((Ok(text), self));
        }
        loop {
            match timeout(HEARTBEAT, self.receiver.recv()).await {
                Err(_) => return Some((Ok(Bytes::from_static(b":\n\n")), self)),
                Ok(Err(RecvError::Closed)) => return None,
                // The next piece's number shows how many events that were.
                Ok(Err(RecvError::Lagged(_))) => {}
                Ok(Ok(piece)) => {
                    let left_out = piece.before.saturating_sub(self.sent);
                    self.sent = piece.before + piece.events;
                    if left_out == 0 {
                        return Some((Ok(piece.text), self));
                    }
                    let mut notice = String::new();
                    frame(&mut notice, &loss("client_behind", left_out));
                    self.held = Some(piece.text);
                    return Some((Ok(notice.into()), self));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::finding::SupervisorEvent;

    async fn text(body: &mut Body) -> String {
        let bytes = body.frame().await.unwrap().unwrap().into_data().unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_slow_client_learns_exactly_how_much_it_lost() {
        let (sender, receiver) = broadcast::channel(PIECES);
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let client = Client {
            receiver,
            sent: 0,
            greeted: true,
            held: None,
            _permit: permit,
        };
        let mut body = Body::from_stream(stream::unfold(client, Client::next));
        // Pieces of three events each; the first five are overwritten.
        for number in 0..PIECES as u64 + 5 {
            let piece = Piece {
                text: Bytes::from_static(b"event: denial\ndata: {}\n\n"),
                before: number * 3,
                events: 3,
            };
            sender.send(piece).unwrap();
        }
        let first = text(&mut body).await;
        assert!(first.starts_with("event: loss\ndata: {"), "{first}");
        assert!(
            first.contains("\"reason\":\"client_behind\",\"count\":15}"),
            "{first}"
        );
        assert_eq!(text(&mut body).await, "event: denial\ndata: {}\n\n");
        let second = text(&mut body).await;
        assert_eq!(second, "event: denial\ndata: {}\n\n");
    }

    #[tokio::test]
    async fn what_comes_together_is_sent_together() {
        let (events, receiver) = broadcast::channel(16);
        let (_stop, stopped) = watch::channel(false);
        let feed = Feed::start(receiver, stopped);
        let mut body = feed.client(Detail::Full).unwrap();
        assert_eq!(text(&mut body).await, "retry: 3000\n\n");
        for _ in 0..20 {
            events.send(Arc::new(loss("test", 1))).unwrap();
        }
        // The feed itself was behind by four, and says so.
        let sent = text(&mut body).await;
        assert_eq!(sent.matches("event: loss").count(), 17, "{sent}");
        assert!(
            sent.contains("\"reason\":\"feed_behind\",\"count\":4}"),
            "{sent}"
        );
    }

    #[tokio::test]
    async fn the_brief_feed_says_how_many_it_leaves_out() {
        let (events, receiver) = broadcast::channel(256);
        let (_stop, stopped) = watch::channel(false);
        let feed = Feed::start(receiver, stopped);
        let mut body = feed.client(Detail::Brief).unwrap();
        assert_eq!(text(&mut body).await, "retry: 3000\n\n");
        for _ in 0..100 {
            let change = EventKind::Supervisor(SupervisorEvent::default());
            let event = Event::new(Stamp::now(), change);
            events.send(Arc::new(event)).unwrap();
        }
        let sent = text(&mut body).await;
        let shown = sent.matches("event: supervisor").count();
        assert!((1..100).contains(&shown), "{sent}");
        let rest = format!("\"reason\":\"brief\",\"count\":{}}}", 100 - shown);
        assert!(sent.contains(&rest), "{sent}");
    }

    #[tokio::test]
    async fn clients_are_bounded_and_end_with_the_feed() {
        let (events, receiver) = broadcast::channel(16);
        let (stop, stopped) = watch::channel(false);
        let feed = Feed::start(receiver, stopped);
        let mut clients: Vec<_> = (0..MAX_CLIENTS)
            .map(|_| feed.client(Detail::Full).unwrap())
            .collect();
        assert!(feed.client(Detail::Full).is_none());
        let mut last = clients.pop().unwrap();
        assert!(feed.client(Detail::Full).is_none());
        stop.send(true).unwrap();
        assert_eq!(text(&mut last).await, "retry: 3000\n\n");
        assert!(last.frame().await.is_none());
        drop((last, events));
        assert!(feed.client(Detail::Full).is_none());
    }
}
