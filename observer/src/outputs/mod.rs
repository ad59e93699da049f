//! What shows findings: metrics, text, JSON lines, the page.

pub mod clean;
pub mod metrics;
pub mod stream;
pub mod text;
mod view;
pub mod web;
