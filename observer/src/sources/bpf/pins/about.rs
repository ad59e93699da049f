//! What a folder of pins says of itself: what was pinned by whom, and who watches.

use std::{collections::BTreeMap, fmt};

use aya::Pod;
use observer_ebpf::Loss;
use serde::{Deserialize, Serialize};

use crate::{
    sources::bpf::mechanism::HookStatus,
    time::{Stamp, monotonic},
};

/// The schema of [`About`].
const SCHEMA: &str = "capwatch.pins/1";
/// Bytes of its text.
const LENGTH: usize = 16 << 10;
/// Its text as a map keeps it, closed by zeros.
pub(super) type Text = [u8; LENGTH];

/// What was pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    schema: String,
    /// The version of capwatch that pinned it.
    pub version: String,
    /// A digest of the object and of whatever else the maps depend on.
    pub layout: String,
    /// How maps are to be understood, beside their sizes.
    pub(super) abi: u32,
    /// The turn of the programs that count.
    pub turn: u32,
    /// Turns that began with their own rows, the last of which are counted in now.
    pub(super) rows: Vec<u32>,
    /// A number of this attachment: its counts are no other's.
    pub instance: u64,
    /// When it was attached.
    pub since: Stamp,
    /// Whether the programs may read any memory of the kernel's.
    pub probe_read: bool,
    /// What came of every hook.
    pub hooks: Vec<HookStatus>,
    /// Programs that this kernel can't pin, which end with their agent.
    pub unpinned: Vec<String>,
    /// Runs that the kernel skipped of programs from which others took over, by program.
    #[serde(default)]
    pub skipped: BTreeMap<String, u64>,
}

impl About {
    /// Of what this version attaches now.
    pub fn new(layout: String, probe_read: bool) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            layout,
            abi: observer_ebpf::ABI,
            turn: 0,
            rows: vec![0],
            instance: monotonic(),
            since: Stamp::now(),
            probe_read,
            hooks: Vec::new(),
            unpinned: Vec::new(),
            skipped: BTreeMap::new(),
        }
    }

    /// The same for programs that take over from these, with their own rows or not.
    #[must_use]
    pub fn next(&self, layout: String, probe_read: bool, rows: bool) -> Self {
        let turn = self.turn + 1;
        let mut next = Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            layout,
            turn,
            since: Stamp::now(),
            probe_read,
            hooks: Vec::new(),
            unpinned: Vec::new(),
            ..self.clone()
        };
        next.rows.extend(rows.then_some(turn));
        next
    }

    /// The file that a map is pinned as.
    pub(super) fn file(&self, map: &str) -> String {
        let rows = self.rows.last().copied().unwrap_or_default();
        file(map, rows)
    }

    pub(super) fn read(text: &Text) -> Option<Self> {
        let end = memchr::memchr(0, text).unwrap_or(text.len());
        let about: Self = serde_json::from_slice(&text[..end]).ok()?;
        (about.schema == SCHEMA).then_some(about)
    }

    /// Its text; reasons are left out where they are too long.
    pub(super) fn text(&self) -> Option<Text> {
        let mut about = self.clone();
        let mut json = serde_json::to_vec(&about).ok()?;
        if json.len() >= LENGTH {
            about.hooks.iter_mut().for_each(|hook| hook.reason = None);
            json = serde_json::to_vec(&about).ok()?;
        }
        let mut text = [0; LENGTH];
        text.get_mut(..json.len())?.copy_from_slice(&json);
        (json.len() < LENGTH).then_some(text)
    }
}

/// Maps of counts: those of a version with others begin at nought, and the former
/// ones are read beside them.
pub(super) const ROWS: [&str; 9] = [
    "FREE",
    "GENERATION",
    "MADE",
    "OVERFLOW",
    "RECENT",
    "ROWS",
    "ROW_USERS",
    "SLOTS",
    "TOTALS",
];

/// The file that a map is pinned as; of counts, those of a turn.
pub(super) fn file(map: &str, rows: u32) -> String {
    if rows > 0 && ROWS.contains(&map) {
        format!("{map}-{rows}")
    } else {
        map.to_owned()
    }
}

/// How many losses are kept: more than there are.
const LOSSES: usize = 28;

