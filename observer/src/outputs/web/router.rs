//! Which path is answered by what.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::answer::{self, Keep};
use super::cache::{Cache, share};
use super::feed::{Detail, Feed};
use super::guard::{Hosts, guard};
use super::view::View;
use super::{api, page};

const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What every handler has.
#[derive(Clone)]
pub struct Shared {
    /// What is known.
    pub view: Arc<dyn View>,
    /// The live feed.
    pub feed: Feed,
}

/// The whole server as a service.
pub fn router(view: Arc<dyn View>, feed: Feed, hosts: Hosts) -> Router {
    let lists = Router::new()
        .route("/api/v1/status", get(api::status))
        .route("/api/v1/report", get(api::report))
        .route("/api/v1/episodes", get(api::episodes))
        .route("/api/v1/denials", get(api::denials))
        .route("/api/v1/supervisors", get(api::supervisors))
        .route("/api/v1/workloads", get(api::workloads))
        .layer(middleware::from_fn_with_state(Cache::default(), share));
    Router::new()
        .merge(lists)
        .route("/", get(page::overview))
        .route("/episodes/{id}", get(page::episode))
        .route("/assets/{name}", get(asset))
        .route("/metrics", get(metrics))
        .route("/-/healthy", get(healthy))
        .route("/-/ready", get(ready))
        .route("/api/v1/episodes/{id}", get(api::episode))
        .route("/api/v1/events", get(events))
        .fallback(nowhere)
        .with_state(Shared { view, feed })
        .layer(middleware::from_fn_with_state(hosts, guard))
}

async fn nowhere() -> Response {
    answer::problem(StatusCode::NOT_FOUND, "there is nothing at this path")
}

async fn asset(Path(name): Path<String>) -> Response {
    match page::asset(&name) {
        Some((kind, text)) => answer::body(StatusCode::OK, kind, Keep::Revalidate, text),
        None => nowhere().await,
    }
}

async fn metrics(State(shared): State<Shared>) -> Response {
    match shared.view.metrics() {
        Ok(text) => answer::body(StatusCode::OK, EXPOSITION, Keep::No, text),
        Err(error) => answer::text(StatusCode::INTERNAL_SERVER_ERROR, error),
    }
}

async fn healthy() -> Response {
    answer::text(StatusCode::OK, "capwatch is running\n")
}

async fn ready(State(shared): State<Shared>) -> Response {
    let status = shared.view.status();
    if status.ready {
        return answer::text(StatusCode::OK, "capwatch is ready\n");
    }
    let reason = status.reason.unwrap_or_else(|| "starting".to_owned());
    answer::text(
        StatusCode::SERVICE_UNAVAILABLE,
        format!("capwatch is not ready: {reason}\n"),
    )
}

/// The query of the live feed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Follow {
    #[serde(default)]
    brief: bool,
}

async fn events(
    State(shared): State<Shared>,
    query: Result<Query<Follow>, QueryRejection>,
) -> Response {
    let detail = match query {
        Ok(Query(Follow { brief: true })) => Detail::Brief,
        Ok(Query(Follow { brief: false })) => Detail::Full,
        Err(rejection) => return answer::problem(StatusCode::BAD_REQUEST, &rejection.body_text()),
    };
    let Some(body) = shared.feed.client(detail) else {
        let mut refused = answer::problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many clients follow the live feed; try again later",
        );
        refused
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static("10"));
        return refused;
    };
    let mut response = answer::text(StatusCode::OK, body);
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream; charset=utf-8"),
    );
    response
}
