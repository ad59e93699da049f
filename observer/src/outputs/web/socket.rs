//! Sockets that are listened on: TCP, and Unix for who is on this host alone.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// A socket that is listened on.
#[derive(Debug)]
pub enum Listening {
    /// TCP.
    Tcp(TcpListener),
    /// Unix; the file goes with it where it was made here.
    Unix(UnixListener, Option<Made>),
}

/// A socket's file that was made here, removed when it is no longer listened on.
#[derive(Debug)]
pub struct Made(PathBuf);

impl Made {
    /// Takes it over.
    pub const fn new(path: PathBuf) -> Self {
        Self(path)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::debug!("cannot remove {}: {error}", self.0.display());
        }
    }
}

/// Where is listened, or who is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// A socket's file; none of a client.
    Unix(Option<PathBuf>),
}

impl Address {
    /// Whose share of the places a connection takes: all of this host are one peer.
    pub const fn peer(&self) -> IpAddr {
        match self {
            Self::Tcp(address) => address.ip(),
            Self::Unix(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }

    /// The TCP address.
    pub const fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(Some(path)) => write!(f, "unix:{}", path.display()),
            Self::Unix(None) => f.write_str("unix"),
        }
    }
}

impl From<&tokio::net::unix::SocketAddr> for Address {
    fn from(address: &tokio::net::unix::SocketAddr) -> Self {
        Self::Unix(address.as_pathname().map(ToOwned::to_owned))
    }
}

impl Listening {
    /// Waits for a connection.
    ///
    /// # Errors
    /// As the system reports them.
    pub async fn accept(&self) -> io::Result<(Stream, Address)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // A page gets small pieces at once; a failure costs latency only.
                let _ = stream.set_nodelay(true);
                Ok((Stream::Tcp(stream), Address::Tcp(address)))
            }
            Self::Unix(listener, _) => {
                let (stream, address) = listener.accept().await?;
                Ok((Stream::Unix(stream), Address::from(&address)))
            }
        }
    }

    /// Where is listened.
    ///
    /// # Errors
    /// As the system reports them.
    pub fn local_addr(&self) -> io::Result<Address> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Address::Tcp),
            Self::Unix(listener, _) => listener.local_addr().map(|of| Address::from(&of)),
        }
    }

    /// Leaves this thread's runtime.
    ///
    /// # Errors
    /// As the system reports them.
    pub fn detach(self) -> io::Result<Detached> {
        match self {
            Self::Tcp(listener) => listener.into_std().map(Detached::Tcp),
            Self::Unix(listener, made) => {
                let listener = listener.into_std()?;
                Ok(Detached::Unix(listener, made))
            }
        }
    }
}

/// A socket on its way to another thread's runtime.
#[derive(Debug)]
pub enum Detached {
    /// TCP.
    Tcp(std::net::TcpListener),
    /// Unix.
    Unix(std::os::unix::net::UnixListener, Option<Made>),
}

impl Detached {
    /// Joins this thread's runtime.
    ///
    /// # Errors
    /// As the system reports them.
    pub fn attach(self) -> io::Result<Listening> {
        match self {
            Self::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener).map(Listening::Tcp)
            }
            Self::Unix(listener, made) => {
                listener.set_nonblocking(true)?;
                let listener = UnixListener::from_std(listener)?;
                Ok(Listening::Unix(listener, made))
            }
        }
    }
}

/// A connection's socket.
#[derive(Debug)]
pub enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// Unix.
    Unix(UnixStream),
}

/// The same call on either kind.
macro_rules! either {
    ($stream:expr, $call:ident $(, $argument:expr)*) => {
        match $stream.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).$call($($argument),*),
            Stream::Unix(stream) => Pin::new(stream).$call($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, poll_read, context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self, poll_write, context, buffer)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, poll_write_vectored, context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, poll_flush, context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, poll_shutdown, context)
    }
}