/// What an agent writes of itself while it watches.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// When it wrote last, monotonic; 0 where none ever did.
    pub last: u64,
    /// Since when it has the pins, nanoseconds since the epoch.
    pub since: u64,
    /// Its process id.
    pub pid: u32,
    /// Keeps the size a multiple of the alignment.
    pub reserved: u32,
    /// The kernel's losses by then, by [`Loss`].
    pub losses: [u64; LOSSES],
}

const _: () = assert!(size_of::<Watched>() == 24 + 8 * LOSSES);
const _: () = assert!(Loss::ALL.len() <= LOSSES);

// SAFETY: `repr(C)`, without padding, integers alone.
unsafe impl Pod for Watched {}

/// How long nobody listened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Away {
    /// Since when, at the earliest: the last sign of life of the agent before.
    pub since: Stamp,
    /// Until when.
    pub until: Stamp,
    /// The same, monotonic: what closed before was closed while nobody listened.
    #[serde(skip)]
    pub until_monotonic: u64,
    /// The same as [`since`](Self::since), monotonic.
    #[serde(skip)]
    pub since_monotonic: u64,
    /// What found no room meanwhile, by reason.
    pub lost: BTreeMap<String, u64>,
    /// What had found none before.
    #[serde(skip)]
    pub before: BTreeMap<String, u64>,
}

impl Away {
    /// From what the last one wrote, and what the kernel counts now.
    pub fn new(before: &Watched, now: u64, wall: Stamp, losses: &[u64]) -> Option<Self> {
        if before.last == 0 || before.last > now {
            return None;
        }
        let grown = Loss::ALL.iter().zip(losses).zip(before.losses);
        let grown = grown.map(|((loss, total), known)| (loss, total.saturating_sub(known)));
        let lost = grown.filter(|(_, count)| *count > 0);
        let known = Loss::ALL.iter().zip(before.losses);
        Some(Self {
            since: Stamp(wall.0.saturating_sub(now - before.last)),
            until: wall,
            until_monotonic: now,
            since_monotonic: before.last,
            lost: lost
                .map(|(loss, count)| (loss.reason().to_owned(), count))
                .collect(),
            before: known
                .map(|(loss, count)| (loss.reason().to_owned(), count))
                .collect(),
        })
    }

    /// How much found no room.
    pub fn count(&self) -> u64 {
        self.lost.values().sum()
    }
}

impl fmt::Display for Away {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.until.seconds_since(self.since);
        write!(formatter, "no agent ran for {seconds:.1} s")?;
        if self.lost.is_empty() {
            return formatter.write_str("; the kernel kept everything that happened");
        }
        let lost = self
            .lost
            .iter()
            .map(|(reason, count)| format!("{reason} {count}"));
        let lost: Vec<_> = lost.collect();
        write!(
            formatter,
            "; the kernel had no room for: {}",
            lost.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_pins_is_read_again_and_what_is_not_theirs_is_not() {
        let mut about = About::new("layout".to_owned(), true);
        about.hooks = vec![HookStatus {
            hook: "cap_capable".to_owned(),
            mechanism: None,
            attached: false,
            needed: true,
            reason: Some("x".repeat(LENGTH)),
        }];
        let read = About::read(&about.text().unwrap()).unwrap();
        assert_eq!(read.hooks[0].reason, None, "too long");
        assert_eq!(read.layout, "layout");
        assert_eq!(About::read(&[0; LENGTH]), None);
        let mut other = about.text().unwrap();
        let place = memchr::memmem::find(&other, b"pins/1").unwrap();
        other[place + 5] = b'2';
        assert_eq!(About::read(&other), None);
    }

    #[test]
    fn what_found_no_room_meanwhile_is_counted_by_reason() {
        let mut before = Watched {
            last: 1_000_000_000,
            ..Watched::default()
        };
        before.losses[Loss::StateRingFull as usize] = 5;
        let mut losses = [0; Loss::ALL.len()];
        losses[Loss::StateRingFull as usize] = 8;
        let away = Away::new(&before, 3_500_000_000, Stamp(10_000_000_000), &losses).unwrap();
        assert_eq!(
            away.to_string(),
            "no agent ran for 2.5 s; the kernel had no room for: state_ring_full 3"
        );
        assert_eq!(away.count(), 3);
        assert_eq!(Away::new(&Watched::default(), 1, Stamp(1), &losses), None);
    }
}
