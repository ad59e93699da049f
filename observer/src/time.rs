//! Stamps: nanoseconds since the epoch, and the kernel's clocks turned into them.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// Nanoseconds since the epoch, written as RFC 3339 with microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stamp(pub u64);

impl Stamp {
    /// The present.
    pub fn now() -> Self {
        Self(read(ClockId::Realtime))
    }

    /// Nanoseconds from an earlier stamp to this one; 0 where it is later.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Seconds from an earlier stamp to this one, to the microsecond.
    pub fn seconds_since(self, earlier: Self) -> f64 {
        seconds(self.since(earlier))
    }

    /// Whether it has a time: a record without a stamp has none.
    pub const fn is_known(self) -> bool {
        self.0 > 0
    }

    /// Seconds since the epoch.
    pub fn as_seconds(self) -> f64 {
        seconds(self.0)
    }
}

/// Nanoseconds as seconds, to the microsecond.
pub fn seconds(nanoseconds: u64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "microseconds since the epoch fit into 53 bits until 2255"
    )]
    let microseconds = (nanoseconds / 1_000) as f64;
    microseconds / 1e6
}

/// Seconds as nanoseconds, to the microsecond; 0 for what is no time.
pub fn seconds_to_nanoseconds(seconds: f64) -> u64 {
    let duration = std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default();
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl fmt::Display for Stamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanoseconds = i128::from(self.0 - self.0 % 1_000);
        match jiff::Timestamp::from_nanosecond(nanoseconds) {
            Ok(stamp) => write!(formatter, "{stamp:.6}"),
            Err(_) => write!(formatter, "{}ns", self.0),
        }
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let stamp: jiff::Timestamp = text.parse().map_err(D::Error::custom)?;
        u64::try_from(stamp.as_nanosecond())
            .map(Self)
            .map_err(|_| D::Error::custom("a time before 1970"))
    }
}

/// A stamp that may be missing, which JSON shows as null, not as 1970.
pub mod optional {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use super::Stamp;

    /// Writes it.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(stamp: &Stamp, serializer: S) -> Result<S::Ok, S::Error> {
        stamp.is_known().then_some(stamp).serialize(serializer)
    }

    /// Reads it.
    ///
    /// # Errors
    /// Where it is neither null nor a time since 1970.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Stamp, D::Error> {
        Ok(Option::deserialize(deserializer)?.unwrap_or_default())
    }
}

/// The distance of the last sample, which a sample that differs by no more than this
/// keeps: both clocks are steered alike, so less is the sampling's own.
static DISTANCE: AtomicU64 = AtomicU64::new(0);
const JITTER_NS: u64 = 1_000_000;

/// Turns the kernel's monotonic time into stamps. Sampled again now and then,
/// since the wall clock may be set; a moment has one stamp until it is.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    offset: u64,
}

impl Clock {
    /// Samples the distance between the two clocks.
    pub fn sample() -> Self {
        let before = read(ClockId::Monotonic);
        let wall = read(ClockId::Realtime);
        let after = read(ClockId::Monotonic);
        let offset = wall.saturating_sub(before.midpoint(after));
        let kept = DISTANCE.load(Ordering::Relaxed);
        // One that was interrupted shows nothing new.
        let is_loose = after.saturating_sub(before) >= JITTER_NS;
        if kept != 0 && (is_loose || kept.abs_diff(offset) < JITTER_NS) {
            return Self { offset: kept };
        }
        DISTANCE.store(offset, Ordering::Relaxed);
        Self { offset }
    }

    /// The stamp of a monotonic time in nanoseconds.
    pub const fn stamp(self, monotonic: u64) -> Stamp {
        Stamp(self.offset + monotonic)
    }
}

/// The present on `CLOCK_MONOTONIC`, in nanoseconds.
pub fn monotonic() -> u64 {
    read(ClockId::Monotonic)
}

/// The time since boot, in nanoseconds, sleep included: `/proc` shows start times by it.
pub fn since_boot() -> u64 {
    read(ClockId::Boottime)
}

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or_default();
    seconds * 1_000_000_000 + nanoseconds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_one_stamp() {
        let moment = monotonic();
        let stamp = Clock::sample().stamp(moment);
        for _ in 0..10_000 {
            assert_eq!(Clock::sample().stamp(moment), stamp);
        }
    }

    #[test]
    fn a_stamp_is_rfc_3339_and_comes_back() {
        let stamp = Stamp(1_795_458_347_188_123_000);
        let text = serde_json::to_string(&stamp).unwrap();
        assert_eq!(text, "\"2026-11-23T18:25:47.188123Z\"");
        assert_eq!(serde_json::from_str::<Stamp>(&text).unwrap(), stamp);
    }

    #[test]
    fn the_clock_gives_the_present() {
        let now = Clock::sample().stamp(monotonic());
        assert!(Stamp::now().since(now) < 1_000_000_000);
    }
}
