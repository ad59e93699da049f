//! Configuration: the rules for supervisors, from the built-in catalogue and
//! the user's TOML.

mod error;
mod labels;
mod numbers;
mod release;
mod rules;
mod supervisor;
mod typed;

pub use error::ConfigError;
pub use labels::label;
pub use release::Release;
pub use rules::{CATALOGUE, Rules};
pub use supervisor::{Expectation, Recognised, Supervisor};
