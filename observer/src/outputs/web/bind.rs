//! Listening, with an error that names the address and the remedy.

use std::io;
use std::net::ToSocketAddrs;
use std::os::unix::net::UnixStream;
use std::path::Path;

use listenfd::ListenFd;
use rustix::fs::{Mode, chmod};
use thiserror::Error;
use tokio::net::{TcpListener, UnixListener};

use super::socket::{Detached, Listening, Made};

/// The prefix of the path of a Unix socket.
const UNIX: &str = "unix:";
/// Who may connect to a Unix socket: its owner, and its group.
const MODE: Mode = Mode::RUSR
    .union(Mode::WUSR)
    .union(Mode::RGRP)
    .union(Mode::WGRP);

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
                "give HOST:PORT or unix:PATH to --web.listen-address",
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

/// Listens on every address, `HOST:PORT` or `unix:PATH` each; all of them or none.
///
/// A name that resolves to several addresses is listened on at each of them.
///
/// # Errors
/// The first address that cannot be listened on.
pub async fn bind<A: AsRef<str>>(addresses: &[A]) -> Result<Vec<Listening>, BindError> {
    let mut listeners = Vec::new();
    for address in addresses {
        let text = address.as_ref();
        if let Some(path) = text.strip_prefix(UNIX) {
            listeners.push(unix(text, Path::new(path))?);
            continue;
        }
        let resolved = text
            .to_socket_addrs()
            .map_err(|error| BindError::new(text, &error))?;
        let before = listeners.len();
        for socket in resolved {
            let listener = TcpListener::bind(socket)
                .await
                .map_err(|error| BindError::new(text, &error))?;
            listeners.push(Listening::Tcp(listener));
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

/// Listens on a Unix socket; a file that an agent left which was killed is no obstacle.
fn unix(text: &str, path: &Path) -> Result<Listening, BindError> {
    let failed = |error: io::Error| {
        let remedy = match error.kind() {
            io::ErrorKind::AddrInUse => "another process listens there: choose another path",
            io::ErrorKind::NotFound => "create its folder (systemd: RuntimeDirectory=)",
            _ => "give --web.listen-address unix:PATH with a path that this user may create",
        };
        BindError {
            address: text.to_owned(),
            reason: error.to_string(),
            remedy,
        }
    };
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_left(path) => {
            std::fs::remove_file(path).map_err(failed)?;
            UnixListener::bind(path)
        }
        bound => bound,
    };
    let listener = listener.map_err(failed)?;
    let made = Made::new(path.to_path_buf());
    chmod(path, MODE).map_err(|error| failed(error.into()))?;
    Ok(Listening::Unix(listener, Some(made)))
}

/// Whether it is a socket at which nobody listens.
fn is_left(path: &Path) -> bool {
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    UnixStream::connect(path).is_err_and(refused)
}

/// The sockets that systemd passes.
///
/// # Errors
/// When there is none, or one is of another kind.
pub fn passed(passed: &mut ListenFd) -> Result<Vec<Listening>, BindError> {
    let failed = |reason: String| BindError {
        address: "the sockets of systemd".to_owned(),
        reason,
        remedy: "start the agent from a .socket unit with ListenStream=, or remove \
                 --web.systemd-socket",
    };
    let mut listeners = Vec::new();
    for index in 0..passed.len() {
        let detached = match passed.take_tcp_listener(index) {
            Ok(Some(listener)) => Some(Detached::Tcp(listener)),
            Ok(None) => None,
            // Of another family.
            Err(_) => passed
                .take_unix_listener(index)
                .map_err(|error| failed(error.to_string()))?
                .map(|listener| Detached::Unix(listener, None)),
        };
        let attached = detached.map(Detached::attach).transpose();
        listeners.extend(attached.map_err(|error| failed(error.to_string()))?);
    }
    if listeners.is_empty() {
        return Err(failed("none was passed".to_owned()));
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
    async fn a_unix_socket_is_for_owner_and_group_and_goes_with_its_listener() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.sock");
        let address = format!("unix:{}", path.display());
        let first = bind(&[&address]).await.unwrap();
        assert_eq!(first[0].local_addr().unwrap().to_string(), address);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        let error = bind(&[&address]).await.unwrap_err().to_string();
        assert!(error.contains("another process listens there"), "{error}");
        drop(first);
        assert!(!path.exists());

        // As an agent leaves it that is killed.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        bind(&[&address]).await.unwrap();

        let nowhere = format!("unix:{}/none/web.sock", folder.path().display());
        let error = bind(&[&nowhere]).await.unwrap_err().to_string();
        assert!(error.contains("create its folder"), "{error}");
    }

    #[tokio::test]
    async fn without_sockets_of_systemd_that_is_said() {
        let error = passed(&mut ListenFd::empty()).unwrap_err().to_string();
        assert!(
            error.contains("none was passed; start the agent from a .socket unit"),
            "{error}"
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
