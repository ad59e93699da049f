//! The events of an agent that runs, by its live feed.

use std::{net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context as _, bail};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader, Lines},
    net::{TcpStream, UnixStream, lookup_host},
    time::timeout,
};

use crate::{clean::clean, finding::Event, sources::bpf::Pins};

/// How long an agent may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The prefix of the path of a Unix socket.
const UNIX: &str = "unix:";

/// An agent's live feed.
pub struct Feed {
    lines: Lines<BufReader<Box<dyn AsyncRead + Unpin>>>,
    /// Where the agent is asked.
    pub address: String,
}

/// The feed of the agent that has these pins, where it may be asked.
pub async fn of_pins(path: &Path) -> Option<Feed> {
    let pins = Pins::at(path).ok().filter(Pins::is_held)?;
    for address in pins.addresses() {
        match Feed::open(&address).await {
            Ok(feed) => return Some(feed),
            Err(error) => tracing::debug!("cannot follow the agent at {address}: {error:#}"),
        }
    }
    None
}

impl Feed {
    /// Asks for it.
    ///
    /// # Errors
    /// When nobody answers there, or what answers has no such feed.
    pub async fn open(address: &str) -> anyhow::Result<Self> {
        let asked = timeout(PATIENCE, ask(address)).await;
        let lines = asked.context("it does not answer").flatten();
        let lines = lines.with_context(|| {
            let address = clean(address);
            format!("cannot follow the agent at {address}: is `capwatch run` running there?")
        })?;
        Ok(Self {
            lines,
            address: address.to_owned(),
        })
    }

    /// The next event, which may be waited for beside others; none once the agent ends.
    ///
    /// # Errors
    /// When the connection breaks, or an event is none that this version knows.
    pub async fn next(&mut self) -> anyhow::Result<Option<Event>> {
        while let Some(line) = self.lines.next_line().await? {
            if let Some(json) = line.strip_prefix("data: ") {
                let event = serde_json::from_str(json);
                let event = event.context(
                    "the agent runs another version of capwatch: use \
                    `watch` of that version",
                )?;
                return Ok(Some(event));
            }
        }
        Ok(None)
    }
}

async fn ask(address: &str) -> anyhow::Result<Lines<BufReader<Box<dyn AsyncRead + Unpin>>>> {
    // HTTP/1.0, so the answer comes without chunks; in one piece.
    let request = |host: &str| format!("GET /api/v1/events HTTP/1.0\r\nHost: {host}\r\n\r\n");
    let stream: Box<dyn AsyncRead + Unpin> = if let Some(path) = address.strip_prefix(UNIX) {
        let mut stream = UnixStream::connect(path).await?;
        stream.write_all(request("localhost").as_bytes()).await?;
        Box::new(stream)
    } else {
        let first = lookup_host(address).await?.next();
        let first = reachable(first.context("it is not an address")?);
        let mut stream = TcpStream::connect(first).await?;
        stream
            .write_all(request(&first.to_string()).as_bytes())
            .await?;
        Box::new(stream)
    };
    let mut lines = BufReader::new(stream).lines();
    let status = lines.next_line().await?.unwrap_or_default();
    match status.split(' ').nth(1) {
        Some("200") => {}
        Some("401") => bail!("it requires a password"),
        _ => bail!("it answered {:?}", clean(&status)),
    }
    let mut is_feed = false;
    while let Some(line) = lines.next_line().await?.filter(|line| !line.is_empty()) {
        is_feed |= line.to_ascii_lowercase().contains("text/event-stream");
    }
    if !is_feed {
        bail!("the server there is not a capwatch agent");
    }
    Ok(lines)
}

/// Who listens on every address is asked on the loopback's.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncReadExt as _, net::TcpListener};

    use super::*;

    async fn answered(answer: &'static str) -> anyhow::Result<Feed> {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 512];
            let length = stream.read(&mut request).await.unwrap();
            assert!(request[..length].ends_with(b"\r\n\r\n"));
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        Feed::open(&address).await
    }

    #[tokio::test]
    async fn events_come_until_the_agent_ends() {
        let mut feed = answered(
            "HTTP/1.0 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n\
             retry: 3000\n\n:\n\nevent: loss\ndata: {\"schema\":\"capwatch.event/1\",\
             \"time\":\"2026-11-27T12:00:00Z\",\"kind\":\"loss\",\"stage\":\"output\",\
             \"reason\":\"client_behind\",\"count\":3}\n\n",
        )
        .await
        .unwrap();
        let event = feed.next().await.unwrap().unwrap();
        assert!(event.time.is_known());
        assert!(feed.next().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn what_is_no_agent_is_said() {
        for (answer, word) in [
            ("HTTP/1.0 404 Not Found\r\n\r\n", "404"),
            ("HTTP/1.0 401 Unauthorized\r\n\r\n", "password"),
            ("HTTP/1.0 200 OK\r\n\r\n{}", "not a capwatch agent"),
            ("SSH-2.0\u{1b}[31m\r\n", "it answered"),
        ] {
            let error = format!("{:#}", answered(answer).await.err().unwrap());
            assert!(error.contains(word) && !error.contains('\u{1b}'), "{error}");
        }
        let error = format!("{:#}", Feed::open("127.0.0.1:1").await.err().unwrap());
        assert!(error.contains("capwatch run"), "{error}");
    }
}
