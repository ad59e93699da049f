//! Answers that take long to make, or that are large: made one after the other on
//! their own threads, so a probe never waits for a report, and held
//! within a budget, so clients that read slowly can't fill the memory.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_LENGTH, RETRY_AFTER},
    },
    middleware::Next,
    response::Response,
};
use futures_util::stream;
use tokio::{
    runtime::Handle,
    sync::Semaphore,
    time::{Duration, timeout},
};

use super::answer;

/// Threads that make answers: two lines, and what ends there.
pub const THREADS: usize = 4;
/// Answers up to this size are sent as they are: a socket takes them whole.
const SMALL: usize = 32 << 10;
/// Bytes of a large answer that are handed to the socket at a time.
const PIECE: usize = 32 << 10;
/// How long a request waits for its turn.
const TURN: Duration = Duration::from_secs(8);

/// One line of requests.
#[derive(Clone, Debug)]
pub struct Line {
    turn: Arc<Semaphore>,
    budget: Budget,
}

impl Line {
    /// A line whose large answers may have so many bytes together.
    pub fn new(bytes: usize) -> Self {
        Self {
            turn: Arc::new(Semaphore::new(1)),
            budget: Budget {
                held: Arc::default(),
                bytes,
            },
        }
    }
}

/// Makes the answer on its own thread, when it is this request's turn.
pub async fn apart(State(line): State<Line>, request: Request, next: Next) -> Response {
    let Ok(Ok(turn)) = timeout(TURN, Arc::clone(&line.turn).acquire_owned()).await else {
        return busy();
    };
    let runtime = Handle::current();
    let made = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        runtime.block_on(async {
            let (parts, body) = next.run(request).await.into_parts();
            // The answers are made in one piece, so this copies nothing.
            let body = to_bytes(body, usize::MAX).await;
            (parts, body)
        })
    });
    match made.await {
        Ok((parts, Ok(body))) if body.len() <= SMALL => {
            Response::from_parts(parts, Body::from(body))
        }
        Ok((mut parts, Ok(body))) => {
            let length = HeaderValue::from(body.len());
            parts.headers.insert(CONTENT_LENGTH, length);
            Response::from_parts(parts, line.budget.body(body))
        }
        Ok((_, Err(error))) => problem(&error),
        Err(error) => problem(&error),
    }
}

fn problem(error: &dyn std::error::Error) -> Response {
    answer::problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())
}

fn busy() -> Response {
    let mut busy = answer::problem(
        StatusCode::SERVICE_UNAVAILABLE,
        "too many requests for this at once; try again later",
    );
    let headers = busy.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
    busy
}

/// Large answers under way, the oldest first.
#[derive(Clone, Debug)]
struct Budget {
    held: Arc<Mutex<VecDeque<Held>>>,
    bytes: usize,
}

/// The text of an answer, until it is sent or its place is needed.
type Held = Arc<Mutex<Option<Bytes>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn length(held: &Held) -> usize {
    lock(held).as_ref().map_or(0, Bytes::len)
}

impl Budget {
    /// A body that is sent piece by piece. The oldest of others are cut off where
    /// there would be too much: who reads slowly pays for it.
    fn body(&self, text: Bytes) -> Body {
        let size = text.len();
        let mut held = lock(&self.held);
        held.retain(|one| Arc::strong_count(one) > 1 && length(one) > 0);
        let mut sum: usize = held.iter().map(length).sum();
        while sum + size > self.bytes
            && let Some(oldest) = held.pop_front()
        {
            sum -= length(&oldest);
            lock(&oldest).take();
        }
        let own: Held = Arc::new(Mutex::new(Some(text)));
        held.push_back(Arc::clone(&own));
        drop(held);
        let pieces = stream::unfold((own, 0), |(own, sent)| async move {
            let piece = {
                let mut held = lock(&own);
                let Some(text) = held.as_ref() else {
                    let cut =
                        "the answer was cut off to free memory for another client; read faster";
                    return Some((Err(cut), (Arc::clone(&own), usize::MAX)));
                };
                if sent >= text.len() {
                    held.take();
                    return None;
                }
                let end = text.len().min(sent + PIECE);
                // A copy, so the text goes when its place is needed.
                Bytes::copy_from_slice(&text[sent..end])
            };
            let sent = sent + piece.len();
            Some((Ok(piece), (own, sent)))
        });
        Body::from_stream(pieces)
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, middleware::from_fn_with_state, routing::get};
    use http_body_util::BodyExt as _;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
        time::Instant,
    };

    use super::*;

    #[tokio::test]
    async fn who_reads_slowly_is_cut_off_where_there_is_no_room() {
        let line = Line::new(3 * PIECE);
        let text = Bytes::from(vec![b'x'; 2 * PIECE]);
        let mut slow = line.budget.body(text.clone());
        assert!(slow.frame().await.unwrap().is_ok());
        let fast = line.budget.body(text.clone());
        assert!(slow.frame().await.unwrap().is_err());
        assert_eq!(fast.collect().await.unwrap().to_bytes(), text);
        // One that is larger than all of the room is sent all the same.
        let large = Bytes::from(vec![b'y'; 9 * PIECE]);
        let whole = line.budget.body(large.clone());
        assert_eq!(whole.collect().await.unwrap().to_bytes(), large);
        drop(line.budget.body(text));
        assert_eq!(lock(&line.budget.held).len(), 1);
    }

    #[tokio::test]
    async fn a_quick_answer_does_not_wait_for_a_heavy_one() {
        let slow = Router::new()
            .route(
                "/heavy",
                get(async || {
                    std::thread::sleep(Duration::from_millis(700));
                    "made"
                }),
            )
            .layer(from_fn_with_state(Line::new(1), apart));
        let app = slow.route("/quick", get(async || "here"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, app).into_future());
        let ask = async |path: &str| {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            (answer, Instant::now())
        };
        let began = Instant::now();
        let (heavy, (quick, at)) = tokio::join!(ask("/heavy"), async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            ask("/quick").await
        });
        assert!(heavy.0.ends_with("made") && quick.ends_with("here"));
        assert!(at - began < Duration::from_millis(600), "{:?}", at - began);
    }
}
