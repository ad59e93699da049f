//! Where findings go.

pub mod web;
