//! Configuration: the rules for supervisors, from the built-in catalogue and
//! the user's TOML.

mod rules;

pub use rules::{CATALOGUE, ConfigError, Expectation, Rules, Supervisor};
