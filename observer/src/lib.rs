//! capwatch: which layer refused a capability, was it harmful, and did the
//! process go on?
//!
//! The way of the data is one direction: [`sources`] give observations,
//! `correlate` joins them and gives verdicts, `ledger` counts, and `outputs`
//! show. Correlate and ledger do no I/O and own no clock.

pub mod agent;
pub mod audit;
pub use audit_records::caps;
pub mod clean;
pub mod commands;
pub mod config;
pub mod correlate;
pub mod finding;
mod host;
pub mod ledger;
mod manager;
mod memory;
pub mod observation;
pub mod open;
pub mod outputs;
mod privileges;
pub mod sandbox;
pub mod sight;
pub mod sources;
pub mod state;
pub mod time;
pub mod who;
pub mod words;
