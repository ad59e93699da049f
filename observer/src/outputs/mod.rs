//! What shows findings: metrics, text, JSON lines, the page.

pub mod alarms;
pub mod color;
pub mod columns;
mod fit;
pub mod log;
pub mod metrics;
pub mod recent;
pub mod report;
pub mod terminal;
mod view;
pub mod web;
