//! The process tree: fork, exec and exit keep the map from process to
//! supervisor, close episodes, and forget what a thread left behind.
//!
//! Most processes are nobody's: what is done for those is a few loads, and what is
//! done for others is a function of its own, so that the short way's code is short.
//!
//! BTF tracepoints: the arguments at the front are the same from 5.5 to 7.3.

mod exec;
mod exit;
mod fork;
mod report;

use observer_ebpf::{Table, Task, shares as most};

use super::shares;

/// The share that a process of a tree is counted in.
#[inline(always)]
fn share(entry: &Task) -> shares::Limit {
    shares::user(Table::Tasks, entry.uid, most::TASKS_OF_USER)
}
