//! Configuration: the rules for supervisors, from the built-in catalogue and
//! the user's TOML.

mod numbers;
mod release;
mod rules;

pub use release::Release;
pub use rules::{CATALOGUE, ConfigError, Expectation, Recognised, Rules, Supervisor};
