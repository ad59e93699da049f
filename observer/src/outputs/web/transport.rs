//! A connection as the client has it: encrypted or not.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::{Accept, TlsAcceptor, server::TlsStream};

use super::connection::Connection;

/// A connection, encrypted or not. The handshake is made when the request is read, so
/// that it holds up nobody else.
pub enum Transport {
    /// As it is.
    Plain(Connection),
    /// Amid the handshake.
    Shaking(Box<Accept<Connection>>),
    /// Encrypted.
    Tls(Box<TlsStream<Connection>>),
}

impl Transport {
    /// A connection as the configuration in force wants it.
    pub fn new(connection: Connection, tls: Option<&Arc<ServerConfig>>) -> Self {
        match tls {
            None => Self::Plain(connection),
            Some(config) => {
                let acceptor = TlsAcceptor::from(Arc::clone(config));
                Self::Shaking(Box::new(acceptor.accept(connection)))
            }
        }
    }

    /// Ends the handshake, where one is under way.
    fn poll_shaken(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Self::Shaking(accept) = self {
            match ready!(Pin::new(accept.as_mut()).poll(context)) {
                Ok(stream) => *self = Self::Tls(Box::new(stream)),
                Err(error) => {
                    tracing::debug!("a client's TLS handshake failed: {error}");
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// The same call on either kind, once the handshake is made.
macro_rules! shaken {
    ($transport:ident, $call:ident, $context:ident $(, $argument:expr)*) => {{
        let transport = $transport.get_mut();
        ready!(transport.poll_shaken($context))?;
        match transport {
            Transport::Plain(stream) => Pin::new(stream).$call($context $(, $argument)*),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).$call($context $(, $argument)*),
            Transport::Shaking(_) => Poll::Pending,
        }
    }};
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        shaken!(self, poll_read, context, buffer)
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        shaken!(self, poll_write, context, buffer)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        shaken!(self, poll_write_vectored, context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        shaken!(self, poll_flush, context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
            // Nothing was said that would need an end.
            Self::Shaking(_) => Poll::Ready(Ok(())),
        }
    }
}
