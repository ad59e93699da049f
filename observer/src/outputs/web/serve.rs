//! Serving until a signal stops it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::bounded::Bounded;
use super::connection::Patience;
use super::feed::Feed;
use super::guard::Hosts;
use super::places::Places;
use super::router::{Manner, router};
use super::secure::{Gate, Security};
use super::socket::Listening;
use super::view::View;

/// Connections at one time, over all addresses that are listened on.
const MAX_CONNECTIONS: usize = 512;
/// Of those, how many one client's address may have.
const SHARE: usize = 256;
/// Of the descriptors that the process may have, one in so many is a connection's.
const DESCRIPTORS: usize = 4;
/// How long a client may take.
const PATIENCE: Patience = Patience {
    request: Duration::from_secs(10),
    idle: Duration::from_mins(1),
};
/// How long requests under way may take after the stop.
const FAREWELL: Duration = Duration::from_millis(500);

/// What the operator may set.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Names that the server may be called by, besides IP addresses,
    /// `localhost` and the host's own name.
    pub hosts: Vec<String>,
    /// Whether it is ready also where needed hooks are not attached.
    pub ready_without_hooks: bool,
    /// TLS, and who may ask.
    pub security: Option<Security>,
    /// Whether `/-/healthy` and `/-/ready` need no password.
    pub open_probes: bool,
}

/// Serves a view on every listener until `shutdown` is done.
///
/// # Errors
/// A listener that failed for good.
pub async fn serve(
    listeners: Vec<Listening>,
    view: Arc<dyn View>,
    options: Options,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let (stop, stopped) = watch::channel(false);
    let feed = Feed::start(view.subscribe(), stopped.clone());
    let Options {
        hosts,
        ready_without_hooks,
        security,
        open_probes,
    } = options;
    let manner = Manner {
        hosts: Hosts::new(hosts),
        gate: Gate::new(security.clone(), open_probes),
        ready_without_hooks,
    };
    let app = router(view, feed, manner);
    let most = places();
    let places = Places::new(most, most * SHARE / MAX_CONNECTIONS);

    let mut servers = JoinSet::new();
    for listener in listeners {
        let bounded = Bounded::new(listener, places.clone(), PATIENCE, security.clone());
        let mut stopped = stopped.clone();
        let server = axum::serve(bounded, app.clone()).with_graceful_shutdown(async move {
            // An error says that the sender is gone, which is a stop too.
            let _ = stopped.wait_for(|stopped| *stopped).await;
        });
        servers.spawn(server.into_future());
    }

    let follower = security.map(|security| tokio::spawn(security.follow()));
    tokio::select! {
        () = shutdown => {}
        Some(ended) = servers.join_next() => return ended.unwrap_or_else(|error| Err(io::Error::other(error))),
    }
    if let Some(follower) = follower {
        follower.abort();
    }
    stop.send_replace(true);
    // Who is still being answered after that is cut off.
    let _ = timeout(FAREWELL, async {
        while servers.join_next().await.is_some() {}
    })
    .await;
    Ok(())
}

/// How many connections there is room for: other things need descriptors too.
fn places() -> usize {
    use rustix::process::{Resource, getrlimit};

    let limit = getrlimit(Resource::Nofile).current;
    let limit = limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    });
    MAX_CONNECTIONS.min(limit / DESCRIPTORS).max(8)
}
