//! The headlines, the table of supervisors, and the agent's own state.

use super::super::summary::{Group, Headline, Summary, plural, short_version};
use super::super::view::Status;
use super::html::Html;
use crate::finding::Mechanism;
use crate::finding::Verdict;
use crate::sandbox::{Report, ReportedLapse, State};
use crate::time::Stamp;

/// Rows that the page itself shows; the JSON has all of them.
const ROWS: usize = 100;

/// One of the two sentences at the top.
pub fn headline(html: &mut Html, id: &'static str, headline: &Headline) {
    html.raw("<div class=\"headline ").text(headline.level);
    html.raw("\" id=\"").raw(id).raw("\"><h1>");
    html.text(&headline.title).raw("</h1><p>");
    html.text(&headline.detail).raw("</p></div>");
}

/// What came of each version of a supervisor.
pub fn groups(html: &mut Html, summary: &Summary, now: Stamp) {
    html.raw(
        "<section class=\"card\" aria-labelledby=\"groups-title\"><h2 id=\"groups-title\">Supervisors</h2>\
         <div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-labelledby=\"groups-title\"><table id=\"groups\"><thead><tr>\
         <th scope=\"col\">Supervisor</th><th scope=\"col\" class=\"number\">Fatal</th>\
         <th scope=\"col\" class=\"number\">Degraded</th><th scope=\"col\" class=\"number\">Pending</th>\
         <th scope=\"col\" class=\"number\">Harmless</th><th scope=\"col\" class=\"number\">Ok</th>\
         <th scope=\"col\">Last episode</th><th scope=\"col\">Refused by</th><th scope=\"col\">Version</th>\
         <th scope=\"col\" class=\"number\">Live</th><th scope=\"col\" class=\"number\">In workloads</th></tr></thead><tbody>",
    );
    for group in summary.groups.iter().take(ROWS) {
        row(html, group, now);
    }
    if summary.groups.is_empty() {
        html.raw("<tr><td colspan=\"11\" class=\"empty\">No supervisor yet.</td></tr>");
    }
    html.raw("</tbody></table></div></section>");
}

fn row(html: &mut Html, group: &Group, now: Stamp) {
    html.raw("<tr><th scope=\"row\">").name(&group.supervisor);
    if group.inferred {
        html.raw(" <span class=\"tag\">no rule</span>");
    }
    html.raw("</th>");
    for verdict in Verdict::ALL.into_iter().rev() {
        let count = group.verdicts.get(&verdict).copied().unwrap_or_default();
        html.raw("<td class=\"number ");
        if count == 0 {
            html.raw("zero");
        } else {
            html.text(verdict);
        }
        html.raw("\">").text(count).raw("</td>");
    }
    html.raw("<td>");
    match &group.last {
        Some(last) => {
            html.raw("<a class=\"plain\"")
                .episode_href(&last.id)
                .raw(">");
            html.verdict(last.verdict).raw("</a> ");
            html.time(now, last.time);
        }
        None => {
            html.optional(None);
        }
    }
    html.raw("</td><td>");
    if group.refused_by.is_empty() {
        html.optional(None);
    }
    for refusal in &group.refused_by {
        html.raw("<span class=\"refusal\"><b>")
            .text(&refusal.layer)
            .raw("</b>");
        if let Some(profile) = &refusal.profile {
            html.raw(" profile ").name(profile);
        }
        html.raw("</span> ");
    }
    html.raw("</td><td>");
    match &group.version {
        Some(version) => {
            html.raw("<span title=\"").text(version).raw("\">");
            html.name(short_version(version)).raw("</span>");
        }
        None => {
            html.optional(None);
        }
    }
    html.raw("</td><td class=\"number\">").text(group.live);
    html.raw(if group.workload_refused == 0 {
        "</td><td class=\"number zero\">"
    } else {
        "</td><td class=\"number\">"
    });
    html.text(group.workload_refused).raw("</td></tr>");
}

/// Hooks, sources and losses.
pub fn agent(html: &mut Html, status: &Status) {
    html.raw("<div class=\"pair\" id=\"agent-state\">");
    hooks(html, status);
    sources(html, status);
    html.raw("</div>");
    sandbox(html, &status.sandbox);
}

