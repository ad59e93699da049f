//! What came of one drop.

/// What came of one drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The kernel knows no capability of that number, whatever it answered.
    Unknown,
    /// It was granted.
    Granted(u32),
    /// It was refused, and the capability is still in the set.
    RefusedRaised(u32),
    /// It was refused, and the capability was not in the set anyway.
    RefusedLowered,
}

/// Classifies a drop by its argument, its answer, and the bounding set that the
/// thread has after it. The argument is compared as a 64-bit number before any
/// shift: BPF masks shifts to six bits, and a drop of 64 must not test bit 0.
#[inline(always)]
pub const fn classify(argument: u64, result: i64, bounding: u64, last_cap: u64) -> Outcome {
    if argument > last_cap {
        return Outcome::Unknown;
    }
    let number = (argument & 63) as u32;
    if result >= 0 {
        Outcome::Granted(number)
    } else if bounding >> number & 1 == 1 {
        Outcome::RefusedRaised(number)
    } else {
        Outcome::RefusedLowered
    }
}

/// A set of capabilities from one byte each, 0 or 1. Threads of one process
/// mark their bytes without knowing of each other, which bits of one word would
/// need an atomic `or` for (5.12).
#[inline(always)]
#[must_use]
pub fn mask(bytes: &[u8; 64]) -> u64 {
    // Gathers the lowest bits of eight bytes in the highest byte.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let mut set = 0;
    let mut at = 0;
    while at < 64 {
        let word = u64::from_le_bytes([
            bytes[at],
            bytes[at + 1],
            bytes[at + 2],
            bytes[at + 3],
            bytes[at + 4],
            bytes[at + 5],
            bytes[at + 6],
            bytes[at + 7],
        ]);
        set |= (word.wrapping_mul(GATHER) >> 56) << at;
        at += 8;
    }
    set
}
