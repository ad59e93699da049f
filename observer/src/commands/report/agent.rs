//! What a running agent knows, asked for over its HTTP interface.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream, ToSocketAddrs as _},
    time::Duration,
};

use anyhow::{Context as _, bail};

use crate::finding::Report;

/// How long an agent may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest answer that is read.
const LARGEST: u64 = 64 * 1024 * 1024;

/// The agent's report.
///
/// # Errors
/// When nobody answers there, or what answers is no agent.
pub fn report(address: &str) -> anyhow::Result<Report> {
    let asked =
        || format!("cannot connect to the agent at {address}: is `capwatch run` running there?");
    let body = get(address, "/api/v1/report").with_context(asked)?;
    serde_json::from_slice(&body)
        .with_context(|| format!("the server at {address} is not a capwatch agent of this version"))
}

/// HTTP/1.0, so the answer is neither chunked nor kept open.
fn get(address: &str, path: &str) -> anyhow::Result<Vec<u8>> {
    let resolved: Vec<SocketAddr> = address.to_socket_addrs()?.collect();
    let Some(first) = resolved.first() else {
        bail!("{address} is not an address; give HOST:PORT or unix:PATH");
    };
    let mut stream = TcpStream::connect_timeout(first, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // In one piece: who answers after the first of several breaks the connection.
    let request = format!("GET {path} HTTP/1.0\r\nHost: {first}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LARGEST).read_to_end(&mut answer)?;
    let end = memchr::memmem::find(&answer, b"\r\n\r\n").context("no HTTP answer")?;
    let head = String::from_utf8_lossy(answer.get(..end).unwrap_or_default()).into_owned();
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        bail!("it answered {status:?}");
    }
    Ok(answer.split_off(end + 4))
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    fn answered(answer: &'static str) -> anyhow::Result<Report> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 512];
            let _ = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let report = report(&address);
        server.join().unwrap();
        report
    }

    #[test]
    fn what_is_no_agent_is_said() {
        for (answer, word) in [
            ("HTTP/1.0 404 Not Found\r\n\r\n", "404"),
            ("HTTP/1.0 200 OK\r\n\r\n{}", "not a capwatch agent"),
            ("SSH-2.0\r\n", "no HTTP answer"),
        ] {
            let error = format!("{:#}", answered(answer).unwrap_err());
            assert!(error.contains(word), "{error}");
        }
        let error = format!("{:#}", report("127.0.0.1:1").unwrap_err());
        assert!(error.contains("capwatch run"), "{error}");
    }
}
