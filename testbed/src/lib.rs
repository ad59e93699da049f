//! What the tests of capwatch share: scenarios, their runner, and the language
//! of their expectations.

pub mod checks;
