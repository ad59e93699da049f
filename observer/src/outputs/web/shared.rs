//! What every handler has.

use std::sync::Arc;

use super::{feed::Feed, view::View};

/// What every handler has.
#[derive(Clone)]
pub struct Shared {
    /// What is known.
    pub view: Arc<dyn View>,
    /// The live feed.
    pub feed: Feed,
    /// Whether it is ready also where needed hooks are not attached.
    pub ready_without_hooks: bool,
}
