//! What the programs are given: names to recognise, and which hooks count.

use aya::{
    Ebpf,
    maps::{Array, HashMap},
};
use observer_ebpf::{
    Hook, NAME_LEN, Rule,
    decide::{BEGINNINGS, beginning},
};

use super::{attach::HookWords, error::KernelError, maps::writable};
use crate::config::Rules;

/// Which mechanism counts checks, as the programs of a turn know it.
pub(super) fn verdict_word(ebpf: &Ebpf, turn: u32) -> u32 {
    let map = ebpf.map("HOOKS");
    let map = map.and_then(|map| Array::<_, u32>::try_from(map).ok());
    let place = Hook::Verdict.place(turn);
    let word = map.and_then(|map| map.get(&place, 0).ok());
    word.unwrap_or_default()
}

/// Gives the programs the executables to recognise.
pub(super) fn write_rules(ebpf: &mut Ebpf, rules: &Rules) -> Result<(), KernelError> {
    let names: std::collections::HashMap<_, _> = rules.basenames().collect();
    // What is looked up is let through before there is anything to find.
    write_beginnings(ebpf, names.keys(), true)?;
    let error = |source| KernelError::Map {
        name: "RULES",
        source,
    };
    let mut map: HashMap<_, [u8; NAME_LEN], Rule> = writable(ebpf, "RULES")?;
    let former: Vec<_> = map.keys().flatten().collect();
    for name in former.iter().filter(|name| !names.contains_key(*name)) {
        map.remove(name).map_err(error)?;
    }
    for (name, rule) in &names {
        map.insert(name, Rule::from(*rule), 0).map_err(error)?;
    }
    write_beginnings(ebpf, names.keys(), false)
}

/// Gives the programs the names that are worth a look-up, in place of the former ones
/// or besides.
fn write_beginnings<'a>(
    ebpf: &mut Ebpf,
    names: impl Iterator<Item = &'a [u8; NAME_LEN]>,
    besides: bool,
) -> Result<(), KernelError> {
    let mut words = [0; BEGINNINGS as usize];
    for bytes in names.filter_map(|name| name.first_chunk()) {
        let (word, bit) = beginning(u64::from_le_bytes(*bytes));
        words[word as usize] |= bit;
    }
    let error = |source| KernelError::Map {
        name: "BEGINNINGS",
        source,
    };
    let mut map: Array<_, u64> = writable(ebpf, "BEGINNINGS")?;
    for (index, word) in (0..).zip(words) {
        let former = if besides {
            map.get(&index, 0).map_err(error)?
        } else {
            0
        };
        map.set(index, word | former, 0).map_err(error)?;
    }
    Ok(())
}

/// Gives the programs of a turn the mechanism that reports the verdict and the drops.
pub(super) fn write_hooks(ebpf: &mut Ebpf, by: HookWords, turn: u32) -> Result<(), KernelError> {
    let mut map: Array<_, u32> = writable(ebpf, "HOOKS")?;
    for (hook, word) in by.words() {
        map.set(hook.place(turn), word, 0)
            .map_err(|source| KernelError::Map {
                name: "HOOKS",
                source,
            })?;
    }
    Ok(())
}
