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
use super::heavy::{Line, apart};
use super::secure::{Gate, ask};
use super::shared::Shared;
use super::view::View;
use super::{api, page};

const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Bytes that lists and pages may have together while they are sent.
const LISTS_BYTES: usize = 8 << 20;
/// Bytes that scrapes may have together while they are sent.
const METRICS_BYTES: usize = 4 << 20;

/// Whom it answers, and how.
pub struct Manner {
    /// Names that it is called by.
    pub hosts: Hosts,
    /// Who may ask.
    pub gate: Gate,
    /// Whether it is ready also where needed hooks are not attached.
    pub ready_without_hooks: bool,
}

/// The whole server as a service.
pub fn router(view: Arc<dyn View>, feed: Feed, manner: Manner) -> Router {
    let Manner {
        hosts,
        gate,
        ready_without_hooks,
    } = manner;
    let lists = Router::new()
        .route("/api/v1/status", get(api::status))
        .route("/api/v1/report", get(api::report))
        .route("/api/v1/episodes", get(api::episodes))
        .route("/api/v1/denials", get(api::denials))
        .route("/api/v1/rule_refusals", get(api::rule_refusals))
        .route("/api/v1/supervisors", get(api::supervisors))
        .route("/api/v1/workloads", get(api::workloads))
        .layer(middleware::from_fn_with_state(Cache::default(), share))
        .route("/", get(page::overview))
        .route("/episodes/{id}", get(page::episode))
        .route("/api/v1/episodes/{id}", get(api::episode))
        .route("/docs/", get(page::documents))
        .route("/docs/{name}", get(page::document))
        .layer(middleware::from_fn_with_state(
            Line::new(LISTS_BYTES),
            apart,
        ));
    let metrics =
        Router::new()
            .route("/metrics", get(metrics))
            .layer(middleware::from_fn_with_state(
                Line::new(METRICS_BYTES),
                apart,
            ));
    Router::new()
        .merge(lists)
        .merge(metrics)
        .route("/assets/{name}", get(asset))
        .route("/-/healthy", get(healthy))
        .route("/-/ready", get(ready))
        .route("/api/v1/events", get(events))
        .fallback(nowhere)
        .with_state(Shared {
            view,
            feed,
            ready_without_hooks,
        })
        .layer(middleware::from_fn_with_state(gate, ask))
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
    let missed = status.hooks.iter().filter(|hook| hook.is_missed());
    let missing: Vec<_> = missed
        .map(|hook| {
            let reason = hook.reason.as_deref().unwrap_or("no reason given");
            format!("{} ({reason})", hook.hook)
        })
        .collect();
    let missing = match missing.as_slice() {
        [] => None,
        missing => Some(format!("not attached: {}", missing.join("; "))),
    };
    let (code, text) = match (status.ready, missing) {
        (false, missing) => {
            let reason = status.reason.or(missing);
            let reason = reason.unwrap_or_else(|| "starting".to_owned());
            let text = format!("capwatch is not ready: {reason}\n");
            (StatusCode::SERVICE_UNAVAILABLE, text)
        }
        (true, Some(missing)) if shared.ready_without_hooks => {
            (StatusCode::OK, format!("capwatch is ready; {missing}\n"))
        }
        (true, Some(missing)) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("capwatch is not ready: {missing}; --ready-without hooks accepts that\n"),
        ),
        (true, None) => (StatusCode::OK, "capwatch is ready\n".to_owned()),
    };
    answer::text(code, text)
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
