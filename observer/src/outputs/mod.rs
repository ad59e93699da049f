//! What shows findings: metrics, text, JSON lines, the page.

pub mod alarms;
pub mod color;
pub mod columns;
mod fit;
pub mod log;
pub mod metrics;
pub mod report;
pub mod terminal;
pub mod told;
mod view;
pub mod web;
