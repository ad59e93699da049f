//! Listening, with an error that names the address and the remedy.

use std::io;
use std::net::ToSocketAddrs;

use thiserror::Error;
use tokio::net::TcpListener;

/// An address that cannot be listened on.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {reason}; {remedy}")]
pub struct BindError {
    address: String,
    reason: String,
    remedy: &'static str,
}

impl BindError {
    fn new(address: &str, error: &io::Error) -> Self {
        let (reason, remedy) = match error.kind() {
            io::ErrorKind::AddrInUse => (
                "address in use".to_owned(),
                "choose another with --web.listen-address",
            ),
            io::ErrorKind::AddrNotAvailable => (
                "no such address on this host".to_owned(),
                "choose one of this host's with --web.listen-address",
            ),
            io::ErrorKind::PermissionDenied => (
                "permission denied".to_owned(),
                "choose a port above 1023 with --web.listen-address",
            ),
            io::ErrorKind::InvalidInput => (
                "not an address".to_owned(),
                "give HOST:PORT to --web.listen-address",
            ),
            _ => (
                error.to_string(),
                "choose another with --web.listen-address",
            ),
        };
        Self {
            address: address.to_owned(),
            reason,
            remedy,
        }
    }
}

/// Listens on every address, `HOST:PORT` each; all of them or none.
///
/// A name that resolves to several addresses is listened on at each of them.
///
/// # Errors
/// The first address that cannot be listened on.
pub async fn bind<A: AsRef<str>>(addresses: &[A]) -> Result<Vec<TcpListener>, BindError> {
    let mut listeners = Vec::new();
    for address in addresses {
        let text = address.as_ref();
        let resolved = text
            .to_socket_addrs()
            .map_err(|error| BindError::new(text, &error))?;
        let before = listeners.len();
        for socket in resolved {
            let listener = TcpListener::bind(socket)
                .await
                .map_err(|error| BindError::new(text, &error))?;
            listeners.push(listener);
        }
        if listeners.len() == before {
            return Err(BindError {
                address: text.to_owned(),
                reason: "the name has no address".to_owned(),
                remedy: "give an IP address to --web.listen-address",
            });
        }
    }
    Ok(listeners)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_in_use_is_named_with_the_remedy() {
        let first = bind(&["127.0.0.1:0"]).await.unwrap();
        let address = first[0].local_addr().unwrap().to_string();
        let error = bind(&[&address]).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "cannot listen on {address}: address in use; choose another with --web.listen-address"
            )
        );
    }

    #[tokio::test]
    async fn what_is_no_address_is_said() {
        let error = bind(&["11400"]).await.unwrap_err().to_string();
        assert!(error.starts_with("cannot listen on 11400: "), "{error}");
        let error = bind(&["192.0.2.1:0"]).await.unwrap_err().to_string();
        assert!(error.contains("no such address on this host"), "{error}");
    }
}
