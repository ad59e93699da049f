//! What programs do when a drop is refused: a trial behaves like one of them.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The program whose place a trial takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
#[value(rename_all = "kebab-case")]
pub enum As {
    /// stops when a capability in the set is refused
    #[default]
    Fatal,
    /// ignores refusals and continues
    Tolerant,
    /// as fatal
    Openshell,
    /// as fatal
    Youki,
    /// as fatal
    SystemdNspawn,
    /// stops at the first refusal, even of an absent capability
    Crun,
    /// as crun
    Firejail,
    /// as tolerant
    Bwrap,
    /// as tolerant
    Flatpak,
    /// makes no call without an effective SETPCAP
    Runc,
    /// as runc
    Buildah,
    /// as runc
    Setpriv,
    /// rootless; its crun stops at the first refusal
    Podman,
    /// drops nothing from its bounding set
    Chromium,
    /// as runc
    Nsjail,
    /// sandbox-runtime; ends its drops at the first refusal, and continues
    Srt,
}

/// What it does when a drop is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRefusal {
    /// Reads the bit, and gives up where it is raised: capctl, systemd.
    Read,
    /// Gives up.
    GiveUp,
    /// Goes on.
    Ignore,
    /// Makes no call without SETPCAP in its effective set.
    AskFirst,
}

impl As {
    /// Its way with refusals, as read in the programs' sources.
    pub const fn on_refusal(self) -> OnRefusal {
        match self {
            Self::Fatal | Self::Openshell | Self::Youki | Self::SystemdNspawn => OnRefusal::Read,
            Self::Crun | Self::Firejail | Self::Podman => OnRefusal::GiveUp,
            Self::Tolerant | Self::Bwrap | Self::Flatpak | Self::Srt | Self::Chromium => {
                OnRefusal::Ignore
            }
            Self::Runc | Self::Buildah | Self::Setpriv | Self::Nsjail => OnRefusal::AskFirst,
        }
    }

    /// Whether it drops anything from its bounding set.
    pub const fn drops(self) -> bool {
        !matches!(self, Self::Chromium)
    }

    /// The word for it on the command line.
    pub fn word(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Rules;

    #[test]
    fn every_program_is_in_the_catalogue() {
        let rules = Rules::load(None).unwrap();
        for program in As::value_variants() {
            let word = program.word();
            // The last two are no supervisors of the catalogue's by that name.
            let generic = matches!(
                program,
                As::Fatal | As::Tolerant | As::Podman | As::Chromium | As::Nsjail | As::Srt
            );
            let known = rules.by_basename(word.as_bytes()).is_some() || word == "openshell";
            assert!(generic || known, "{word}");
        }
    }
}
