//! Supervisors by deed: who drops from its bounding set confines others, or means
//! to, whether a rule names it or not.

use std::collections::BTreeSet;

use crate::{
    config::Rules,
    finding::{Episode, NONE, OTHER, OVERFLOW, Verdict},
};

/// Names that are distinguished: each makes series, and anybody can make names.
const MAX_NAMES: usize = 64;
/// Bytes of a name.
const MAX_LENGTH: usize = 32;
/// The name of those beyond the bound.
const BEYOND: &str = "inferred";

/// How to make it known; for a failure, which is a warning until then.
const REMEDY: &str = "No rule names it, so this is a warning only: `capwatch config suggest` \
    prints a rule.";

/// Names given so far.
#[derive(Default)]
pub struct Inferred {
    names: BTreeSet<String>,
}

impl Inferred {
    /// Makes a supervisor of an episode's process.
    pub fn infer(&mut self, episode: &mut Episode, rules: &Rules) {
        episode.supervisor = Some(self.name(episode, rules));
        episode.inferred = true;
        episode.role = Some("supervisor".to_owned());
        // Of the process that launched it.
        episode.version = None;
        if episode.verdict >= Verdict::Pending {
            episode.explanation = format!("{} {REMEDY}", episode.explanation);
        }
    }

    fn name(&mut self, episode: &Episode, rules: &Rules) -> String {
        let name = cleaned(episode.exe.as_deref().unwrap_or(&episode.comm));
        let mut taken = rules.supervisors().iter();
        if is_reserved(&name) || taken.any(|rule| *rule.name == *name) {
            return BEYOND.to_owned();
        }
        if !self.names.contains(&name) {
            if self.names.len() >= MAX_NAMES {
                return BEYOND.to_owned();
            }
            self.names.insert(name.clone());
        }
        name
    }
}

/// The name that an executable gives a supervisor, in letters that every output
/// shows as they are.
pub fn cleaned(exe: &str) -> String {
    let plain = |letter: char| match letter {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '-' | '+' => letter,
        _ => '_',
    };
    exe.chars().take(MAX_LENGTH).map(plain).collect()
}

/// Whether a name means something else in labels and queries.
pub fn is_reserved(name: &str) -> bool {
    name.is_empty() || [NONE, OTHER, OVERFLOW, BEYOND].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn episode(exe: Option<&str>, verdict: &str) -> Episode {
        let exe = serde_json::to_string(&exe).unwrap();
        let json = format!(
            r#"{{"id":"1","verdict":"{verdict}","retried":false,"supervisor":null,"role":null,
            "version":"sha256:1","container":null,"pid":7,"ppid":1,"comm":"x","exe":{exe},"layer":"commoncap","profile":null,
            "drops":1,"refused_raised":1,"refused_lowered":0,"unknown_capability":0,"bounding_before":"0x1",
            "bounding_after":"0x1","residual":["chown"],"effective":"0x0","user_namespace":{{"inode":1,"level":1}},
            "fate":"exit","exit":null,"first_refused":"chown","duration_seconds":0.1,"explanation":"It failed."}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    fn inferred(names: &mut Inferred, exe: &str) -> String {
        let mut episode = episode(Some(exe), "fatal");
        names.infer(&mut episode, &Rules::load(None).unwrap());
        assert!(episode.inferred && episode.role.as_deref() == Some("supervisor"));
        episode.supervisor.unwrap()
    }

    #[test]
    fn a_failure_says_how_to_make_it_a_rule() {
        let mut names = Inferred::default();
        let mut failed = episode(Some("my-sandbox"), "fatal");
        names.infer(&mut failed, &Rules::default());
        assert_eq!(failed.supervisor.as_deref(), Some("my-sandbox"));
        assert_eq!(failed.version, None);
        assert!(
            failed
                .explanation
                .starts_with("It failed. No rule names it")
        );
        assert!(failed.explanation.contains("capwatch config suggest"));
        let mut well = episode(None, "ok");
        names.infer(&mut well, &Rules::default());
        assert_eq!(well.supervisor.as_deref(), Some("x"), "by its comm");
        assert_eq!(well.explanation, "It failed.");
    }

    #[test]
    fn names_are_clean_and_none_passes_for_a_rules() {
        let mut names = Inferred::default();
        assert_eq!(inferred(&mut names, "a\"} 1\n\u{1b}[31m"), "a___1___31m");
        assert_eq!(inferred(&mut names, "memfd:x/y"), "memfd_x_y");
        for taken in ["openshell", "none", "overflow", "other", "inferred", ""] {
            assert_eq!(inferred(&mut names, taken), "inferred", "{taken}");
        }
        assert_eq!(inferred(&mut names, &"n".repeat(63)).len(), 32);
    }

    #[test]
    fn names_are_bounded() {
        let mut names = Inferred::default();
        for number in 0..1_000 {
            let name = inferred(&mut names, &format!("copy-{number}"));
            assert_eq!(name == "inferred", number >= 64, "{number}");
        }
        assert_eq!(inferred(&mut names, "copy-3"), "copy-3", "a place is kept");
    }
}
