//! The table of the last episodes.

use super::super::summary::short_version;
use super::super::view::TimedEpisode;
use super::html::Html;
use crate::time::Stamp;

/// Rows that the page shows; the JSON has more of them.
const ROWS: usize = 100;

/// The section, newest first.
pub fn section(html: &mut Html, episodes: &[TimedEpisode], all: u64, now: Stamp) {
    html.raw(
        "<section class=\"card\" aria-labelledby=\"episodes-title\"><h2 id=\"episodes-title\">Episodes</h2>\
         <p class=\"hint\">All bounding-set drops of one process, until it runs another program or exits. Newest first.",
    );
    how_many(html, episodes.len().min(ROWS), all);
    html.raw(
        "</p>\
         <div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-labelledby=\"episodes-title\"><table id=\"episodes\"><thead><tr>\
         <th scope=\"col\">Verdict</th><th scope=\"col\">When</th><th scope=\"col\">Supervisor</th>\
         <th scope=\"col\">Process</th><th scope=\"col\">Layer</th><th scope=\"col\" class=\"number\">Drops</th>\
         <th scope=\"col\" class=\"number\">Refused</th><th scope=\"col\">Still in set</th><th scope=\"col\">Fate</th></tr></thead><tbody>",
    );
    for timed in episodes.iter().rev().take(ROWS) {
        row(html, timed, now);
    }
    if episodes.is_empty() {
        html.raw("<tr><td colspan=\"9\" class=\"empty\">No bounding-set drops yet.</td></tr>");
    }
    html.raw("</tbody></table></div></section>");
}

/// How many of how many a table shows, where it does not show all.
pub(super) fn how_many(html: &mut Html, rows: usize, all: u64) {
    if (rows as u64) < all {
        html.raw(" <span class=\"of\">").text(rows).raw(" of ");
        html.text(all).raw(" shown.</span>");
    }
}

fn row(html: &mut Html, timed: &TimedEpisode, now: Stamp) {
    let TimedEpisode { time, episode } = timed;
    html.raw("<tr><td><a class=\"plain\"");
    html.episode_href(&episode.id).raw(">");
    html.verdict(episode.verdict)
        .raw("</a></td><td>")
        .time(now, *time)
        .raw("</td><td>");
    html.optional(episode.supervisor.as_deref());
    if episode.role.as_deref() == Some("workload") {
        html.raw(" <span class=\"tag\">workload</span>");
    }
    if episode.inferred {
        html.raw(" <span class=\"tag\">no rule</span>");
    }
    if let Some(version) = &episode.version {
        html.raw(" <span class=\"dim\" title=\"")
            .text(version)
            .raw("\">");
        html.text(short_version(version)).raw("</span>");
    }
    html.raw("</td><td>")
        .name(&episode.comm)
        .raw(" <span class=\"dim\">");
    html.text(episode.pid).raw("</span></td><td>");
    html.optional(episode.layer.as_deref());
    if let Some(profile) = &episode.profile {
        html.raw(" <span class=\"dim\">")
            .name(profile)
            .raw("</span>");
    }
    html.raw("</td><td class=\"number\">").text(episode.drops);
    html.raw("</td><td class=\"number\">")
        .text(episode.refused())
        .raw("</td><td>");
    match episode.residual.len() {
        0 => html.optional(None),
        _ => html.text(first_few(&episode.residual)),
    };
    html.raw("</td><td>")
        .text(episode.ending())
        .raw("</td></tr>");
}

/// Names up to three, and how many more.
pub(super) fn first_few(names: &[String]) -> String {
    let shown = names.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(3) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
