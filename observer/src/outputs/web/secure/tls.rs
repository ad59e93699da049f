//! Encryption of connections.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

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
                "the key in {} does not match the certificate",
                key_file.display()
            )),
            error => invalid(format!("cannot use the certificate or key: {error}")),
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
            "client_ca_file has no effect without client_auth_type: RequireAndVerifyClientCert; \
             add it",
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
