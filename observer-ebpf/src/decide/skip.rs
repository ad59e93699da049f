//! What need not be looked up: most processes are nobody's, and most programs bear
//! no rule's name. A look-up in a large table costs a hundred nanoseconds where the
//! caches are cold, as they are at every fork, exec and exit.

/// Places of the marks of processes.
pub const MARKS: u32 = 16_384;

/// Words of the set of names' beginnings.
pub const BEGINNINGS: u32 = 64;

/// The place of a process's marks; one that others share has theirs too.
#[inline(always)]
#[must_use]
pub const fn mark(tgid: u32) -> u32 {
    tgid & (MARKS - 1)
}

/// The place of a name in the set of names' beginnings, word and bit, by its first
/// eight bytes (little-endian). What follows a closing zero is not the name's.
#[inline(always)]
#[must_use]
pub const fn beginning(bytes: u64) -> (u32, u64) {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // The lowest bit that is set stands in the first byte that is zero.
    let zeros = bytes.wrapping_sub(LOW) & !bytes & HIGH;
    let name = if zeros == 0 {
        bytes
    } else {
        let first = zeros & zeros.wrapping_neg();
        bytes & ((first >> 7) - 1)
    };
    // Fibonacci hashing: the upper bits depend on every byte.
    let hash = name.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52;
    (hash as u32 & (BEGINNINGS - 1), 1 << (hash >> 6))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &[u8]) -> (u32, u64) {
        let mut bytes = [0xee; 8];
        for (byte, own) in bytes.iter_mut().zip(name.iter().chain(&[0])) {
            *byte = *own;
        }
        beginning(u64::from_le_bytes(bytes))
    }

    #[test]
    fn a_name_has_one_place_whatever_follows_it() {
        for name in [&b""[..], b"a", b"runc", b"bwrap", b"7 bytes", b"8 bytes."] {
            let mut padded = [0; 8];
            padded[..name.len()].copy_from_slice(name);
            assert_eq!(
                place(name),
                beginning(u64::from_le_bytes(padded)),
                "{name:?}"
            );
        }
        assert_eq!(place(b"openshell-sandbox"), place(b"openshell"));
        assert_ne!(place(b"runc"), place(b"rund"));
        // A byte above 0x80 is no zero.
        assert_ne!(place(b"\x80\x80\x80"), place(b"\x80\x80"));
    }

    #[test]
    fn places_are_within_their_tables() {
        let mut taken = [0u64; BEGINNINGS as usize];
        for number in 0..5_000u32 {
            let (word, bit) = beginning(u64::from(number).wrapping_mul(0x1234_5678_9abc_def1));
            assert!(word < BEGINNINGS && bit.is_power_of_two());
            taken[word as usize] |= bit;
            assert!(mark(number * 7_919) < MARKS);
        }
        let taken: u32 = taken.iter().map(|bits| bits.count_ones()).sum();
        assert!(taken > 2_000, "{taken} of 4096 places");
    }
}