/// What the agent dropped, and what it can't drop here.
fn sandbox(html: &mut Html, report: &Report) {
    html.raw(
        "<section class=\"card\" aria-labelledby=\"sandbox-title\"><h2 id=\"sandbox-title\">Sandbox</h2>\
         <p id=\"sandbox\">",
    );
    match report.state {
        State::Whole => badge(html, "ok", "whole"),
        State::Partial => badge(html, "down", "partial"),
        State::Off => badge(html, "idle", "off"),
    }
    if report.state == State::Off {
        html.raw(" <span class=\"reason\">the agent keeps every capability it started with</span>");
    }
    for ReportedLapse {
        lapse,
        what,
        remedy,
    } in &report.lapses
    {
        html.raw(" <span class=\"reason\">").text(&lapse.part);
        html.raw(" (").text(&lapse.why).raw("): ").text(what);
        html.raw("; ").text(remedy).raw("</span>");
    }
    html.raw("</p></section>");
}

fn hooks(html: &mut Html, status: &Status) {
    html.raw(
        "<section class=\"card\" aria-labelledby=\"hooks-title\"><h2 id=\"hooks-title\">Hooks</h2>\
         <div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-labelledby=\"hooks-title\"><table id=\"hooks\"><thead><tr>\
         <th scope=\"col\">Kernel function</th><th scope=\"col\">Mechanism</th><th scope=\"col\">State</th></tr></thead><tbody>",
    );
    for hook in &status.hooks {
        html.raw("<tr><th scope=\"row\"><code>")
            .text(&hook.hook)
            .raw("</code></th><td>");
        html.optional(hook.mechanism.map(Mechanism::as_str));
        html.raw("</td><td>");
        match (hook.attached, hook.needed) {
            (true, _) => badge(html, "ok", "attached"),
            (false, true) => badge(html, "down", "not attached"),
            (false, false) => badge(html, "idle", "not needed"),
        }
        if let Some(reason) = &hook.reason {
            html.raw(" <span class=\"reason\">")
                .text(reason)
                .raw("</span>");
        }
        html.raw("</td></tr>");
    }
    if status.hooks.is_empty() {
        html.raw("<tr><td colspan=\"3\" class=\"empty\">No hook was requested.</td></tr>");
    }
    html.raw("</tbody></table></div></section>");
}

fn sources(html: &mut Html, status: &Status) {
    html.raw(
        "<section class=\"card\" aria-labelledby=\"sources-title\"><h2 id=\"sources-title\">Audit sources and losses</h2>\
         <div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-labelledby=\"sources-title\"><table id=\"sources\"><thead><tr>\
         <th scope=\"col\">Source</th><th scope=\"col\">State</th><th scope=\"col\" class=\"number\">Records</th>\
         <th scope=\"col\" class=\"number\">Lost</th></tr></thead><tbody>",
    );
    for source in &status.sources {
        html.raw("<tr><th scope=\"row\">")
            .text(&source.name)
            .raw("</th><td>");
        if source.up {
            badge(html, "ok", "connected");
        } else {
            badge(html, "down", "down");
        }
        if let Some(reason) = &source.reason {
            html.raw(" <span class=\"reason\">")
                .text(reason)
                .raw("</span>");
        }
        html.raw("</td><td class=\"number\">").text(source.records);
        html.raw("</td><td class=\"number\">")
            .text(source.lost)
            .raw("</td></tr>");
    }
    if status.sources.is_empty() {
        html.raw("<tr><td colspan=\"4\" class=\"empty\">No source was requested.</td></tr>");
    }
    html.raw("</tbody></table></div><dl id=\"lost\" class=\"facts\">");
    for (reason, count) in &status.lost {
        html.raw("<div><dt>Lost: ").text(reason).raw("</dt><dd>");
        html.text(count).raw("</dd></div>");
    }
    html.raw("</dl></section>");
}

fn badge(html: &mut Html, kind: &'static str, word: &'static str) {
    html.raw("<span class=\"badge ").raw(kind).raw("\">");
    html.raw(word).raw("</span>");
}

/// How long the agent runs.
pub fn uptime(status: &Status) -> String {
    let minutes = status.now.since(status.started) / 60_000_000_000;
    match minutes {
        0..120 => format!("{minutes} {}", plural(minutes, "minute")),
        120..2_880 => format!("{} hours", minutes / 60),
        _ => format!("{} days", minutes / 1_440),
    }
}
