//! The three parts of the kernel side, each hook in every mechanism that it has.

mod denial;
mod drops;
mod episode;
mod host;
mod maps;
mod marks;
mod mem;
mod shares;
mod task;
mod tracepoint;
mod tree;
mod verdict;
mod verdict_kprobe;
