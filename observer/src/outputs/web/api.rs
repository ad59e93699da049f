//! `/api/v1/`: the JSON that the page uses; `docs/api.md` describes it.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::answer;
use super::filter::Filter;
use super::page::{Lasting, lasting};
use super::shared::Shared;
use super::summary::{Group, Headline, Summary};
use super::view::{Status, Supervisor, TimedEpisode};
use crate::finding::{Denial, Report, RuleRefusal, Workload};

type Asked = Result<Query<Filter>, QueryRejection>;

#[derive(Serialize)]
struct StatusAnswer<'a> {
    uptime_seconds: f64,
    findings: Headline,
    agent: Headline,
    /// What is missed now, with what it means and what to do.
    lapses: Vec<Lasting<'a>>,
    #[serde(flatten)]
    state: &'a Status,
}

#[derive(Serialize)]
#[expect(
    clippy::struct_field_names,
    reason = "the list is called by what it holds"
)]
struct Episodes {
    schema: &'static str,
    /// How many there are, and how many of them are kept, whatever is asked for.
    all: u64,
    kept: usize,
    episodes: Vec<TimedEpisode>,
}

#[derive(Serialize)]
#[expect(
    clippy::struct_field_names,
    reason = "the list is called by what it holds"
)]
struct Denials {
    schema: &'static str,
    /// How many rows there are, and how many of them are kept, whatever is asked for.
    all: u64,
    kept: u64,
    denials: Vec<Denial>,
}

#[derive(Serialize)]
struct RuleRefusals {
    schema: &'static str,
    rule_refusals: Vec<RuleRefusal>,
}

#[derive(Serialize)]
struct Supervisors {
    schema: &'static str,
    groups: Vec<Group>,
    #[serde(rename = "supervisors")]
    live: Vec<Supervisor>,
}

#[derive(Serialize)]
struct Workloads {
    schema: &'static str,
    workloads: Vec<Workload>,
}

/// The agent's state and the two sentences at the top of the page.
pub async fn status(State(shared): State<Shared>) -> Response {
    let status = shared.view.status();
    let summary = Summary::of(
        &shared.view.tallies(),
        &shared.view.episodes(),
        &shared.view.supervisors(),
    );
    answer::json(&StatusAnswer {
        uptime_seconds: status.now.seconds_since(status.started),
        findings: summary.findings(&shared.view.workloads(), status.now),
        agent: Headline::agent(&status),
        lapses: lasting(&status),
        state: &status,
    })
}

/// Everything, as `capwatch record` reports it.
pub async fn report(State(shared): State<Shared>) -> Response {
    answer::json(&shared.view.report())
}

/// Episodes in their last state, newest last.
pub async fn episodes(State(shared): State<Shared>, query: Asked) -> Response {
    let filter = match query {
        Ok(Query(filter)) => filter,
        Err(rejection) => return refused(&rejection),
    };
    let all = shared.view.tallies().iter().map(|tally| tally.count).sum();
    let mut episodes = shared.view.episodes();
    let kept = episodes.len();
    episodes.retain(|timed| filter.wants_episode(&timed.episode));
    answer::json(&Episodes {
        schema: "capwatch.episodes/1",
        all,
        kept,
        episodes: filter.last_of(episodes),
    })
}

/// One episode.
pub async fn episode(State(shared): State<Shared>, Path(id): Path<String>) -> Response {
    let episodes = shared.view.episodes();
    match episodes.iter().rev().find(|timed| timed.episode.id == id) {
        Some(timed) => answer::json(timed),
        None => answer::problem(
            StatusCode::NOT_FOUND,
            "no such episode, or the agent no longer keeps it",
        ),
    }
}

/// Rows of denials, the last to be refused last.
pub async fn denials(State(shared): State<Shared>, query: Asked) -> Response {
    let filter = match query {
        Ok(Query(filter)) => filter,
        Err(rejection) => return refused(&rejection),
    };
    let Report {
        mut denials,
        counts,
        ..
    } = shared.view.report();
    denials.retain(|denial| filter.wants_denial(denial));
    denials.sort_by_key(|denial| denial.last);
    answer::json(&Denials {
        schema: "capwatch.denials/1",
        all: counts.denials.rows,
        kept: counts.denials.rows_shown,
        denials: filter.last_of(denials),
    })
}

/// Calls that rules of the kernel refused, the last at the end.
pub async fn rule_refusals(State(shared): State<Shared>, query: Asked) -> Response {
    let filter = match query {
        Ok(Query(filter)) => filter,
        Err(rejection) => return refused(&rejection),
    };
    let Report {
        mut rule_refusals, ..
    } = shared.view.report();
    rule_refusals.retain(|refusal| filter.wants_refusal(refusal));
    rule_refusals.sort_by_key(|refusal| refusal.last);
    answer::json(&RuleRefusals {
        schema: "capwatch.rule_refusals/1",
        rule_refusals: filter.last_of(rule_refusals),
    })
}

/// Live supervisors, and what became of the episodes of each version.
pub async fn supervisors(State(shared): State<Shared>, query: Asked) -> Response {
    let filter = match query {
        Ok(Query(filter)) => filter,
        Err(rejection) => return refused(&rejection),
    };
    let mut supervisors = shared.view.supervisors();
    let summary = Summary::of(
        &shared.view.tallies(),
        &shared.view.episodes(),
        &supervisors,
    );
    let mut groups = summary.groups;
    groups.retain(|group| filter.wants_supervisor(&group.supervisor));
    supervisors.retain(|one| filter.wants_supervisor(&one.supervisor));
    answer::json(&Supervisors {
        schema: "capwatch.supervisors/1",
        groups,
        live: filter.last_of(supervisors),
    })
}

/// Live workloads whose bounding set is not what it should be.
pub async fn workloads(State(shared): State<Shared>, query: Asked) -> Response {
    let filter = match query {
        Ok(Query(filter)) => filter,
        Err(rejection) => return refused(&rejection),
    };
    let mut workloads = shared.view.workloads();
    let none = crate::ledger::NONE;
    workloads.retain(|one| filter.wants_supervisor(one.supervisor.as_deref().unwrap_or(none)));
    answer::json(&Workloads {
        schema: "capwatch.workloads/1",
        workloads: filter.last_of(workloads),
    })
}

fn refused(rejection: &QueryRejection) -> Response {
    answer::problem(StatusCode::BAD_REQUEST, &rejection.body_text())
}
