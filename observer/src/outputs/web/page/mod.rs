//! The status page: complete without scripts, alive with them.

mod chart;
mod denials;
mod detail;
mod docs;
mod episodes;
mod html;
mod refusals;
mod sight;
mod state;
mod workloads;

pub use sight::{Lasting, lasting};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use self::html::Html;
use super::answer;
use super::shared::Shared;
use super::summary::{Headline, Summary};
use super::view::Status;
use crate::finding::Report;

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// A file of the page: its type and its text.
pub fn asset(name: &str) -> Option<(&'static str, &'static str)> {
    match name {
        "page.css" => Some((CSS, include_str!("../assets/page.css"))),
        "parts.css" => Some((CSS, include_str!("../assets/parts.css"))),
        "detail.css" => Some((CSS, include_str!("../assets/detail.css"))),
        "page.js" => Some((JS, include_str!("../assets/page.js"))),
        "chart.js" => Some((JS, include_str!("../assets/chart.js"))),
        "detail.js" => Some((JS, include_str!("../assets/detail.js"))),
        "dom.js" => Some((JS, include_str!("../assets/dom.js"))),
        "feed.js" => Some((JS, include_str!("../assets/feed.js"))),
        "tables.js" => Some((JS, include_str!("../assets/tables.js"))),
        "icon.svg" => Some((SVG, include_str!("../assets/icon.svg"))),
        _ => None,
    }
}

/// The page at `/`.
pub async fn overview(State(shared): State<Shared>) -> Response {
    let status = shared.view.status();
    let episodes = shared.view.episodes();
    let Report {
        denials,
        counts,
        rule_refusals,
        ..
    } = shared.view.report();
    let summary = Summary::of(
        &shared.view.tallies(),
        &episodes,
        &shared.view.supervisors(),
    );

    let mut html = Html::default();
    head(&mut html, "capwatch", &status, Refresh::Yes);
    html.raw("<main id=\"main\">");
    sight::banner(&mut html, &status);
    html.raw("<section class=\"headlines\" aria-label=\"State\">");
    let workloads = shared.view.workloads();
    let findings = summary.findings(&workloads, status.now);
    state::headline(&mut html, "findings", &findings);
    state::headline(&mut html, "agent", &Headline::agent(&status));
    html.raw("</section>");
    state::groups(&mut html, &summary, status.now);
    workloads::section(&mut html, &workloads, status.now);
    html.raw("<div class=\"pair\">");
    chart::section(&mut html, &episodes, status.now);
    feed(&mut html);
    html.raw("</div>");
    filters(&mut html);
    episodes::section(&mut html, &episodes, counts.episodes.all, status.now);
    refusals::section(&mut html, &rule_refusals, &status.hooks, status.now);
    denials::section(&mut html, denials, counts.denials.rows, status.now);
    state::agent(&mut html, &status);
    html.raw("</main>");
    foot(&mut html, &status);
    answer::html(StatusCode::OK, html.finish())
}

/// The page of one episode.
pub async fn episode(State(shared): State<Shared>, Path(id): Path<String>) -> Response {
    let status = shared.view.status();
    let episodes = shared.view.episodes();
    let found = episodes.iter().rev().find(|timed| timed.episode.id == id);
    let mut html = Html::default();
    head(&mut html, "capwatch: episode", &status, Refresh::No);
    html.raw("<main id=\"main\"><p><a href=\"/\">All episodes</a></p>");
    let code = if let Some(timed) = found {
        detail::article(&mut html, timed);
        StatusCode::OK
    } else {
        html.raw("<h1>No such episode</h1><p>The ID is wrong, or the agent no longer keeps the episode: it keeps the worst and the newest.</p>");
        StatusCode::NOT_FOUND
    };
    html.raw("</main>");
    foot(&mut html, &status);
    answer::html(code, html.finish())
}

/// The documents at `/docs/`.
pub async fn documents(State(shared): State<Shared>) -> Response {
    let status = shared.view.status();
    let mut html = Html::default();
    head(&mut html, "capwatch: documents", &status, Refresh::No);
    html.raw("<main id=\"main\"><article class=\"card doc\"><h1>Documents</h1><ul>");
    for document in docs::all() {
        html.raw("<li><a href=\"/docs/").segment(document.name);
        html.raw("\">").text(document.title()).raw("</a></li>");
    }
    html.raw("</ul></article></main>");
    foot(&mut html, &status);
    answer::html(StatusCode::OK, html.finish())
}

