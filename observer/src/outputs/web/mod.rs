//! The HTTP server: status page, JSON, metrics and the live feed.
//!
//! It reads a [`View`] and keeps nothing but its clients, whose number and
//! buffers are bounded. Everything is answered to GET and HEAD alone; a page of
//! another site can't read it, not even by rebinding its own name to this
//! address (see `guard::Hosts`).

mod answer;
mod api;
mod bind;
mod bounded;
mod brief;
mod cache;
mod connection;
mod feed;
mod filter;
mod guard;
mod heavy;
mod page;
mod places;
mod router;
mod secure;
mod serve;
mod shared;
mod socket;
mod summary;
mod thread;
mod transport;
mod view;

pub use bind::{BindError, bind, passed};
pub use secure::{Security, WebConfigError};
pub use serve::{Options, serve};
pub use socket::{Address, Listening};
pub use summary::short_version;
pub use thread::Server;
pub use view::{PinsStatus, STATUS_SCHEMA, Status, Supervisor, Tally, TimedEpisode, View, node};
