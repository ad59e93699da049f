//! The parts of the kernel side, each hook in every mechanism that it has.

mod breach;
mod denial;
mod drops;
mod episode;
mod host;
mod made;
mod maps;
mod marks;
mod mem;
mod ring;
mod rules;
mod rules_ids;
mod rules_kprobe;
mod shares;
mod task;
mod tracepoint;
mod tree;
mod turn;
mod underway;
mod verdict;
mod verdict_kprobe;
