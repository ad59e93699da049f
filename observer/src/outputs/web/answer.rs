//! The forms of answers.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde::Serialize;

/// Whether an answer may be kept by the one who asked.
#[derive(Clone, Copy, Debug)]
pub enum Keep {
    /// Never: it shows the present.
    No,
    /// Yes, but ask again before use: it changes with the program only.
    Revalidate,
}

/// An answer with a body of some kind.
pub fn body(status: StatusCode, kind: &'static str, keep: Keep, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    let cache = match keep {
        Keep::No => "no-store",
        Keep::Revalidate => "no-cache",
    };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    response
}

/// Plain text.
pub fn text(status: StatusCode, text: impl Into<Body>) -> Response {
    body(status, "text/plain; charset=utf-8", Keep::No, text)
}

/// HTML.
pub fn html(status: StatusCode, text: String) -> Response {
    body(status, "text/html; charset=utf-8", Keep::No, text)
}

/// JSON.
pub fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(mut bytes) => {
            bytes.shrink_to_fit();
            body(StatusCode::OK, "application/json", Keep::No, bytes)
        }
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// What went wrong, as `{"error": …}`.
pub fn problem(status: StatusCode, sentence: &str) -> Response {
    let error = serde_json::json!({ "error": sentence });
    body(status, "application/json", Keep::No, error.to_string())
}
