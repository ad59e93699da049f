//! What must not leave the host: its name, its users' names, addresses, paths
//! in home folders, names of containers.

use std::{collections::BTreeSet, net::IpAddr};

use crate::open;

/// The text in its place.
const HIDDEN: &str = "…";
/// Names shorter than this are too common to be replaced wherever they are.
const SHORTEST: usize = 3;
/// Names that any host may have.
const COMMON: [&str; 8] = [
    "root",
    "nobody",
    "localhost",
    "debian",
    "ubuntu",
    "fedora",
    "docker",
    "user",
];

/// Words to hide.
#[derive(Debug, Default)]
pub struct Secrets {
    words: BTreeSet<String>,
}

impl Secrets {
    /// The host's name, and the names of people who have an account.
    pub fn of_this_host() -> Self {
        let mut secrets = Self::default();
        for path in [
            "/proc/sys/kernel/hostname",
            "/proc/sys/kernel/domainname",
            "/etc/hostname",
        ] {
            let name = open::text(path).unwrap_or_default();
            secrets.add_all(name.trim().split('.'));
            secrets.add_all([name.trim()]);
        }
        let passwd = open::text("/etc/passwd").unwrap_or_default();
        secrets.add_all(people(&passwd));
        for name in ["USER", "LOGNAME", "SUDO_USER", "HOSTNAME"] {
            if let Ok(value) = std::env::var(name) {
                secrets.add_all([value.as_str()]);
            }
        }
        secrets
    }

    /// Hides these too.
    pub fn add_all<'a>(&mut self, words: impl IntoIterator<Item = &'a str>) {
        let distinctive = |word: &&str| word.len() >= SHORTEST && !COMMON.contains(word);
        let words = words.into_iter().filter(distinctive);
        self.words.extend(words.map(str::to_owned));
    }

    /// A line without what is secret.
    pub fn hide(&self, line: &str) -> String {
        let mut hidden = line.to_owned();
        // The longest first: one may be a part of another.
        let mut words: Vec<_> = self.words.iter().collect();
        words.sort_by_key(|word| std::cmp::Reverse(word.len()));
        for word in words {
            hidden = replace_word(&hidden, word);
        }
        for folder in [
            "/home/",
            "/run/user/",
            "/Users/",
            "/var/home/",
            "/media/",
            "/mnt/",
        ] {
            hidden = without_rest(&hidden, folder);
        }
        without_addresses(&hidden)
    }
}

/// Accounts of people: ids from 1000 up, but for `nobody`.
fn people(passwd: &str) -> impl Iterator<Item = &str> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid: u32 = fields.nth(1)?.parse().ok()?;
        (1_000..65_534).contains(&uid).then_some(name)
    })
}

fn part_of_word(character: Option<char>) -> bool {
    character.is_some_and(char::is_alphanumeric)
}

/// Replaces a word where it is alone.
fn replace_word(line: &str, word: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(place) = rest.find(word) {
        let (before, from) = rest.split_at(place);
        let after = &from[word.len()..];
        out.push_str(before);
        let inside = part_of_word(before.chars().next_back().or(out.chars().next_back()))
            || part_of_word(after.chars().next());
        out.push_str(if inside { word } else { HIDDEN });
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Hides what follows a folder of people's, up to the end of the path.
fn without_rest(line: &str, folder: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(place) = rest.find(folder) {
        let (before, from) = rest.split_at(place + folder.len());
        out.push_str(before);
        out.push_str(HIDDEN);
        let ends =
            |character: char| character.is_whitespace() || "`'\"(),;:|&<>[]{}".contains(character);
        rest = from.find(ends).map_or("", |end| &from[end..]);
    }
    out.push_str(rest);
    out
}

/// Hides addresses of networks and of mail.
fn without_addresses(line: &str) -> String {
    let inside =
        |character: char| character.is_ascii_alphanumeric() || ".:@_-%".contains(character);
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while !rest.is_empty() {
        let start = rest.find(inside).unwrap_or(rest.len());
        let (before, from) = rest.split_at(start);
        out.push_str(before);
        let end = from
            .find(|character| !inside(character))
            .unwrap_or(from.len());
        let (word, after) = from.split_at(end);
        let bare = word.trim_end_matches([':', '.']);
        if is_address(bare) {
            out.push_str(HIDDEN);
            out.push_str(&word[bare.len()..]);
        } else {
            out.push_str(word);
        }
        rest = after;
    }
    out
}

fn is_address(word: &str) -> bool {
    let bare = word.split('%').next().unwrap_or(word);
    let host = bare.rsplit_once(':').map_or(bare, |(host, _)| host);
    let mail = word.split_once('@').is_some_and(|(who, host)| {
        !who.is_empty() && host.contains('.') && !host.ends_with("service")
    });
    let hardware = bare.len() == 17
        && bare.split(':').count() == 6
        && bare
            .split(':')
            .all(|part| u8::from_str_radix(part, 16).is_ok());
    mail || hardware || bare.parse::<IpAddr>().is_ok() || host.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> Secrets {
        let mut secrets = Secrets::default();
        secrets.add_all(["alice", "build-7", "root", "al"]);
        secrets
    }

    #[test]
    fn names_are_hidden_where_they_stand_alone() {
        let secrets = secrets();
        assert_eq!(secrets.hide("alice on build-7: root"), "… on …: root");
        assert_eq!(secrets.hide("malice, alicent, al"), "malice, alicent, al");
        assert_eq!(secrets.hide("user@alice.service alice"), "user@….service …");
    }

    #[test]
    fn homes_and_addresses_are_hidden() {
        let secrets = secrets();
        assert_eq!(
            secrets.hide("profile `/home/bob/x y` and /run/user/1000/bus"),
            "profile `/home/… y` and /run/user/…"
        );
        for address in [
            "10.0.0.7",
            "10.0.0.7:443",
            "fe80::1",
            "fe80::1%eth0",
            "a@b.org",
            "02:42:ac:11:00:02",
        ] {
            assert_eq!(secrets.hide(address), HIDDEN, "{address}");
        }
        for plain in [
            "6.12.48+deb13-amd64",
            "0x1ff",
            "a:b",
            "12:30",
            "bwrap//&unpriv_bwrap",
        ] {
            assert_eq!(secrets.hide(plain), plain);
        }
    }

    #[test]
    fn people_are_accounts_of_ordinary_ids() {
        let passwd = "root:x:0:0::/root:/bin/sh\nbob:x:1000:1000::/home/bob:/bin/sh\nnobody:x:65534:0::/:\nbroken\n";
        assert_eq!(people(passwd).collect::<Vec<_>>(), ["bob"]);
    }
}
