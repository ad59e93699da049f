//! Live workloads that run with what they should not have: shown where there are any.

use super::super::summary::short_version;
use super::episodes::first_few;
use super::html::Html;
use crate::finding::Workload;
use crate::time::Stamp;

/// Rows that the page shows; the JSON has all of them.
const ROWS: usize = 100;

/// The section; hidden where it has nothing to say.
pub fn section(html: &mut Html, workloads: &[Workload], now: Stamp) {
    html.raw("<section class=\"card\" id=\"workloads-card\" aria-labelledby=\"workloads-title\"");
    if workloads.is_empty() {
        html.raw(" hidden");
    }
    html.raw(
        "><h2 id=\"workloads-title\">Running with capabilities that should be gone</h2>\
         <p class=\"hint\">Live workloads whose bounding set is not what it should be.</p>\
         <div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-labelledby=\"workloads-title\"><table id=\"workloads\"><thead><tr>\
         <th scope=\"col\">Process</th><th scope=\"col\">Supervisor</th><th scope=\"col\">Container</th>\
         <th scope=\"col\">Still in set</th><th scope=\"col\">Found by</th><th scope=\"col\">Since</th></tr></thead><tbody>",
    );
    for workload in workloads.iter().take(ROWS) {
        row(html, workload, now);
    }
    html.raw("</tbody></table></div></section>");
}

fn row(html: &mut Html, workload: &Workload, now: Stamp) {
    html.raw("<tr><th scope=\"row\">").name(&workload.comm);
    html.raw(" <span class=\"dim\">").text(workload.pid);
    html.raw("</span></th><td>");
    html.optional(workload.supervisor.as_deref());
    if let Some(version) = &workload.version {
        html.raw(" <span class=\"dim\" title=\"").text(version);
        html.raw("\">").text(short_version(version)).raw("</span>");
    }
    html.raw("</td><td>");
    match &workload.container {
        Some(container) => {
            html.name(container.name.as_deref().unwrap_or(&container.id));
            if let Some(image) = &container.image {
                html.raw(" <span class=\"dim\">").name(image).raw("</span>");
            }
        }
        None => {
            html.optional(None);
        }
    }
    html.raw("</td><td><span title=\"");
    html.text(workload.residual.join(", ")).raw("\">");
    html.text(first_few(&workload.residual));
    html.raw("</span></td><td>").text(&workload.found);
    html.raw("</td><td>").time(now, workload.since);
    html.raw("</td></tr>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_is_shown_as_text_and_none_hides_the_section() {
        let mut html = Html::default();
        section(&mut html, &[], Stamp(0));
        assert!(
            html.finish()
                .contains("aria-labelledby=\"workloads-title\" hidden>")
        );
        let workload = Workload {
            pid: 7,
            comm: "<b>agent".to_owned(),
            supervisor: Some("openshell".to_owned()),
            version: None,
            container: None,
            residual: ["chown", "kill", "setuid", "net_raw"]
                .map(str::to_owned)
                .to_vec(),
            found: "episode".to_owned(),
            since: Stamp(0),
        };
        let mut html = Html::default();
        section(&mut html, &[workload], Stamp(0));
        let text = html.finish();
        assert!(text.contains("&lt;b&gt;agent"), "{text}");
        assert!(text.contains("chown, kill, setuid and 1 more"), "{text}");
        assert!(!text.contains("hidden"), "{text}");
    }
}
