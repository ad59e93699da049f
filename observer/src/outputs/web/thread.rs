//! The server on a separate thread: what it does never holds up the reading of
//! the kernel's rings, nor that the answers.

use std::{
    io,
    sync::Arc,
    thread::{Builder, JoinHandle},
};

use tokio::sync::oneshot;

use super::{
    serve::{Options, serve},
    socket::{Detached, Listening},
    view::View,
};
use crate::sandbox::{self, Room};

/// A server that runs.
pub struct Server {
    stop: oneshot::Sender<()>,
    ended: oneshot::Receiver<io::Result<()>>,
    thread: JoinHandle<()>,
}

impl Server {
    /// Serves a view on every listener.
    ///
    /// # Errors
    /// When no thread can be started, or a listener can't be handed to it.
    pub fn start(
        listeners: Vec<Listening>,
        view: Arc<dyn View>,
        options: Options,
    ) -> io::Result<Self> {
        let listeners: io::Result<Vec<_>> = listeners.into_iter().map(Listening::detach).collect();
        let listeners = listeners?;
        let (stop, stopped) = oneshot::channel::<()>();
        let (end, ended) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(super::heavy::THREADS)
            .thread_name("web-answer")
            .build()?;
        let thread = Builder::new().name("web".to_owned()).spawn(move || {
            sandbox::enter(Room::Web);
            let result = runtime.block_on(async {
                let listeners: io::Result<Vec<_>> =
                    listeners.into_iter().map(Detached::attach).collect();
                serve(listeners?, view, options, async {
                    // The sender gone is a stop too.
                    let _ = stopped.await;
                })
                .await
            });
            // An answer that is still being made is not waited for.
            runtime.shutdown_background();
            // Nobody asks any more where the agent ended.
            let _ = end.send(result);
        })?;
        Ok(Self {
            stop,
            ended,
            thread,
        })
    }

    /// Waits for its end, which comes by itself only where it failed.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn ended(&mut self) -> io::Result<()> {
        (&mut self.ended)
            .await
            .unwrap_or_else(|_| Err(io::Error::other("the server's thread is gone")))
    }

    /// Stops it, without waiting: answers under way have a moment.
    pub fn stop(self) -> Stopping {
        drop(self.stop);
        Stopping(self.thread)
    }
}

/// A server that ends.
pub struct Stopping(JoinHandle<()>);

impl Stopping {
    /// Waits until it has ended.
    pub fn wait(self) {
        if self.0.join().is_err() {
            tracing::error!("the server's thread panicked");
        }
    }
}
