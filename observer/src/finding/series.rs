//! The value of a label that is absent, or finds no room.

/// The label of what no rule matched.
pub const NONE: &str = "none";
/// The label of what found no separate series.
pub const OVERFLOW: &str = "overflow";
/// The label of versions beyond a bound.
pub const OTHER: &str = "other";
