//! The table of denials.

use std::cmp::Reverse;

use super::episodes::how_many;
use super::html::Html;
use crate::finding::Denial;
use crate::time::Stamp;

/// Rows that the page shows; the JSON has more of them.
const ROWS: usize = 200;

/// The section: what no rule expects first, of these what happens below a
/// supervisor, and the last refused first.
pub fn section(html: &mut Html, mut denials: Vec<Denial>, all: u64, now: Stamp) {
    denials.sort_by_key(|denial| {
        (
            denial.expected,
            denial.supervisor.is_none(),
            Reverse(denial.last),
        )
    });
    html.raw(
        "<section class=\"card\" aria-labelledby=\"denials-title\"><h2 id=\"denials-title\">Denials</h2>\
         <p class=\"hint\">Refused capability checks, one row for each kind: supervisors first, expected denials last.",
    );
    how_many(html, denials.len().min(ROWS), all);
    html.raw(
        "</p>\
         <div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-labelledby=\"denials-title\"><table id=\"denials\"><thead><tr>\
         <th scope=\"col\">Last</th><th scope=\"col\">Capability</th><th scope=\"col\">Layer</th>\
         <th scope=\"col\">Supervisor</th><th scope=\"col\">Process</th><th scope=\"col\">Audited</th>\
         <th scope=\"col\" class=\"number\">Count</th><th scope=\"col\">Explanation</th></tr></thead><tbody>",
    );
    for denial in denials.iter().take(ROWS) {
        row(html, denial, now);
    }
    if denials.is_empty() {
        html.raw("<tr><td colspan=\"8\" class=\"empty\">No capability denials yet.</td></tr>");
    }
    html.raw("</tbody></table></div></section>");
}

fn row(html: &mut Html, denial: &Denial, now: Stamp) {
    html.raw(if denial.expected {
        "<tr class=\"expected\"><td>"
    } else {
        "<tr><td>"
    });
    html.time(now, denial.last)
        .raw("</td><td><b>")
        .text(&denial.capability)
        .raw("</b>");
    if denial.expected {
        html.raw(" <span class=\"tag\">expected</span>");
    }
    html.raw("</td><td>").name(&denial.layer);
    if let Some(why) = denial.profile.as_ref().or(denial.reason.as_ref()) {
        html.raw(" <span class=\"dim\">").name(why).raw("</span>");
    }
    html.raw("</td><td>").optional(denial.supervisor.as_deref());
    if denial.role.as_deref() == Some("workload") {
        html.raw(" <span class=\"tag\">workload</span>");
    }
    html.raw("</td><td>").name(&denial.comm);
    if let Some(exe) = denial.exe.as_ref().filter(|exe| **exe != denial.comm) {
        html.raw(" <span class=\"dim\">").name(exe).raw("</span>");
    }
    html.raw("</td><td>")
        .text(&denial.audited)
        .raw("</td><td class=\"number\">");
    if !denial.exact {
        html.raw("<span title=\"these come from processes with different names\">~</span>");
    }
    html.text(denial.count).raw("</td><td class=\"sentence\">");
    html.text(&denial.explanation).raw("</td></tr>");
}
