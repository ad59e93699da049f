//! The file as it is written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::WebConfigError;
use crate::open;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Encryption.
    pub tls_server_config: Option<Tls>,
    /// Of HTTP: one key that changes nothing here.
    #[serde(rename = "http_server_config")]
    pub _http_server_config: Option<Http>,
    /// Names, and bcrypt hashes of passwords.
    pub basic_auth_users: Option<BTreeMap<String, String>>,
}

/// `tls_server_config`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The server's certificate, with the chain to its authority.
    pub cert_file: PathBuf,
    /// Its key.
    pub key_file: PathBuf,
    /// Authorities of clients' certificates.
    pub client_ca_file: Option<PathBuf>,
    /// Whether clients need a certificate.
    #[serde(default)]
    pub client_auth_type: ClientAuth,
    /// The oldest version that is spoken.
    pub min_version: Option<Version>,
    /// The newest one.
    pub max_version: Option<Version>,
}

/// `http_server_config`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Whether HTTP/2 may be spoken; it never is.
    #[serde(rename = "http2")]
    _http2: Option<bool>,
}

/// Whether clients need a certificate, as Go calls it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum ClientAuth {
    /// None is asked for.
    #[default]
    NoClientCert,
    /// One that is sent must be valid.
    VerifyClientCertIfGiven,
    /// Nobody comes in without a valid one.
    RequireAndVerifyClientCert,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Version {
    /// 1.2
    #[serde(rename = "TLS12")]
    Tls12,
    /// 1.3
    #[serde(rename = "TLS13")]
    Tls13,
}

impl Settings {
    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self, WebConfigError> {
        let text = open::named_text(path)
            .map_err(|error| WebConfigError::new(path, format!("cannot read it: {error}")))?;
        let nothing = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
        if text.lines().all(nothing) {
            return Ok(Self::default());
        }
        serde_saphyr::from_str(&text).map_err(|error| {
            let error = error.to_string();
            let first = error.lines().next().unwrap_or_default();
            WebConfigError::new(path, first.trim_start_matches("error: "))
        })
    }
}

impl Tls {
    /// The files that it names, as they are opened.
    pub fn files(&self, config: &Path) -> Vec<PathBuf> {
        let named = [
            Some(&self.cert_file),
            Some(&self.key_file),
            self.client_ca_file.as_ref(),
        ];
        let named = named.into_iter().flatten();
        named.map(|file| beside(config, file)).collect()
    }
}

/// A path that is not absolute begins at the configuration's folder.
pub fn beside(config: &Path, file: &Path) -> PathBuf {
    config.parent().unwrap_or(Path::new("")).join(file)
}
