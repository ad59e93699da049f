//! What may be wrong with a configuration.

use std::io;

/// What is wrong with a configuration, and where.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("cannot read the configuration {path}: {source}; give another with --config")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// It is not TOML, or has keys that nobody knows.
    #[error("invalid configuration {path}: {message}")]
    Syntax {
        /// The file.
        path: String,
        /// Place and cause, as the TOML reader reports them.
        message: String,
    },
    /// A rule makes no sense.
    #[error("invalid configuration {path}: supervisor \"{name}\": {message}")]
    Rule {
        /// The file.
        path: String,
        /// The rule.
        name: String,
        /// Cause and remedy.
        message: String,
    },
}
