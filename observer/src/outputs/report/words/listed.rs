//! Which findings a report lists, and in which order.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
};

use super::{ROWS, logged, owner, why};
use crate::finding::{Denial, Episode, Report, Scope};

/// Rows of denials that have their sentence below the table: those that a log shows
/// of, where nothing else says what to change.
pub fn explained<'a>(report: &Report, denials: &'a [&'a Denial]) -> &'a [&'a Denial] {
    const SHOWN: usize = 20;
    match report.log {
        Some(_) => &denials[..denials.len().min(SHOWN)],
        None => &[],
    }
}

/// As many of each scope as a table has room for: none pushes out another's.
fn room<T>(all: &[T], scope: impl Fn(&T) -> Scope) -> Vec<&T> {
    let mut counts = [0; Scope::ALL.len()];
    let has_room = |one: &&T| {
        let count = &mut counts[scope(one) as usize];
        *count += 1;
        *count <= ROWS
    };
    all.iter().filter(has_room).collect()
}

/// The episodes that a table shows.
pub fn shown_episodes<'a>(episodes: &'a [&'a Episode]) -> Vec<&'a Episode> {
    let shown = room(episodes, |episode| episode.scope).into_iter();
    shown.copied().collect()
}

/// The denials that a table shows.
pub fn shown_denials(denials: &[Denial]) -> Vec<&Denial> {
    room(denials, |denial| denial.scope)
}

/// How many episodes of how many a table shows; none where it shows all.
pub fn episodes_shown(report: &Report, rows: usize) -> Option<String> {
    let counts = &report.counts.episodes;
    shown(rows as u64, counts.shown, counts.all, "episodes")
}

/// How many rows of denials of how many a table shows, of which some may stand for
/// several that look alike; none where it shows all.
pub fn denials_shown(report: &Report, rows: usize, alike: usize) -> Option<String> {
    let counts = &report.counts.denials;
    let unlisted = counts.rows.saturating_sub(counts.rows_shown);
    let alike = alike as u64;
    shown(rows as u64, alike, alike + unlisted, "rows of denials")
}

pub(super) fn shown(rows: u64, listed: u64, all: u64, what: &str) -> Option<String> {
    if rows >= all {
        return None;
    }
    let mut text =
        format!("{rows} of {all} {what} shown, chosen by how bad, new and recent they are");
    if listed > rows {
        // Writing to a string never fails.
        let _ = write!(text, "; -o json lists {listed}");
    }
    Some(text)
}

/// Episodes, the worst first, and of these the command's own.
pub fn worst_first(report: &Report) -> Vec<&Episode> {
    let mut episodes: Vec<_> = report.episodes.iter().collect();
    episodes.sort_by_key(|episode| (std::cmp::Reverse(episode.verdict), episode.scope));
    episodes
}

/// Takes out of the rows what the kernel asks in passing: a sentence for each sort.
pub fn routine(denials: &mut Vec<Denial>) -> Vec<String> {
    let mut sentences: Vec<_> = accounting(denials).into_iter().collect();
    let mut passing: BTreeMap<String, (u64, &str)> = BTreeMap::new();
    denials.retain(|denial| {
        let Some(why) = denial.in_passing().filter(|_| !denial.expected) else {
            return true;
        };
        let (count, _) = passing.entry(denial.capability.clone()).or_insert((0, why));
        *count += denial.count;
        false
    });
    sentences.extend(passing.into_iter().map(|(capability, (count, why))| {
        let checks = match count {
            1 => format!("1 check of {capability} is"),
            _ => format!("{count} checks of {capability} are"),
        };
        format!(
            "{checks} routine: the kernel checks {why}. Do not grant {} for it.",
            capability.to_ascii_uppercase()
        )
    }));
    sentences
}

/// Takes out of the rows those of memory accounting: one sentence covers them all.
fn accounting(denials: &mut Vec<Denial>) -> Option<String> {
    let mut count = 0;
    denials.retain(|denial| {
        let is_accounting = denial.is_accounting();
        count += u64::from(is_accounting) * denial.count;
        !is_accounting
    });
    let checks = match count {
        0 => return None,
        1 => "1 check of sys_admin is".to_owned(),
        _ => format!("{count} checks of sys_admin are"),
    };
    Some(format!(
        "{checks} routine memory accounting: the kernel makes this check for every process that allocates \
         memory, and continues without it. Do not grant SYS_ADMIN for it."
    ))
}

/// Denials that no rule expects first, of these what was logged, the most first. Rows that a person could
/// not distinguish, such as those of two instances of a supervisor, are one.
pub fn most_first(report: &Report) -> Vec<Denial> {
    let mut denials: Vec<Denial> = Vec::new();
    let mut places = HashMap::new();
    for denial in &report.denials {
        let alike = (
            owner(denial.supervisor.as_deref(), denial.role.as_deref()),
            (&denial.comm, &denial.capability, &denial.layer),
            (why(denial), logged(denial), denial.scope),
        );
        let place = *places.entry(alike).or_insert(denials.len());
        match denials.get_mut(place) {
            None => denials.push(denial.clone()),
            Some(row) => {
                row.count += denial.count;
                row.exact &= denial.exact;
            }
        }
    }
    denials.sort_by_key(|denial| {
        let routine = !denial.is_notable();
        (denial.expected, routine, std::cmp::Reverse(denial.count))
    });
    denials
}
