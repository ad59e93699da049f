//! Whose a finding is: the recorded command's own, of what daemons made while it
//! ran, or anybody's on the host.

use serde::{Deserialize, Serialize};

/// How far from the recorded command a process is. What is asked for takes in
/// everything before it.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The command and what descends from it
    Tree,
    /// Also containers, machines and transient units that daemons started while it ran
    Beside,
    /// Everything on the host while it ran
    #[default]
    Host,
}

impl Scope {
    /// Every scope, the narrowest first.
    pub const ALL: [Self; 3] = [Self::Tree, Self::Beside, Self::Host];

    /// The word for it in JSON and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tree => "tree",
            Self::Beside => "beside",
            Self::Host => "host",
        }
    }

    /// Whether it takes in what happened in another one.
    pub fn takes(self, other: Self) -> bool {
        other <= self
    }

    /// The scopes that it takes in, the narrowest first.
    pub fn parts(self) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |part| self.takes(*part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_takes_in_the_narrower_ones() {
        assert_eq!(Scope::Beside.parts().count(), 2);
        assert!(Scope::Host.takes(Scope::Tree) && !Scope::Tree.takes(Scope::Beside));
        for scope in Scope::ALL {
            let json = serde_json::to_string(&scope).unwrap();
            assert_eq!(json, format!("\"{}\"", scope.as_str()));
        }
    }
}
