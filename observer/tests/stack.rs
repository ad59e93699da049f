//! The programs' stack: 512 bytes over all frames of a chain of calls. Kernels since 6.13
//! give the frames of many programs pages of their own and accept more, so what older
//! ones refuse loads there.

use std::collections::{BTreeMap, BTreeSet};

use object::{Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget, SymbolKind};

/// `MAX_BPF_STACK` (`include/linux/filter.h`).
const STACK: u32 = 512;
/// A frame's size is a multiple of it (`check_max_stack_depth`, before 6.9).
const UNIT: u32 = 32;

/// A function by its section and its offset there.
type Place = (usize, u64);

struct Function {
    name: String,
    frame: u32,
    calls: BTreeSet<Place>,
}

/// The bytes of the frame, and the functions that are called.
fn read(file: &object::File<'_>, section: &object::Section<'_, '_>, range: (u64, u64)) -> Function {
    let relocations: BTreeMap<u64, _> = section.relocations().collect();
    let code = section.data().expect("no code");
    let (mut frame, mut calls) = (0, BTreeSet::new());
    // Registers that hold the frame's end.
    let mut ends = [false; 16];
    let mut at = range.0;
    while at < range.1 {
        let start = usize::try_from(at).expect("an offset");
        let instruction: [u8; 8] = code[start..start + 8].try_into().expect("eight bytes");
        let [operation, registers, low, high, immediate @ ..] = instruction;
        let (to, from) = (registers & 15, registers >> 4);
        let offset = i32::from(i16::from_le_bytes([low, high]));
        let immediate = i32::from_le_bytes(immediate);
        let deep = |offset: i32| u32::try_from(-offset).unwrap_or(0);
        match operation & 7 {
            // Loads and stores.
            1 if from == 10 => frame = frame.max(deep(offset)),
            2 | 3 if to == 10 => frame = frame.max(deep(offset)),
            _ => {}
        }
        match operation {
            // r = r
            0xbf => ends[usize::from(to)] = from == 10,
            // r += immediate
            0x07 if ends[usize::from(to)] => {
                frame = frame.max(deep(immediate));
                ends[usize::from(to)] = false;
            }
            // A call of a function, not of a helper.
            0x85 if from == 1 => {
                let to = i64::from(immediate) + 1;
                let place = match relocations.get(&at).map(object::Relocation::target) {
                    Some(RelocationTarget::Symbol(index)) => {
                        let symbol = file.symbol_by_index(index).expect("no symbol");
                        let within = symbol.section_index().expect("no section").0;
                        let beyond = if symbol.kind() == SymbolKind::Section {
                            to * 8
                        } else {
                            0
                        };
                        (within, symbol.address().wrapping_add_signed(beyond))
                    }
                    _ => (section.index().0, at.wrapping_add_signed(to * 8)),
                };
                calls.insert(place);
            }
            _ => {}
        }
        // A load of eight bytes takes two places.
        at += if operation == 0x18 { 16 } else { 8 };
    }
    Function {
        name: String::new(),
        frame: frame.max(1).next_multiple_of(UNIT),
        calls,
    }
}

/// The deepest chain of calls from a function, the function first.
fn deepest(functions: &BTreeMap<Place, Function>, from: Place) -> (u32, Vec<String>) {
    let function = functions
        .get(&from)
        .unwrap_or_else(|| panic!("no function at {from:?}"));
    let below = function.calls.iter().map(|call| deepest(functions, *call));
    let (depth, mut chain) = below.max().unwrap_or_default();
    chain.insert(0, format!("{} {}", function.name, function.frame));
    (depth + function.frame, chain)
}

#[test]
fn no_chain_of_calls_takes_more_stack_than_older_kernels_give() {
    for arch in ["x86_64", "aarch64"] {
        let path = format!("{}/bpf/capwatch.{arch}.bpf.o", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(path).expect("no object");
        let file = object::File::parse(&*bytes).expect("no object file");
        let mut functions = BTreeMap::new();
        for symbol in file
            .symbols()
            .filter(|symbol| symbol.kind() == SymbolKind::Text)
        {
            let index = symbol.section_index().expect("no section");
            let section = file.section_by_index(index).expect("no section");
            let range = (symbol.address(), symbol.address() + symbol.size());
            let name = symbol.name().expect("no name").to_owned();
            let function = Function {
                name,
                ..read(&file, &section, range)
            };
            functions.insert((index.0, symbol.address()), function);
        }
        assert!(functions.len() > 50, "{arch}: {}", functions.len());
        for place in functions.keys() {
            let (depth, chain) = deepest(&functions, *place);
            assert!(
                depth <= STACK,
                "{arch}: {depth} bytes: {}",
                chain.join(", ")
            );
        }
    }
}
