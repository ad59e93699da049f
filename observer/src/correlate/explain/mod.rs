//! One sentence for a person: who, what, which layer and why it refused, what
//! became of it, and what to change. Only from facts at hand; what is inferred
//! is said to be, and no layer is blamed that was not asked.

mod denial;
mod episode;
mod logged;
mod module;
mod other;
mod remedy;
mod rule;
#[cfg(test)]
mod tests;
mod words;

pub use denial::{denial, logged};
pub use episode::{Refusal, episode, not_the_cause};
pub use logged::logged_episode;
pub use other::other;
pub use remedy::launcher;
pub use rule::rule_refusal;
pub use words::list as listed;
