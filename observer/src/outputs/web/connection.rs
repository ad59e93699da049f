//! Connections, none of which may stall for long.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep};

use super::places::Place;
use super::socket::Stream;

/// How long a connection may take for what.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// From the connection, or the first byte of a later request, to its answer.
    pub request: Duration,
    /// Without a byte in either direction, between requests or in an answer.
    pub idle: Duration,
}

/// What a connection is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A request comes, or should: bytes gain it no time.
    Asking,
    /// An answer goes, or the next request has not begun: bytes do.
    Answering,
}

/// A connection that fails when it takes too long, or when its place goes to
/// another one.
pub struct Connection {
    stream: Stream,
    patience: Patience,
    phase: Phase,
    deadline: Pin<Box<Sleep>>,
    place: Place,
    lost: oneshot::Receiver<()>,
}

impl Connection {
    /// One that was just accepted, and has this place until `lost` says otherwise.
    pub fn new(
        stream: Stream,
        patience: Patience,
        place: Place,
        lost: oneshot::Receiver<()>,
    ) -> Self {
        Self {
            stream,
            patience,
            phase: Phase::Asking,
            deadline: Box::pin(sleep(patience.request)),
            place,
            lost,
        }
    }

    /// Notes bytes that moved; fails where none do for too long.
    fn watch(
        &mut self,
        context: &mut Context<'_>,
        phase: Phase,
        moved: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        // The place is another's: the sender is gone.
        if Pin::new(&mut self.lost).poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        match moved {
            Poll::Ready(Ok(count)) if count > 0 => {
                if phase != self.phase {
                    self.phase = phase;
                    self.place.answers(phase == Phase::Answering);
                    let patience = match phase {
                        Phase::Asking => self.patience.request,
                        Phase::Answering => self.patience.idle,
                    };
                    self.deadline.as_mut().reset(Instant::now() + patience);
                } else if phase == Phase::Answering {
                    let deadline = Instant::now() + self.patience.idle;
                    self.deadline.as_mut().reset(deadline);
                }
                moved
            }
            Poll::Ready(_) => moved,
            Poll::Pending => match self.deadline.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                Poll::Pending => Poll::Pending,
            },
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        let read = buffer.filled().len() - before;
        let moved = result.map_ok(|()| read);
        self.watch(context, Phase::Asking, moved).map_ok(|_| ())
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, buffer);
        self.watch(context, Phase::Answering, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, buffers);
        self.watch(context, Phase::Answering, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
