//! Findings as live columns.

use super::{
    color::Tint,
    fit::{clip, pad, pad_left, wrap},
};
use crate::{
    clean::clean,
    correlate::listed,
    finding::{Container, Denial, Episode, Event, EventKind, Link, LossEvent, RuleRefusal},
};

/// A column: its name, the width that it takes in a pipe, and the least and the
/// most that it takes on a terminal.
struct Column {
    name: &'static str,
    piped: usize,
    least: usize,
    most: usize,
}

const fn column(name: &'static str, piped: usize, least: usize, most: usize) -> Column {
    Column {
        name,
        piped,
        least,
        most,
    }
}

const TIME: usize = 0;
const PID: usize = 1;
const PROFILE: usize = 6;
const VERDICT: usize = 7;
/// The first of those that only a wide terminal has room for.
const EXE: usize = 8;
const COUNT: usize = 11;

const COLUMNS: [Column; COUNT] = [
    column("TIME", 15, 12, 12),
    column("PID", 7, 7, 7),
    column("COMM", 16, 10, 16),
    column("SUPERVISOR", 18, 10, 30),
    column("CAP", 18, 8, 18),
    column("LAYER", 9, 9, 9),
    column("PROFILE", 24, 7, 48),
    column("VERDICT", 8, 8, 8),
    column("EXE", 0, 0, 20),
    column("CONTAINER", 0, 0, 24),
    column("WHY", 0, 0, 24),
];

/// A time to the second, for narrow terminals.
const TIME_SHORT: usize = 8;
/// A time to the microsecond, for wide ones.
const TIME_LONG: usize = 15;

/// How wide the columns are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// A column of width 0 is left out.
    widths: [usize; COUNT],
    /// Columns of the terminal; none where the output is none, and nothing is cut.
    terminal: Option<usize>,
}

impl Layout {
    /// The layout of a pipe or a file: nothing is left out.
    pub fn piped() -> Self {
        Self {
            widths: COLUMNS.map(|column| column.piped),
            terminal: None,
        }
    }

    /// The layout of a terminal that is so many columns wide.
    pub fn fit(terminal: usize) -> Self {
        let mut layout = Self {
            widths: COLUMNS.map(|column| column.least),
            terminal: Some(terminal),
        };
        if layout.taken() > terminal {
            layout.widths[PROFILE] = 0;
        }
        if layout.taken() > terminal {
            layout.widths[TIME] = TIME_SHORT;
        }
        layout.share_out(terminal);
        if layout.taken() + TIME_LONG - COLUMNS[TIME].least <= terminal {
            layout.widths[TIME] = TIME_LONG;
        }
        for (at, column) in COLUMNS.iter().enumerate().skip(EXE) {
            if layout.taken() + 1 + column.most <= terminal {
                layout.widths[at] = column.most;
            }
        }
        layout
    }

    /// Gives each column what it can use of the room that is left, in turn.
    fn share_out(&mut self, terminal: usize) {
        let mut free = terminal.saturating_sub(self.taken());
        while free > 0 {
            let before = free;
            for (width, column) in self.widths.iter_mut().zip(&COLUMNS) {
                if free > 0 && *width > 0 && *width < column.most && column.name != "TIME" {
                    *width += 1;
                    free -= 1;
                }
            }
            if free == before {
                return;
            }
        }
    }

    /// What a line takes, with a space between two columns.
    fn taken(&self) -> usize {
        let present = self.widths.iter().filter(|width| **width > 0);
        present.map(|width| width + 1).sum::<usize>() - 1
    }

    /// The columns' names.
    pub fn heading(&self, color: bool) -> String {
        let names = COLUMNS.map(|column| column.name.to_owned());
        Tint::Bold.paint(self.join(&names, Tint::Plain, false).trim_end(), color)
    }

