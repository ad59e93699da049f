//! Capability numbers, names and sets.
//!
//! Names are those of `include/uapi/linux/capability.h` (7.3) without `CAP_`,
//! in lower case, which is also how `AppArmor` writes `capname=`.

use std::borrow::Cow;
use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// Name by number. A kernel older than a capability never reports its number,
/// so one table serves all of them.
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// `CAP_DAC_OVERRIDE`.
pub const DAC_OVERRIDE: u32 = 1;

/// `CAP_DAC_READ_SEARCH`.
pub const DAC_READ_SEARCH: u32 = 2;

/// `CAP_FSETID`.
pub const FSETID: u32 = 4;

/// `CAP_SETPCAP`, which every drop from the bounding set needs.
pub const SETPCAP: u32 = 8;

/// `CAP_BPF`, to load programs (5.8).
pub const BPF: u32 = 39;

/// `CAP_SYS_ADMIN`.
pub const SYS_ADMIN: u32 = 21;

/// The highest capability number that has a name here.
pub const LAST_NAMED: u32 = 40;

/// The name of capability `number`, without `CAP_` and in lower case.
pub fn known_name(number: u32) -> Option<&'static str> {
    NAMES.get(usize::try_from(number).ok()?).copied()
}

/// The name of capability `number`; an unknown one is `cap_63`.
pub fn name(number: u32) -> Cow<'static, str> {
    known_name(number).map_or_else(|| Cow::Owned(format!("cap_{number}")), Cow::Borrowed)
}

/// The number of the capability called `text`, in any case, with or without
/// `CAP_`; `cap_63` gives 63.
pub fn number(text: &[u8]) -> Option<u32> {
    let bare = match text.split_at_checked(4) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(b"cap_") => rest,
        _ => text,
    };
    if let Some(found) = NAMES
        .iter()
        .position(|candidate| candidate.as_bytes().eq_ignore_ascii_case(bare))
    {
        return u32::try_from(found).ok();
    }
    // Only the form `name` itself writes: digits without a `cap_` are no name.
    if bare.len() == text.len() || bare.starts_with(b"+") {
        return None;
    }
    std::str::from_utf8(bare).ok()?.parse().ok()
}

/// A set of capabilities, as the kernel keeps it: bit `n` is capability `n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CapSet(pub u64);

impl CapSet {
    /// The set with nothing raised.
    pub const EMPTY: Self = Self(0);

    /// Whether capability `number` is raised; false beyond 63.
    pub const fn contains(self, number: u32) -> bool {
        number < 64 && self.0 >> number & 1 == 1
    }

    /// Raises capability `number`; nothing happens beyond 63.
    pub const fn insert(&mut self, number: u32) {
        if number < 64 {
            self.0 |= 1 << number;
        }
    }

    /// Whether nothing is raised.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many capabilities are raised.
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// The lowest capability raised.
    pub const fn first(self) -> Option<u32> {
        if self.0 == 0 {
            None
        } else {
            Some(self.0.trailing_zeros())
        }
    }

    /// The raised numbers, ascending.
    pub const fn iter(self) -> Iter {
        Iter(self.0)
    }

    /// The raised capabilities' names, ascending.
    pub fn names(self) -> impl Iterator<Item = Cow<'static, str>> {
        self.iter().map(name)
    }

    /// What is raised in both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is raised in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is raised here and not in `other`.
    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// Hexadecimal without padding: `0x4002810cd`.
impl fmt::Display for CapSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// As [`fmt::Display`] writes it, and with padding or without `0x`.
impl FromStr for CapSet {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text.trim_start_matches("0x"), 16).map(Self)
    }
}

impl Serialize for CapSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromIterator<u32> for CapSet {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
        let mut set = Self::EMPTY;
        for number in numbers {
            set.insert(number);
        }
        set
    }
}

impl IntoIterator for CapSet {
    type Item = u32;
    type IntoIter = Iter;

    fn into_iter(self) -> Iter {
        self.iter()
    }
}

/// The raised numbers of a [`CapSet`], ascending.
#[derive(Clone, Debug)]
pub struct Iter(u64);

impl Iterator for Iter {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let lowest = CapSet(self.0).first()?;
        self.0 &= self.0 - 1;
        Some(lowest)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.0.count_ones() as usize;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Iter {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_reads_as_it_is_written() {
        for set in [CapSet::EMPTY, CapSet(0x1ff_ffff_feff), CapSet(u64::MAX)] {
            assert_eq!(set.to_string().parse(), Ok(set));
        }
        assert_eq!("000001fffeffffff".parse(), Ok(CapSet(0x1ff_feff_ffff)));
        assert!("".parse::<CapSet>().is_err() && "0xg".parse::<CapSet>().is_err());
    }

    #[test]
    fn every_name_and_number_agree_both_ways() {
        for number_in in 0..70 {
            assert_eq!(number(name(number_in).as_bytes()), Some(number_in));
        }
        assert_eq!(known_name(LAST_NAMED), Some("checkpoint_restore"));
        assert_eq!(known_name(LAST_NAMED + 1), None);
        assert_eq!(known_name(SETPCAP), Some("setpcap"));
        assert_eq!(known_name(SYS_ADMIN), Some("sys_admin"));
        assert_eq!(name(63), "cap_63");
    }

    #[test]
    fn names_are_read_in_any_spelling() {
        assert_eq!(number(b"CAP_SYS_ADMIN"), Some(21));
        assert_eq!(number(b"Cap_Chown"), Some(0));
        assert_eq!(number(b"21"), None);
        assert_eq!(number(b"cap_+5"), None);
        assert_eq!(number(b"cap_"), None);
        assert_eq!(number(b""), None);
        assert_eq!(number(b"cap_\xff"), None);
    }

    #[test]
    fn a_set_iterates_in_order_and_prints_as_the_contract_does() {
        let set = CapSet(0x4_0028_10cd);
        assert_eq!(set.to_string(), "0x4002810cd");
        assert_eq!(
            serde_json::to_string(&set).ok().as_deref(),
            Some("\"0x4002810cd\"")
        );
        assert_eq!(set.iter().collect::<CapSet>(), set);
        assert_eq!(set.iter().len(), set.len() as usize);
        assert_eq!(CapSet(u64::MAX).iter().last(), Some(63));
        assert_eq!(CapSet::EMPTY.to_string(), "0x0");
        assert_eq!(
            CapSet(0b101).names().collect::<Vec<_>>(),
            ["chown", "dac_read_search"]
        );
    }

    #[test]
    fn numbers_beyond_the_word_are_ignored() {
        let mut set = CapSet::EMPTY;
        set.insert(64);
        set.insert(u32::MAX);
        assert!(set.is_empty());
        assert!(!CapSet(u64::MAX).contains(64));
    }

    #[test]
    fn set_algebra() {
        let before = CapSet(0b1110);
        let after = CapSet(0b0111);
        assert_eq!(before.difference(after), CapSet(0b1000));
        assert_eq!(before.intersection(after), CapSet(0b0110));
        assert_eq!(before.union(after), CapSet(0b1111));
        assert_eq!(before.first(), Some(1));
    }
}
