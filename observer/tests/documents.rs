//! The documents hang together: the summary has each of them once, and every link
//! between files of the repository leads to a file and a heading.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn names(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let pages = paths.filter(|path| path.extension().is_some_and(|end| end == "md"));
    pages
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect()
}

/// The targets of its links and pictures, and the ids of its headings.
fn read(path: &Path) -> (Vec<String>, BTreeSet<String>) {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (mut links, mut ids) = (Vec::new(), BTreeSet::new());
    let mut heading: Option<String> = None;
    for event in Parser::new_ext(&text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                links.push(dest_url.into_string());
            }
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => ids.extend(heading.take()),
            Event::Text(words) | Event::Code(words) => {
                if let Some(heading) = &mut heading {
                    // As a forge makes it.
                    let words = words.to_lowercase().replace(' ', "-");
                    let kept = |sign: &char| sign.is_alphanumeric() || "-_".contains(*sign);
                    heading.extend(words.chars().filter(kept));
                }
            }
            _ => {}
        }
    }
    (links, ids)
}

#[test]
fn the_summary_has_every_document_once() {
    let (links, _) = read(&root().join("docs/SUMMARY.md"));
    let listed: BTreeSet<_> = links.iter().cloned().collect();
    assert_eq!(listed.len(), links.len(), "a document is listed twice");
    let mut there = names("docs");
    there.remove("SUMMARY.md");
    assert_eq!(listed, there);
}

#[test]
fn links_between_files_lead_somewhere() {
    let mut wrong = Vec::new();
    for folder in [".", "docs", "dashboards", "fuzz"] {
        for name in names(folder) {
            let page = root().join(folder).join(&name);
            let (links, own) = read(&page);
            for link in links.iter().filter(|link| !link.contains("://")) {
                let (path, id) = link.split_once('#').unwrap_or((link, ""));
                let target = page.with_file_name(path);
                let leads = match (path, id) {
                    ("", id) => own.contains(id),
                    (_, "") => target.exists(),
                    (_, id) => target.exists() && read(&target).1.contains(id),
                };
                if !leads {
                    wrong.push(format!("{folder}/{name}: {link}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_readme_fits_two_screens() {
    let lines = fs::read_to_string(root().join("README.md")).unwrap();
    let lines = lines.lines().count();
    assert!(lines <= 100, "{lines} lines");
}
