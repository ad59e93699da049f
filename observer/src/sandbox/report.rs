//! The sandbox as people and other programs see it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Lapse, Mode};

/// How much of the sandbox holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing, because `--sandbox off` was given.
    #[default]
    Off,
    /// Some parts can't be had.
    Partial,
    /// All of it.
    Whole,
}

impl State {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Partial => "partial",
            Self::Whole => "whole",
        }
    }
}

/// The sandbox of an agent, or the one that a host can give.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What was asked for; absent where it was only tried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// How much of it holds.
    pub state: State,
    /// The parts that can't be had.
    pub lapses: Vec<ReportedLapse>,
}

/// A part that can't be had, with its sentences.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedLapse {
    /// Which, and why.
    #[serde(flatten)]
    pub lapse: Lapse,
    /// What it means.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl Report {
    pub(super) fn new(mode: Option<Mode>, lapses: Vec<Lapse>) -> Self {
        let state = match mode {
            Some(Mode::Off) => State::Off,
            _ if lapses.is_empty() => State::Whole,
            _ => State::Partial,
        };
        let reported = |lapse: Lapse| {
            let (what, remedy) = advice(&lapse.part);
            ReportedLapse {
                lapse,
                what: what.to_owned(),
                remedy: remedy.to_owned(),
            }
        };
        Self {
            mode,
            state,
            lapses: lapses.into_iter().map(reported).collect(),
        }
    }
}

/// In one line: the state, and each part that can't be had with the reason.
impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.state.as_str())?;
        for (index, ReportedLapse { lapse, .. }) in self.lapses.iter().enumerate() {
            let between = if index == 0 { ": " } else { "; " };
            write!(formatter, "{between}{} ({})", lapse.part, lapse.why)?;
        }
        Ok(())
    }
}

/// What the lack of a part means and what to do, as a sentence each.
fn advice(part: &str) -> (&'static str, &'static str) {
    match part {
        "landlock" => (
            "Landlock does not restrict the agent's files; the seccomp filter and the dropped \
             capabilities still do",
            "boot Linux 5.13 or newer, with landlock in lsm= on the kernel command line",
        ),
        "seccomp" => (
            "no seccomp filter is installed: the agent may start programs and open sockets",
            "use a kernel with CONFIG_SECCOMP_FILTER",
        ),
        "capabilities" => (
            "the agent's threads keep the capabilities they started with",
            "run `capwatch doctor` and check the log for a security module that refuses capset to capwatch",
        ),
        _ => (
            "the agent may gain privileges by executing a file",
            "set NoNewPrivileges=yes in its unit",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_follows_from_mode_and_lapses() {
        let lapse = Lapse {
            part: "landlock".into(),
            why: "none".to_owned(),
        };
        let state = |mode, lapses: &[Lapse]| Report::new(mode, lapses.to_vec()).state;
        assert_eq!(state(Some(Mode::Off), &[]), State::Off);
        assert_eq!(state(Some(Mode::Auto), &[]), State::Whole);
        assert_eq!(state(None, std::slice::from_ref(&lapse)), State::Partial);
        let report = Report::new(Some(Mode::Auto), vec![lapse]);
        assert_eq!(report.to_string(), "partial: landlock (none)");
        let json = serde_json::to_value(&report).expect("JSON");
        assert_eq!(json["mode"], "auto");
        assert_eq!(json["state"], "partial");
        assert_eq!(json["lapses"][0]["part"], "landlock");
        assert_eq!(json["lapses"][0]["remedy"], report.lapses[0].remedy);
    }
}
