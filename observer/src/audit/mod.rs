//! Audit records as `capwatch replay --records` prints them; the parser is the
//! crate [`audit_records`].

mod object;
mod replay;

pub use audit_records::*;

pub use object::RecordObject;
pub use replay::{ReplayError, Tally, replay_plain, replay_records};
