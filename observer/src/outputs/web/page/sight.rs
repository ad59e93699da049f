//! The banner that says what is missed now, before anything else on the page.

use serde::Serialize;

use super::super::view::Status;
use super::html::Html;
use crate::sight::{self, Lapse};

/// The banner; hidden while sight is complete.
pub fn banner(html: &mut Html, status: &Status) {
    html.raw("<section id=\"sight\" class=\"banner\" aria-label=\"Sight\" role=\"status\"");
    if status.sight.complete {
        html.raw(" hidden");
    }
    html.raw("><p><b>capwatch does not see everything right now.</b></p><ul>");
    for Lasting {
        lapse,
        what,
        remedy,
    } in lasting(status)
    {
        html.raw("<li><code>").text(&lapse.reason).raw("</code> (");
        html.text(lapse.count).raw(", began ");
        html.time(status.now, lapse.since).raw("): ");
        html.text(what).raw(". ").text(remedy);
        html.raw(".</li>");
    }
    html.raw("</ul></section>");
}

/// A lapse that lasts, with its sentences.
#[derive(Serialize)]
pub struct Lasting<'a> {
    #[serde(flatten)]
    lapse: &'a Lapse,
    what: &'static str,
    remedy: String,
}

/// The lapses that last, as the banner reports them.
pub fn lasting(status: &Status) -> Vec<Lasting<'_>> {
    let lapses = status.sight.lasting();
    lapses
        .map(|lapse| {
            let (what, remedy) = sight::advice(&lapse.reason);
            Lasting {
                lapse,
                what,
                remedy: capitalised(remedy),
            }
        })
        .collect()
}

/// With a capital letter, where it begins with one of the alphabet.
fn capitalised(sentence: &str) -> String {
    let mut characters = sentence.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Host;
    use crate::sight::Sight;
    use crate::time::Stamp;

    fn status(until: Option<Stamp>) -> Status {
        Status {
            pins: None,
            sandbox: crate::sandbox::Report::default(),
            schema: String::new(),
            version: String::new(),
            ready: true,
            reason: None,
            now: Stamp(100_000_000_000),
            started: Stamp(0),
            node: String::new(),
            host: Host::default(),
            hooks: Vec::new(),
            sources: Vec::new(),
            lost: std::collections::BTreeMap::new(),
            sight: Sight {
                complete: until.is_some(),
                reasons: vec![Lapse {
                    reason: sight::DROPS_MISSED.to_owned(),
                    since: Stamp(1_000_000_000),
                    until,
                    count: 56,
                }],
            },
        }
    }

    #[test]
    fn the_banner_says_what_is_missed_and_hides_when_it_is_over() {
        let shown = |status: &Status| {
            let mut html = Html::default();
            banner(&mut html, status);
            html.finish()
        };
        let partial = shown(&status(None));
        assert!(!partial.contains(" hidden"), "{partial}");
        assert!(
            partial.contains("<code>drops_missed</code> (56, began"),
            "{partial}"
        );
        assert!(partial.contains("Stop the process"), "{partial}");
        let complete = shown(&status(Some(Stamp(2_000_000_000))));
        assert!(
            complete.contains(" hidden") && !complete.contains("<li>"),
            "{complete}"
        );
    }
}
