//! The machine's own apt sources: where its Debian mirror is.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// One repository as the machine's configuration has it.
#[derive(Debug, PartialEq, Eq)]
struct Source {
    uri: String,
    suites: Vec<String>,
}

/// The mirrors of the main and the security archive.
#[derive(Debug, PartialEq, Eq)]
pub struct Mirrors {
    /// URI of the archive that has the suites themselves.
    pub main: String,
    /// URI of the security archive, where one is configured.
    pub security: Option<String>,
}

impl Mirrors {
    /// Reads them from `/etc/apt`.
    pub fn of_this_machine() -> Result<Self> {
        let mut sources = Vec::new();
        let parts = Path::new("/etc/apt/sources.list.d");
        let mut files = vec![Path::new("/etc/apt/sources.list").to_path_buf()];
        if let Ok(entries) = fs::read_dir(parts) {
            files.extend(entries.flatten().map(|entry| entry.path()));
        }
        files.sort();
        for file in files {
            let Ok(text) = fs::read_to_string(&file) else {
                continue;
            };
            match file.extension().and_then(|extension| extension.to_str()) {
                Some("list") => sources.extend(parse_one_line(&text)),
                Some("sources") => sources.extend(parse_deb822(&text)),
                _ => {}
            }
        }
        Self::among(&sources)
            .context("no Debian mirror in /etc/apt: the tests need a Debian machine")
    }

    fn among(sources: &[Source]) -> Option<Self> {
        let find = |wanted: fn(&str) -> bool| {
            sources
                .iter()
                .find(|source| source.suites.iter().any(|suite| wanted(suite)))
                .map(|source| source.uri.clone())
        };
        Some(Self {
            main: find(is_release)?,
            security: find(is_security),
        })
    }
}

/// A Debian release's main suite, by code name or by role.
fn is_release(suite: &str) -> bool {
    const RELEASES: [&str; 9] = [
        "bullseye",
        "bookworm",
        "trixie",
        "forky",
        "duke",
        "sid",
        "oldstable",
        "stable",
        "testing",
    ];
    RELEASES.contains(&suite)
}

fn is_security(suite: &str) -> bool {
    suite
        .strip_suffix("-security")
        .or_else(|| suite.strip_suffix("/updates"))
        .is_some_and(is_release)
}

/// `deb [options] uri suite component…`, one repository a line.
fn parse_one_line(text: &str) -> Vec<Source> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim();
    let rest = line.strip_prefix("deb")?;
    let rest = rest.strip_prefix(char::is_whitespace)?.trim_start();
    let rest = match rest.strip_prefix('[') {
        Some(options) => options.split_once(']')?.1,
        None => rest,
    };
    let mut words = rest.split_whitespace();
    Some(Source {
        uri: words.next()?.to_owned(),
        suites: vec![words.next()?.to_owned()],
    })
}

/// The stanzas of a `.sources` file (deb822, see sources.list(5)).
fn parse_deb822(text: &str) -> Vec<Source> {
    let uncommented: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(str::trim_end)
        .collect();
    uncommented
        .split(|line| line.is_empty())
        .flat_map(parse_stanza)
        .collect()
}

fn parse_stanza(lines: &[&str]) -> Vec<Source> {
    let field = |name: &str| -> Vec<String> {
        let mut values = Vec::new();
        let mut inside = false;
        for line in lines {
            let continued = line.starts_with([' ', '\t']);
            let value = if continued {
                inside.then_some(*line)
            } else {
                let (key, value) = line.split_once(':').unwrap_or((line, ""));
                inside = key.eq_ignore_ascii_case(name);
                inside.then_some(value)
            };
            values.extend(
                value
                    .unwrap_or_default()
                    .split_whitespace()
                    .map(str::to_owned),
            );
        }
        values
    };
    let disabled = field("Enabled").iter().any(|value| value == "no");
    if disabled || !field("Types").iter().any(|kind| kind == "deb") {
        return Vec::new();
    }
    let suites = field("Suites");
    field("URIs")
        .into_iter()
        .map(|uri| Source {
            uri,
            suites: suites.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deb822_with_comments_and_continuations() {
        let text = "\
Types: deb deb-src
# a comment inside a stanza
URIs: http://mirror.example/debian
Suites: bookworm
 bookworm-updates
Components: main

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://mirror.example/off
Suites: sid
";
        let mirrors = Mirrors::among(&parse_deb822(text)).expect("there is a mirror");
        assert_eq!(mirrors.main, "http://mirror.example/debian");
        assert_eq!(
            mirrors.security.as_deref(),
            Some("http://mirror.example/debian-security")
        );
    }

    #[test]
    fn one_line_with_options() {
        let text = "\
# deb http://commented.example/debian bookworm main
deb-src http://mirror.example/debian bookworm main
deb [arch=amd64 signed-by=/a/b.gpg] https://mirror.example/debian bookworm main contrib # why
deb\thttps://other.example/apt nodistro main
";
        let mirrors = Mirrors::among(&parse_one_line(text)).expect("there is a mirror");
        assert_eq!(mirrors.main, "https://mirror.example/debian");
        assert_eq!(mirrors.security, None);
    }

    #[test]
    fn foreign_repositories_are_no_mirror() {
        let text = "deb https://other.example/apt nodistro main";
        assert_eq!(Mirrors::among(&parse_one_line(text)), None);
    }
}
