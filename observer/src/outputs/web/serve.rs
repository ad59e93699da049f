//! Serving until told to stop.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::connection::Bounded;
use super::feed::Feed;
use super::guard::Hosts;
use super::router::router;
use super::view::View;

/// Connections at one time, over all addresses.
const MAX_CONNECTIONS: usize = 512;
/// After so long without a byte in either direction a connection ends.
const IDLE: Duration = Duration::from_mins(1);
/// How long requests under way may take after the stop.
const FAREWELL: Duration = Duration::from_secs(2);

/// What the operator may set.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Names that the server may be called by, besides IP addresses,
    /// `localhost` and the host's own name.
    pub hosts: Vec<String>,
}

/// Serves a view on every listener until `shutdown` is done.
///
/// # Errors
/// A listener that failed for good.
pub async fn serve(
    listeners: Vec<TcpListener>,
    view: Arc<dyn View>,
    options: Options,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let (stop, stopped) = watch::channel(false);
    let feed = Feed::start(view.subscribe(), stopped.clone());
    let app = router(view, feed, Hosts::new(options.hosts));
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));

    let mut servers = JoinSet::new();
    for listener in listeners {
        let bounded = Bounded::new(listener, Arc::clone(&permits), IDLE);
        let mut stopped = stopped.clone();
        let server = axum::serve(bounded, app.clone()).with_graceful_shutdown(async move {
            // An error says that the sender is gone, which is a stop too.
            let _ = stopped.wait_for(|stopped| *stopped).await;
        });
        servers.spawn(server.into_future());
    }

    tokio::select! {
        () = shutdown => {}
        Some(ended) = servers.join_next() => return ended.unwrap_or_else(|error| Err(io::Error::other(error))),
    }
    stop.send_replace(true);
    // Who is still being answered after that is cut off.
    let _ = timeout(FAREWELL, async {
        while servers.join_next().await.is_some() {}
    })
    .await;
    Ok(())
}
