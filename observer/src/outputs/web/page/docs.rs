//! The documents that come with the agent: a runbook that an alert points to is to
//! be had where the internet is not.

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

/// A document.
pub struct Document {
    /// Name in `/docs/NAME`.
    pub name: &'static str,
    text: &'static str,
}

macro_rules! documents {
    ($($name:literal),* $(,)?) => {
        &[$(Document { name: $name, text: include_str!(concat!("../../../../../docs/", $name, ".md")) }),*]
    };
}

/// In the order of `docs/SUMMARY.md`. Nothing is read from a disk, so a path leads
/// nowhere else.
const DOCUMENTS: &[Document] = documents![
    "start",
    "install",
    "privileges",
    "layers",
    "episodes",
    "verdicts",
    "supervisors",
    "rootless-podman",
    "ci",
    "kubernetes",
    "alarms",
    "runbook",
    "troubleshooting",
    "wrong-diagnoses",
    "commands",
    "errors",
    "doctor",
    "probe",
    "metrics",
    "events",
    "api",
    "metrics-panels",
    "how-it-works",
    "kernels",
    "containers",
    "overhead",
    "others",
    "releasing",
];

/// One of them.
pub fn document(name: &str) -> Option<&'static Document> {
    DOCUMENTS.iter().find(|document| document.name == name)
}

impl Document {
    /// Its first heading.
    pub fn title(&self) -> &'static str {
        let first = self.text.lines().next().unwrap_or_default();
        first.trim_start_matches(['#', ' '])
    }

    /// As HTML. Each heading has the id that GitHub gives it, and links to other
    /// documents lead to those of this server.
    pub fn html(&self) -> String {
        let mut events: Vec<Event<'static>> =
            Parser::new_ext(self.text, Options::ENABLE_TABLES).collect();
        let mut opened = None;
        for at in 0..events.len() {
            match &events[at] {
                Event::Start(Tag::Heading { .. }) => opened = Some(at),
                Event::End(TagEnd::Heading(_)) => {
                    if let Some(start) = opened.take() {
                        let id = anchor(&events[start..at]);
                        if let Event::Start(Tag::Heading { id: place, .. }) = &mut events[start] {
                            *place = Some(id.into());
                        }
                    }
                }
                _ => {}
            }
        }
        // A picture is not among the documents: its words stand for it.
        events.retain(|event| {
            !matches!(
                event,
                Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image)
            )
        });
        for event in &mut events {
            if let Event::Start(Tag::Link { dest_url, .. }) = event {
                *dest_url = here(dest_url);
            }
        }
        let mut page = String::with_capacity(self.text.len() * 5 / 4);
        html::push_html(&mut page, events.into_iter());
        // What may be wider than the page scrolls, by the keyboard too.
        page.replace("<table>", "<table tabindex=\"0\">")
            .replace("<pre>", "<pre tabindex=\"0\">")
    }

    /// The ids of its headings.
    #[cfg(test)]
    fn ids(&self) -> Vec<String> {
        let page = self.html();
        let parts = page.split(" id=\"").skip(1);
        parts
            .map(|part| part.split('"').next().unwrap_or_default().to_owned())
            .collect()
    }
}

/// The id that GitHub gives a heading: small letters, hyphens for blanks, no other signs.
fn anchor(events: &[Event<'_>]) -> String {
    let words = events.iter().filter_map(|event| match event {
        Event::Text(text) | Event::Code(text) => Some(text.as_ref()),
        _ => None,
    });
    words
        .flat_map(str::chars)
        .filter_map(|character| match character {
            ' ' => Some('-'),
            '-' | '_' => Some(character),
            _ if character.is_alphanumeric() => Some(character.to_ascii_lowercase()),
            _ => None,
        })
        .collect()
}

/// Where a link of a document leads on this server.
fn here(link: &CowStr<'static>) -> CowStr<'static> {
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let name = path.strip_suffix(".md");
    match name.and_then(document) {
        Some(document) if anchor.is_empty() => format!("/docs/{}", document.name).into(),
        Some(document) => format!("/docs/{}#{anchor}", document.name).into(),
        None => link.clone(),
    }
}

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Document> {
    DOCUMENTS.iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_is_a_page_and_its_links_lead_somewhere() {
        for one in all() {
            let page = one.html();
            assert!(page.starts_with("<h1 id="), "{}", one.name);
            // A screen reader names a cell by its column, and a wide table takes the focus.
            assert!(!page.contains("<th></th>"), "{}", one.name);
            assert!(
                !page.contains("<table>") && !page.contains("<pre>"),
                "{}",
                one.name
            );
            for link in page.split("href=\"").skip(1) {
                let link = link.split('"').next().unwrap();
                if link.starts_with("https://") || link.starts_with("http://127.0.0.1:11400/") {
                    continue;
                }
                let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
                let led = match path {
                    "" => one,
                    path => path
                        .strip_prefix("/docs/")
                        .and_then(document)
                        .unwrap_or_else(|| panic!("{}: {link}", one.name)),
                };
                assert!(
                    anchor.is_empty() || led.ids().iter().any(|id| id == anchor),
                    "{}: {link}",
                    one.name
                );
            }
        }
    }

    #[test]
    fn the_documents_are_in_the_order_of_the_summary() {
        let summary = include_str!("../../../../../docs/SUMMARY.md");
        let links = summary.split("](").skip(1);
        let listed: Vec<_> = links.filter_map(|rest| rest.split_once(".md)")).collect();
        let listed: Vec<_> = listed.into_iter().map(|(name, _)| name).collect();
        let served: Vec<_> = all().map(|document| document.name).collect();
        assert_eq!(served, listed);
    }

    #[test]
    fn a_section_of_the_runbook_has_the_anchor_of_its_alert() {
        let ids = document("runbook").unwrap().ids();
        assert!(ids.contains(&"capwatchsupervisordropfailed".to_owned()));
        assert!(document("../runbook").is_none() && document("runbook.md").is_none());
    }
}