/// One of them.
pub async fn document(State(shared): State<Shared>, Path(name): Path<String>) -> Response {
    let status = shared.view.status();
    let mut html = Html::default();
    head(&mut html, "capwatch: documents", &status, Refresh::No);
    html.raw("<main id=\"main\"><p><a href=\"/docs/\">All documents</a></p>");
    let code = if let Some(document) = docs::document(&name) {
        html.raw("<article class=\"card doc\">");
        html.document(document).raw("</article>");
        StatusCode::OK
    } else {
        html.raw("<h1>No such document</h1>");
        StatusCode::NOT_FOUND
    };
    html.raw("</main>");
    foot(&mut html, &status);
    answer::html(code, html.finish())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Refresh {
    Yes,
    No,
}

fn head(html: &mut Html, title: &'static str, status: &Status, refresh: Refresh) {
    html.raw("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>");
    html.raw(title).raw(" on ").text(&status.node);
    html.raw(
        "</title><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <link rel=\"icon\" href=\"/assets/icon.svg\" type=\"image/svg+xml\">\
         <link rel=\"stylesheet\" href=\"/assets/page.css\">\
         <link rel=\"stylesheet\" href=\"/assets/parts.css\">\
         <link rel=\"stylesheet\" href=\"/assets/detail.css\">",
    );
    if refresh == Refresh::Yes {
        html.raw(
            "<script type=\"module\" src=\"/assets/page.js\"></script>\
             <noscript><meta http-equiv=\"refresh\" content=\"30\"></noscript>",
        );
    }
    html.raw(
        "</head><body><a class=\"skip\" href=\"#main\">Skip to the content</a>\
         <header class=\"top\"><p class=\"brand\"><a href=\"/\">capwatch</a></p><p class=\"host\"><b>",
    );
    html.name(&status.node)
        .raw("</b> <span class=\"kernel\">kernel ");
    html.text(&status.host.kernel).raw("</span>");
    if !status.host.lsm.is_empty() {
        html.raw(" <span class=\"lsm\">LSMs ");
        html.text(status.host.lsm.join(", ")).raw("</span>");
    }
    html.raw("</p><p id=\"live\" class=\"live\" hidden>connecting</p></header>");
}

fn foot(html: &mut Html, status: &Status) {
    html.raw("<footer><p>capwatch ").text(&status.version);
    html.raw(", up ").text(state::uptime(status));
    html.raw(
        "</p><nav aria-label=\"Data\"><a href=\"/docs/runbook\">Runbook</a> <a href=\"/docs/\">Documents</a> <a href=\"/metrics\">Metrics</a> <a href=\"/api/v1/report\">Report (JSON)</a> \
         <a href=\"/api/v1/status\">Status (JSON)</a></nav></footer></body></html>\n",
    );
}

/// The place of the live feed; without scripts it names `capwatch watch` instead.
fn feed(html: &mut Html) {
    html.raw(
        "<section class=\"card\" aria-labelledby=\"feed-title\"><div class=\"card-head\"><h2 id=\"feed-title\">Live</h2>\
         <button type=\"button\" id=\"pause\" aria-pressed=\"false\" hidden>Pause</button></div>\
         <noscript><p class=\"empty\">The live feed needs scripts. This page reloads every 30 seconds; \
         <code>capwatch watch</code> shows the same in a terminal.</p></noscript>\
         <p id=\"feed-empty\" class=\"empty\" hidden>Waiting for the first event. Expected and no-audit denials are hidden.</p>\
         <p id=\"feed-more\" class=\"empty\" hidden></p>\
         <ol id=\"feed\" class=\"feed\" tabindex=\"0\" aria-labelledby=\"feed-title\" hidden></ol>\
         <p id=\"spoken\" class=\"unseen\" role=\"status\" aria-live=\"polite\"></p></section>",
    );
}

/// Filters work in the page alone, so they are shown by the script.
fn filters(html: &mut Html) {
    html.raw(
        "<section id=\"filters\" class=\"filters\" aria-label=\"Filters\" hidden>\
         <label>Supervisor <select id=\"filter-supervisor\"><option value=\"\">all</option></select></label>\
         <label>Layer <select id=\"filter-layer\"><option value=\"\">all</option></select></label>\
         <label>Verdict <select id=\"filter-verdict\"><option value=\"\">all</option>\
         <option>fatal</option><option>degraded</option><option>pending</option><option>harmless</option><option>ok</option></select></label>\
         <button type=\"button\" id=\"filter-clear\">Show all</button>\
         <output id=\"filter-count\"></output></section>",
    );
}
