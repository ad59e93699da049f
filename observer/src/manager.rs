//! Reports the agent's state to the service manager: systemd's `Type=notify` and
//! `WatchdogSec=`.
//!
//! Its socket is connected once, at the start: later the sandbox allows neither to make
//! one nor to connect it.

use std::{
    env,
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

use sd_notify::NotifyState;

/// The one that started this process, if one did.
#[derive(Debug, Default)]
pub struct Manager(Option<UnixDatagram>);

impl Manager {
    /// Connects to it; a socket that can't be had is in the log.
    pub fn connect() -> Self {
        let Some(place) = env::var_os("NOTIFY_SOCKET") else {
            return Self::default();
        };
        match connected(&place) {
            Ok(socket) => Self(Some(socket)),
            Err(error) => {
                tracing::warn!("cannot notify systemd: {error}");
                Self::default()
            }
        }
    }

    /// Notifies it.
    pub fn notify(&self, state: &NotifyState<'_>) {
        let Self(Some(socket)) = self else {
            return;
        };
        if let Err(error) = socket.send(format!("{state}\n").as_bytes()) {
            tracing::warn!("cannot notify systemd: {error}");
        }
    }
}

/// A socket of the file system, or with `@` in front one without a file.
fn connected(place: &OsStr) -> io::Result<UnixDatagram> {
    let address = match place.as_bytes().split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(place)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_notified_by_a_file_and_without_one() {
        let folder = tempfile::tempdir().expect("no folder");
        let file = folder.path().join("notify");
        let name = format!("capwatch-test-{}", std::process::id());
        let abstract_name = SocketAddr::from_abstract_name(&name).expect("a name");
        let path = SocketAddr::from_pathname(&file).expect("a path");
        let marked = format!("@{name}");
        for (address, place) in [(path, file.as_os_str()), (abstract_name, marked.as_ref())] {
            let listener = UnixDatagram::bind_addr(&address).expect("bound");
            let manager = Manager(Some(connected(place).expect("connected")));
            manager.notify(&NotifyState::Ready);
            let mut buffer = [0; 64];
            let length = listener.recv(&mut buffer).expect("a word");
            assert_eq!(&buffer[..length], b"READY=1\n");
        }
        Manager::default().notify(&NotifyState::Stopping);
    }
}
