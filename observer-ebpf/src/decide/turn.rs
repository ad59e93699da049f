//! Whose turn it is to count, where programs of two versions are attached.
//!
//! One word says it, and one store of that word hands over. But both programs of a
//! hook look at it, one after the other, and a store between the two would have a call
//! counted by both or by neither. So while a turn is handed over the first of them
//! leaves a note for the thread, and the second does what the first did not.

/// In the word: the older programs count still, and both leave notes.
pub const BEFORE: u32 = 1 << 31;
/// The same once the newer ones count.
pub const AFTER: u32 = 1 << 30;

/// The turn in a word.
const TURN: u32 = AFTER - 1;
/// In a note: there is one.
const NOTED: u64 = 1 << 62;
/// In a note: who left it has counted the call.
const COUNTED: u64 = 1 << 63;

/// What a program does of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// Whether the other counts it.
    pub idle: bool,
    /// The note from now on.
    pub note: u64,
}

/// Whether a turn is being handed over.
#[inline(always)]
pub const fn is_handing(word: u32) -> bool {
    word & (BEFORE | AFTER) != 0
}

/// What the programs of `turn` do, while a turn is handed over, of a call that comes to
/// both; `name` is its thread's and its hook's (40 bits), `note` what is noted for it.
/// Of a hook the newer or the older program runs first, always the same.
#[inline(always)]
pub const fn pass(word: u32, turn: u32, newer_first: bool, name: u64, note: u64) -> Pass {
    let counts = word & TURN == turn;
    let is_before = word & BEFORE != 0;
    let is_newer = counts != is_before;
    // One that was left when another turn was handed over is none.
    let older = if is_newer { turn.wrapping_sub(1) } else { turn };
    let name = name | ((older & 0x3fff) as u64) << 40 | NOTED;
    if is_newer == newer_first {
        return Pass {
            idle: !counts,
            note: if counts { name | COUNTED } else { name },
        };
    }
    if note & !COUNTED == name {
        return Pass {
            idle: note & COUNTED != 0,
            note: 0,
        };
    }
    Pass {
        idle: !counts,
        note,
    }
}
