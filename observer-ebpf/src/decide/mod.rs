//! The decisions of the kernel side, as plain functions: the BPF programs and
//! user space call the same ones, and tests drive them without a kernel.
#![expect(
    clippy::inline_always,
    reason = "a program is one function: a call costs the verifier what it knows of the arguments"
)]

mod accounting;
mod capable;
mod course;
mod drop;
mod family;
pub mod ids;
mod made;
mod ring;
pub mod rules;
mod skip;
mod tree;
pub mod turn;

pub use accounting::{Abi, is_accounting, is_capset};
pub use capable::{Credentials, MAX_LEVELS, commoncap};
pub use course::{DEPTH, Process, Tables, current, ends, executes, forks};
pub use drop::{Outcome, classify, mask};
pub use family::{Ran, follows, ran};
pub use made::{CGROUP_RINGS, CGROUPS, answerable, cgroup_place, cgroup_ring};
pub use ring::{Positions, Unread};
pub use skip::{BEGINNINGS, MARKS, beginning, mark};
pub use tree::{executed, forked};
