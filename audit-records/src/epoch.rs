//! The time stamp of a record, in exact integers.

use std::fmt;

use serde::{Serialize, Serializer};

/// Milliseconds since 1970-01-01T00:00:00Z, as the kernel stamped the record.
///
/// The clock is coarse (`ktime_get_coarse_real_ts64` in `kernel/audit.c`, 6.12):
/// it is up to one tick behind the event, and with system-call auditing on
/// it is the time the system call was entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch {
    millis: u64,
}

/// Beyond this a stamp is no time at all; it also keeps every stamp exact as a
/// JSON number (2^53 ms is the year 287396).
const MAX_MILLIS: u64 = 1 << 53;

impl Epoch {
    /// A stamp of so many milliseconds; none beyond 2^53 of them.
    pub const fn from_millis(millis: u64) -> Option<Self> {
        if millis <= MAX_MILLIS {
            Some(Self { millis })
        } else {
            None
        }
    }

    /// A stamp of whole seconds and milliseconds.
    pub fn from_parts(seconds: u64, millis: u64) -> Option<Self> {
        Self::from_millis(seconds.checked_mul(1000)?.checked_add(millis)?)
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> u64 {
        self.millis
    }

    /// Nanoseconds since the epoch; saturates in the year 2554.
    pub const fn nanos(self) -> u64 {
        self.millis.saturating_mul(1_000_000)
    }

    /// Whether this is the stamp of a record whose time was taken away
    /// (`audit(0000000000.000:0000)`): no two such records are the same one.
    pub const fn is_zero(self) -> bool {
        self.millis == 0
    }
}

/// Seconds with three decimals, as the kernel prints it.
impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.millis / 1000, self.millis % 1000)
    }
}

/// A JSON number of seconds.
///
/// Below 2^53 ms the quotient is the double nearest to the decimal value, whose
/// shortest form is that decimal again: nothing is lost in print.
impl Serialize for Epoch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, the maximum")]
        serializer.serialize_f64(self.millis as f64 / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_the_kernel_and_as_json() {
        let stamp = Epoch::from_parts(1_795_458_347, 188);
        assert_eq!(
            stamp.map(|s| s.to_string()).as_deref(),
            Some("1795458347.188")
        );
        assert_eq!(
            serde_json::to_string(&stamp).ok().as_deref(),
            Some("1795458347.188")
        );
        let short = Epoch::from_parts(7, 5);
        assert_eq!(short.map(|s| s.to_string()).as_deref(), Some("7.005"));
        assert_eq!(serde_json::to_string(&short).ok().as_deref(), Some("7.005"));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        assert_eq!(Epoch::from_parts(u64::MAX, 0), None);
        assert_eq!(Epoch::from_millis(MAX_MILLIS + 1), None);
        assert!(Epoch::from_millis(MAX_MILLIS).is_some());
    }
}
