//! Listeners: a bounded number of connections, none of which may stall for long.

use std::io;
use std::time::Duration;

use axum::serve::Listener;
use tokio::time::sleep;

use super::connection::{Connection, Patience};
use super::places::Places;
use super::secure::Security;
use super::socket::{Address, Listening};
use super::transport::Transport;

/// How long is waited where no connection can be accepted.
const PAUSE: Duration = Duration::from_millis(50);

/// A listener whose connections have places.
pub struct Bounded {
    listener: Listening,
    places: Places,
    patience: Patience,
    security: Option<Security>,
}

impl Bounded {
    /// Bounds a listener; listeners may share their places.
    pub const fn new(
        listener: Listening,
        places: Places,
        patience: Patience,
        security: Option<Security>,
    ) -> Self {
        Self {
            listener,
            places,
            patience,
            security,
        }
    }
}

impl Listener for Bounded {
    type Io = Transport;
    type Addr = Address;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = loop {
            match self.listener.accept().await {
                Ok(accepted) => break accepted,
                Err(error) if is_of_the_client(&error) => {}
                Err(error) => {
                    // No descriptor is left, say.
                    tracing::debug!("cannot accept a connection: {error}");
                    self.places.make_room();
                    sleep(PAUSE).await;
                }
            }
        };
        let (place, lost) = self.places.take(address.peer());
        let connection = Connection::new(stream, self.patience, place, lost);
        // Anyone who reaches a Unix socket is on this host.
        let security = self.security.as_ref().filter(|_| address.tcp().is_some());
        let tls = security.and_then(|security| security.current().tls.clone());
        (Transport::new(connection, tls.as_ref()), address)
    }

    fn local_addr(&self) -> io::Result<Address> {
        self.listener.local_addr()
    }
}

/// Whether the client went before it was accepted.
fn is_of_the_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::{Instant, timeout};

    use super::*;

    const LONG: Duration = Duration::from_secs(5);
    const PATIENCE: Patience = Patience {
        request: Duration::from_millis(300),
        idle: Duration::from_millis(600),
    };

    async fn serve(places: Places) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listener = Listening::Tcp(listener);
        let bounded = Bounded::new(listener, places, PATIENCE, None);
        let app = axum::Router::new().route("/", axum::routing::get(async || "here"));
        tokio::spawn(axum::serve(bounded, app).into_future());
        address
    }

    async fn ask(address: SocketAddr) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        let read = timeout(LONG, stream.read_to_string(&mut answer)).await;
        read.expect("in time").expect("an answer");
        answer
    }

    #[tokio::test]
    async fn who_stalls_gives_its_place_to_the_next() {
        let address = serve(Places::new(1, 1)).await;
        let mut stalled = TcpStream::connect(address).await.unwrap();
        stalled.write_all(b"GET / HT").await.unwrap();
        assert!(ask(address).await.ends_with("here"));
        let mut rest = Vec::new();
        assert!(timeout(LONG, stalled.read_to_end(&mut rest)).await.is_ok());
    }

    #[tokio::test]
    async fn a_request_that_trickles_gains_no_time() {
        let address = serve(Places::new(8, 8)).await;
        let mut slow = TcpStream::connect(address).await.unwrap();
        let began = Instant::now();
        for byte in b"GET / HTTP/1.1\r\nHost: abcdefghijklmnopqrstuvwxyz" {
            if slow.write_all(&[*byte]).await.is_err() {
                break;
            }
            sleep(Duration::from_millis(40)).await;
        }
        let mut rest = Vec::new();
        let _ = timeout(LONG, slow.read_to_end(&mut rest)).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(2));
        assert!(!String::from_utf8_lossy(&rest).contains("here"));
    }

    #[tokio::test]
    async fn a_connection_that_is_kept_idles_for_longer_than_a_request_takes() {
        let address = serve(Places::new(8, 8)).await;
        let mut kept = TcpStream::connect(address).await.unwrap();
        let mut buffer = [0; 512];
        for _ in 0..2 {
            kept.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                .await
                .unwrap();
            let read = timeout(LONG, kept.read(&mut buffer)).await.unwrap();
            assert!(read.unwrap() > 0, "it was closed");
            sleep(PATIENCE.request + Duration::from_millis(100)).await;
        }
        // In the end it goes.
        assert_eq!(
            timeout(LONG, kept.read(&mut buffer))
                .await
                .unwrap()
                .unwrap(),
            0
        );
    }
}
