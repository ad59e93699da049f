//! The maps. All are bounded, none evicts but `UNREAD`, and what finds no room is counted.

mod breaches;
mod calls;
mod counters;
mod denials;
mod hooks;
mod processes;
mod states;

pub use breaches::{BREACH_KEYS, BREACHES, Reporter};
pub use calls::{
    CHECKS, Check, PENDING, Pending, Refusal, SETPCAP, State, UNDERWAY, UNDERWAY_PLACES,
};
pub use counters::{add, bump, drop_one, lose, note};
pub use denials::{
    AGENT, DENIALS, FREE, GENERATION, MADE, OVERFLOW, PROFILE_SCRATCH, PROFILES, Place, RECENT,
    ROW_USERS, ROWS, Recent, SLOTS, TOTALS,
};
pub use hooks::{
    HANDED, HANDED_PLACES, drops_by_both, drops_by_kprobe, hooked, verdict_by_kprobe, word,
};
pub use processes::{
    BEGINNINGS, BLANK, CGROUPS, CGROUPS_MADE, COVERED, EPISODES, MARKS, MEMBERS, RULES, SHARES,
    TASKS,
};
pub use states::{STATES, STATES_BYTES, UNREAD};
