//! What is known now, for every output: the ledger, the kernel's counters, who
//! listens, and what outlives the agent.

pub mod kept;
mod latency;
mod shared;
pub mod stream;

pub use latency::Latency;
pub use shared::Shared;
