//! Answers shared by all who ask for the same within a short while: fifty open
//! pages cost what one does, and hold one text between them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::response::Parts;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::Instant;

use super::answer;

/// How old an answer may be.
const AGE: Duration = Duration::from_millis(250);
/// Answers that are kept; the page asks for four.
const KEPT: usize = 16;
/// Bytes that they may have together.
const BYTES: usize = 4 << 20;

struct Kept {
    /// Path and query.
    asked: String,
    at: Instant,
    parts: Parts,
    body: Bytes,
}

/// The answers of the last moment.
#[derive(Clone, Default)]
pub struct Cache {
    kept: Arc<Mutex<Vec<Kept>>>,
}

impl Cache {
    fn find(&self, asked: &str) -> Option<Response> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|one| one.at.elapsed() < AGE);
        let found = kept.iter().find(|one| one.asked == asked)?;
        let body = Body::from(found.body.clone());
        Some(Response::from_parts(found.parts.clone(), body))
    }

    fn keep(&self, asked: String, parts: &Parts, body: &Bytes) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if body.len() > BYTES {
            return;
        }
        let bytes = |kept: &[Kept]| kept.iter().map(|one| one.body.len()).sum::<usize>();
        while kept.len() >= KEPT || bytes(&kept) + body.len() > BYTES {
            kept.remove(0);
        }
        kept.push(Kept {
            asked,
            at: Instant::now(),
            parts: parts.clone(),
            body: body.clone(),
        });
    }
}

/// Answers from the cache, or lets the request through and keeps what it gets.
pub async fn share(State(cache): State<Cache>, request: Request, next: Next) -> Response {
    if *request.method() != Method::GET {
        return next.run(request).await;
    }
    let asked = request.uri().path_and_query();
    let asked = asked.map_or_else(String::new, ToString::to_string);
    if let Some(answer) = cache.find(&asked) {
        return answer;
    }
    let response = next.run(request).await;
    if response.status() != StatusCode::OK {
        return response;
    }
    let (parts, body) = response.into_parts();
    // The answers are made in one piece, so this copies nothing.
    match to_bytes(body, usize::MAX).await {
        Ok(body) => {
            cache.keep(asked, &parts, &body);
            Response::from_parts(parts, Body::from(body))
        }
        Err(error) => answer::problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use axum::Router;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    static MADE: AtomicU64 = AtomicU64::new(0);

    async fn numbered() -> String {
        MADE.fetch_add(1, Ordering::Relaxed).to_string()
    }

    async fn ask(address: std::net::SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.rsplit('\n').next().unwrap().to_owned()
    }

    #[tokio::test]
    async fn the_same_question_is_answered_once_within_a_moment() {
        let cache = Cache::default();
        let app = Router::new()
            .route("/", get(numbered))
            .layer(from_fn_with_state(cache.clone(), share));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(axum::serve(listener, app).into_future());
        assert_eq!(ask(address, "/").await, "0");
        assert_eq!(ask(address, "/").await, "0");
        assert_eq!(ask(address, "/?limit=1").await, "1");
        for number in 0..40 {
            ask(address, &format!("/?limit={number}")).await;
        }
        assert!(cache.kept.lock().unwrap().len() <= KEPT);
        tokio::time::sleep(AGE).await;
        let before = MADE.load(Ordering::Relaxed).to_string();
        assert_eq!(ask(address, "/").await, before);
        server.abort();
    }
}