    fn join(&self, cells: &[String; COUNT], verdict: Tint, color: bool) -> String {
        let mut parts = Vec::with_capacity(COUNT);
        for (at, (cell, width)) in cells.iter().zip(self.widths).enumerate() {
            if width == 0 {
                continue;
            }
            let text = match self.terminal {
                None => cell.clone(),
                // The last digits of a time are cut without a mark.
                Some(_) if at == TIME => cell.chars().take(width).collect(),
                Some(_) => clip(cell, width),
            };
            parts.push(match at {
                PID => pad_left(&text, width),
                VERDICT => verdict.paint(text, color),
                _ => pad(&text, width),
            });
        }
        parts.join(" ")
    }

    /// An event as a line, with a sentence below where a drop failed; `None`
    /// for what has no such line.
    pub fn line(&self, event: &Event, color: bool) -> Option<String> {
        let stamp = event.time.to_string();
        let time = stamp.split('T').nth(1).unwrap_or(&stamp);
        let time = time.trim_end_matches('Z');
        match &event.kind {
            EventKind::Denial(denial) => Some(self.denial(time, denial, color)),
            EventKind::Episode(episode) => Some(self.episode(time, episode, color)),
            EventKind::RuleRefusal(refusal) => Some(self.refusal(time, refusal, color)),
            EventKind::Loss(loss) => Some(self.loss(time, loss, color)),
            EventKind::Supervisor(_) | EventKind::Audit(_) => None,
        }
    }

    fn denial(&self, time: &str, denial: &Denial, color: bool) -> String {
        let (verdict, tint) = match denial {
            Denial { expected: true, .. } => ("expected", Tint::Dim),
            Denial { audited, .. } if audited == "no" => ("no audit", Tint::Dim),
            _ => ("denied", Tint::Plain),
        };
        let cells = [
            time.to_owned(),
            denial.pid.map_or("-".to_owned(), |pid| pid.to_string()),
            clean(&denial.comm).into_owned(),
            owner(denial.supervisor.as_deref(), denial.role.as_deref()),
            denial.capability.clone(),
            denial.layer.clone(),
            dash(denial.profile.as_deref()),
            verdict.to_owned(),
            dash(denial.exe.as_deref()),
            place(denial.container.as_deref()),
            dash(denial.reason.as_deref()),
        ];
        tint.paint(self.join(&cells, Tint::Plain, false), color)
    }

    fn episode(&self, time: &str, episode: &Episode, color: bool) -> String {
        let cells = [
            time.to_owned(),
            episode.pid.to_string(),
            clean(&episode.comm).into_owned(),
            by_rule_or_deed(episode),
            dash(episode.first_refused.as_deref()),
            dash(episode.layer.as_deref()),
            dash(episode.profile.as_deref()),
            episode.verdict.to_string(),
            dash(episode.exe.as_deref()),
            place(episode.container.as_deref()),
            episode.ending(),
        ];
        let line = self.join(&cells, Tint::Verdict(episode.verdict), color);
        if !episode.is_explained() {
            return line;
        }
        let sentence = self.below(&episode.explanation);
        match chain(&episode.chain) {
            Some(chain) => format!("{line}\n{sentence}\n{}", self.below(&chain)),
            None => format!("{line}\n{sentence}"),
        }
    }

    fn refusal(&self, time: &str, refusal: &RuleRefusal, color: bool) -> String {
        let verdict = if refusal.errno == 0 { "lost" } else { "rule" };
        let missing = (!refusal.missing.is_empty()).then(|| listed(&refusal.missing));
        let cells = [
            time.to_owned(),
            refusal.pid.map_or("-".to_owned(), |pid| pid.to_string()),
            clean(&refusal.comm).into_owned(),
            owner(refusal.supervisor.as_deref(), refusal.role.as_deref()),
            dash(missing.as_deref()),
            refusal.call.clone(),
            "-".to_owned(),
            verdict.to_owned(),
            dash(refusal.exe.as_deref()),
            place(refusal.container.as_deref()),
            refusal.rule.clone(),
        ];
        let line = self.join(&cells, Tint::Plain, color);
        format!("{line}\n{}", self.below(&refusal.explanation))
    }

    /// Text below a line, made safe.
    pub fn below(&self, text: &str) -> String {
        wrap(&clean(text), "    ", self.terminal)
    }

