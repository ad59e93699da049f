//! Calls that rules of the kernel refused: shown where there are any.

use super::html::Html;
use crate::finding::{HookReport, RuleRefusal, misses_rules};
use crate::time::Stamp;

/// Rows that the page shows; the JSON has all of them.
const ROWS: usize = 100;

/// The section; hidden where there is none and a hook would show it.
pub fn section(html: &mut Html, refusals: &[RuleRefusal], hooks: &[HookReport], now: Stamp) {
    let unseen = misses_rules(hooks);
    html.raw("<section class=\"card\" id=\"refusals-card\" aria-labelledby=\"refusals-title\"");
    if refusals.is_empty() && !unseen {
        html.raw(" hidden");
    }
    html.raw(
        "><h2 id=\"refusals-title\">Refused by a rule</h2>\
         <p class=\"hint\">Calls that the kernel refused without checking a capability: no LSM and no log shows them.</p>",
    );
    if unseen {
        html.raw(
            "<p id=\"refusals-unseen\">capwatch cannot see them on this host: none of the \
             hooks for them is attached. Run <code>capwatch doctor</code> for the reason.</p>",
        );
    }
    html.raw("<div id=\"refusals-list\"");
    if refusals.is_empty() {
        html.raw(" hidden");
    }
    html.raw(
        " class=\"scroll\" tabindex=\"0\" role=\"group\" aria-labelledby=\"refusals-title\"><table id=\"refusals\"><thead><tr>\
         <th scope=\"col\">Call</th><th scope=\"col\">Rule</th><th scope=\"col\">Supervisor</th>\
         <th scope=\"col\">Calls</th><th scope=\"col\">Why, and what to change</th><th scope=\"col\">Last</th></tr></thead><tbody>",
    );
    for refusal in refusals.iter().take(ROWS) {
        row(html, refusal, now);
    }
    html.raw("</tbody></table></div></section>");
}

fn row(html: &mut Html, refusal: &RuleRefusal, now: Stamp) {
    html.raw("<tr><th scope=\"row\">").text(&refusal.call);
    html.raw("</th><td>").text(&refusal.rule);
    html.raw("</td><td>");
    html.optional(refusal.supervisor.as_deref());
    html.raw("</td><td>").text(refusal.count);
    html.raw("</td><td>").text(&refusal.explanation);
    html.raw("</td><td>").time(now, refusal.last);
    html.raw("</td></tr>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_shown_as_text_and_none_hides_the_section() {
        let hooks = [HookReport {
            hook: "cap_capset".to_owned(),
            mechanism: None,
            attached: true,
            needed: true,
            reason: None,
        }];
        let mut html = Html::default();
        section(&mut html, &[], &hooks, Stamp(0));
        let text = html.finish();
        assert!(text.contains("aria-labelledby=\"refusals-title\" hidden>"));
        let refusal = RuleRefusal {
            call: "exec".to_owned(),
            rule: "file_beyond_bounding".to_owned(),
            explanation: "<b>caddy".to_owned(),
            ..RuleRefusal::default()
        };
        let mut html = Html::default();
        section(&mut html, &[refusal], &hooks, Stamp(0));
        let text = html.finish();
        assert!(text.contains("&lt;b&gt;caddy"), "{text}");
        assert!(!text.contains("hidden"), "{text}");
        assert!(!text.contains("refusals-unseen"), "{text}");
    }

    #[test]
    fn where_no_hook_shows_them_the_section_says_so() {
        let mut html = Html::default();
        section(&mut html, &[], &[], Stamp(0));
        let text = html.finish();
        assert!(
            text.contains("aria-labelledby=\"refusals-title\"><h2"),
            "{text}"
        );
        assert!(text.contains("refusals-unseen"), "{text}");
        assert!(text.contains("id=\"refusals-list\" hidden"), "{text}");
    }
}
