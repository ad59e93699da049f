//! Encryption of connections.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use jiff::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::{Accept, TlsAcceptor, server::TlsStream};

use super::super::connection::Connection;
use super::WebConfigError;
use super::certificate::not_after;
use super::settings::{ClientAuth, Tls, Version, beside};
use crate::open;

/// What the settings ask for; and that the certificate has expired, where it has.
pub fn config(
    path: &Path,
    settings: &Tls,
) -> Result<(ServerConfig, Option<String>), WebConfigError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let invalid = |message: String| WebConfigError::new(path, message);
    let certificates = certificates(path, &settings.cert_file)?;
    let key_file = beside(path, &settings.key_file);
    let key = open::named_bytes(&key_file)
        .map_err(|error| invalid(format!("cannot read {}: {error}", key_file.display())))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| {
        invalid(format!(
            "{} has no private key in PEM form",
            key_file.display()
        ))
    })?;
    let ended = certificates
        .first()
        .and_then(|certificate| not_after(certificate))
        .filter(|end| *end < Timestamp::now());
    let expired = ended.map(|end| {
        let file = beside(path, &settings.cert_file);
        format!("the certificate in {} expired at {end}", file.display())
    });

    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(settings).map_err(invalid)?)
        .map_err(|error| invalid(error.to_string()))?;
    let builder = match clients(path, settings)? {
        None => builder.with_no_client_auth(),
        Some(roots) => {
            let mut verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            if settings.client_auth_type == ClientAuth::VerifyClientCertIfGiven {
                verifier = verifier.allow_unauthenticated();
            }
            let verifier = verifier
                .build()
                .map_err(|error| invalid(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder
        .with_single_cert(certificates, key)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => invalid(format!(
                "the key in {} is not that of the certificate",
                key_file.display()
            )),
            error => invalid(format!("certificate or key cannot be used: {error}")),
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((config, expired))
}

fn certificates(
    config: &Path,
    file: &Path,
) -> Result<Vec<CertificateDer<'static>>, WebConfigError> {
    let file = beside(config, file);
    let invalid = |message: String| WebConfigError::new(config, message);
    let text = open::named_bytes(&file)
        .map_err(|error| invalid(format!("cannot read {}: {error}", file.display())))?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    read.ok()
        .filter(|certificates| !certificates.is_empty())
        .ok_or_else(|| invalid(format!("{} has no certificate in PEM form", file.display())))
}

/// Who signs clients' certificates; none where none is asked for.
fn clients(path: &Path, settings: &Tls) -> Result<Option<Arc<RootCertStore>>, WebConfigError> {
    let asks = settings.client_auth_type != ClientAuth::NoClientCert;
    match (&settings.client_ca_file, asks) {
        (None, false) => Ok(None),
        (None, true) => Err(WebConfigError::new(
            path,
            "client_auth_type needs client_ca_file: the authority that signs clients' certificates",
        )),
        (Some(_), false) => Err(WebConfigError::new(
            path,
            "client_ca_file is of no use without client_auth_type: RequireAndVerifyClientCert",
        )),
        (Some(file), true) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path, file)? {
                roots.add(certificate).map_err(|error| {
                    WebConfigError::new(path, format!("{}: {error}", file.display()))
                })?;
            }
            Ok(Some(Arc::new(roots)))
        }
    }
}

fn versions(settings: &Tls) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    let least = settings.min_version.unwrap_or(Version::Tls12);
    let most = settings.max_version.unwrap_or(Version::Tls13);
    let all = [
        (Version::Tls12, &rustls::version::TLS12),
        (Version::Tls13, &rustls::version::TLS13),
    ];
    let wanted = all
        .into_iter()
        .filter(|(version, _)| (least..=most).contains(version));
    let wanted: Vec<_> = wanted.map(|(_, version)| version).collect();
    if wanted.is_empty() {
        return Err("min_version is above max_version".to_owned());
    }
    Ok(wanted)
}

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