    fn loss(&self, time: &str, loss: &LossEvent, color: bool) -> String {
        let width = self.widths[TIME];
        let time: String = time.chars().take(width).collect();
        let what = format!("lost {} ({}: {})", loss.count, loss.stage, loss.reason);
        format!("{} {}", pad(&time, width), Tint::Warning.paint(what, color))
    }
}

/// The processes from the supervisor down, as text that is safe to show; `None`
/// where there is none above.
pub fn chain(links: &[Link]) -> Option<String> {
    if links.len() < 2 {
        return None;
    }
    let links = links
        .iter()
        .map(|link| format!("{} ({})", clean(&link.comm), link.pid));
    Some(format!("chain: {}", links.collect::<Vec<_>>().join(" > ")))
}

/// The owner of an episode, and whether no rule names it.
fn by_rule_or_deed(episode: &Episode) -> String {
    let owner = owner(episode.supervisor.as_deref(), episode.role.as_deref());
    if episode.inferred {
        owner + " (no rule)"
    } else {
        owner
    }
}

fn owner(supervisor: Option<&str>, role: Option<&str>) -> String {
    match (supervisor, role) {
        (Some(supervisor), Some("workload")) => format!("{supervisor}/workload"),
        (Some(supervisor), _) => supervisor.to_owned(),
        (None, _) => "-".to_owned(),
    }
}

/// A container by its name, else the beginning of its id.
fn place(container: Option<&Container>) -> String {
    let Some(container) = container else {
        return "-".to_owned();
    };
    let short = || container.id.chars().take(12).collect();
    let name = container.name.clone().unwrap_or_else(short);
    clean(&name).into_owned()
}

fn dash(text: Option<&str>) -> String {
    text.map_or("-".to_owned(), |text| clean(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{outputs::fit::width, time::Stamp};

    #[test]
    fn columns_fill_a_terminal_and_never_overflow_it() {
        for terminal in 66..300 {
            let layout = Layout::fit(terminal);
            assert!(layout.taken() <= terminal, "{terminal}: {layout:?}");
            assert!(width(&layout.heading(false)) <= terminal);
        }
        assert_eq!(Layout::fit(66).widths[PROFILE], 0);
        assert_eq!(Layout::fit(66).widths[TIME], TIME_SHORT);
        assert!(Layout::fit(80).widths[PROFILE] > 0);
        assert_eq!(Layout::fit(200).widths[TIME], TIME_LONG);
        assert_eq!(Layout::fit(200).widths[PROFILE], 48);
        let heading = |columns| Layout::fit(columns).heading(false);
        assert!(heading(240).ends_with("EXE                  CONTAINER                WHY"));
        assert!(!heading(150).contains("EXE"));
    }

    #[test]
    fn a_finding_fits_80_columns_and_has_more_on_200() {
        let refusal = RuleRefusal {
            call: "uid_map".to_owned(),
            rule: "creator_lacks_setfcap".to_owned(),
            missing: vec!["checkpoint_restore".to_owned()],
            errno: 1,
            supervisor: Some("systemd-nspawn".to_owned()),
            role: Some("workload".to_owned()),
            pid: Some(4_194_304),
            comm: "a_comm_of_15_by".to_owned(),
            exe: Some("program-of-some-length".to_owned()),
            explanation: "A sentence of some words that goes on and on. ".repeat(6),
            ..RuleRefusal::default()
        };
        let event = Event::new(Stamp(1), EventKind::RuleRefusal(Box::new(refusal)));
        let shown = |columns| Layout::fit(columns).line(&event, false).unwrap();
        for columns in [80, 200] {
            for line in shown(columns).lines() {
                assert!(width(line) <= columns, "{columns}: {line}");
            }
        }
        assert!(shown(80).contains("systemd-n"), "{}", shown(80));
        for wanted in ["systemd-nspawn/workload", "checkpoint_restore"] {
            assert!(shown(200).contains(wanted), "{wanted}: {}", shown(200));
        }
        assert!(Layout::piped().below("a  b").starts_with("    a b"));
    }
}
