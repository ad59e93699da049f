//! The release of the distribution whose kernel a host runs, where a remedy depends
//! on it.

use serde::{Deserialize, Serialize};

/// Which distribution's release it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Release {
    /// Not known, or one that no remedy depends on.
    #[default]
    Other,
    /// Ubuntu, by year and month.
    Ubuntu(u8, u8),
}

/// Ubuntu's kernels and the releases that came with them; one that an older release
/// was given later carries that release's number ("#45~22.04.1-Ubuntu").
const UBUNTU: [(&str, (u8, u8)); 7] = [
    ("5.15", (22, 4)),
    ("6.5", (23, 10)),
    ("6.8", (24, 4)),
    ("6.11", (24, 10)),
    ("6.14", (25, 4)),
    ("6.17", (25, 10)),
    ("7.0", (26, 4)),
];

impl Release {
    /// The first release of Ubuntu that loads a profile for /usr/bin/bwrap by itself.
    pub const WITH_BWRAP: (u8, u8) = (25, 4);

    /// Of this host's kernel, which shows the host's release in a container too.
    pub fn of_host() -> Self {
        let version = crate::open::text("/proc/version").unwrap_or_default();
        Self::of_log(version.as_bytes())
    }

    /// By the first line of a kernel's log among `text` ("Linux version …",
    /// `linux_banner`, `init/version-timestamp.c`).
    pub fn of_log(text: &[u8]) -> Self {
        const BANNER: &[u8] = b"Linux version ";
        let Some(at) = memchr::memmem::find(text, BANNER) else {
            return Self::Other;
        };
        let banner = &text[at + BANNER.len()..];
        let banner = banner
            .split(|byte| *byte == b'\n')
            .next()
            .unwrap_or_default();
        let banner = String::from_utf8_lossy(banner);
        if !banner.contains("-Ubuntu") {
            return Self::Other;
        }
        let later = banner.split('~').nth(1).and_then(numbers);
        let kernel = || {
            let first = banner.split('-').next().unwrap_or_default();
            let known = |(kernel, _): &&(&str, _)| {
                let rest = first.strip_prefix(kernel);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            UBUNTU.iter().find(known).map(|(_, release)| *release)
        };
        match later.or_else(kernel) {
            Some((year, month)) => Self::Ubuntu(year, month),
            None => Self::Other,
        }
    }
}

/// Year and month of "22.04.1-Ubuntu".
fn numbers(text: &str) -> Option<(u8, u8)> {
    let (year, rest) = text.split_once('.')?;
    let end = rest.find(|c: char| !c.is_ascii_digit());
    let month = &rest[..end.unwrap_or(rest.len())];
    Some((year.parse().ok()?, month.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_banner_shows_ubuntu_s_release() {
        let of = |banner: &str| Release::of_log(banner.as_bytes());
        let noble = "[    0.000000] Linux version 6.8.0-45-generic (buildd@x) (x86_64-linux-gnu-gcc-13 \
            (Ubuntu 13.2.0-23ubuntu4) 13.2.0, GNU ld 2.42) #45-Ubuntu SMP PREEMPT_DYNAMIC\nnext";
        assert_eq!(of(noble), Release::Ubuntu(24, 4));
        let later = noble.replace("#45-Ubuntu", "#45~22.04.1-Ubuntu");
        assert_eq!(of(&later), Release::Ubuntu(22, 4));
        let plucky = noble.replace("6.8.0-45", "6.14.0-15");
        assert_eq!(of(&plucky), Release::Ubuntu(25, 4));
        let unknown = noble.replace("6.8.0-45", "6.80.0-45");
        assert_eq!(of(&unknown), Release::Other);
        let debian =
            "Linux version 6.12.48 (debian-kernel@lists.debian.org) #1 SMP Debian 6.12.48-1";
        for other in [
            debian,
            "",
            "Linux version ",
            "Linux version ~-Ubuntu",
            "é~9.é-Ubuntu",
        ] {
            assert_eq!(of(other), Release::Other, "{other}");
        }
    }
}
