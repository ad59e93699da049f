//! Liveness and readiness, as a service manager's probes see them.

use std::{sync::atomic::Ordering, time::Duration};

use observer::outputs::web::Options;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};

use crate::{body, json, server, server_with, status_of};

#[tokio::test]
async fn readiness_is_shown_with_its_reason() {
    let server = server().await;
    server.view.ready.store(false, Ordering::Relaxed);
    let answer = server.get("/-/ready").await;
    assert_eq!(status_of(&answer), 503);
    assert_eq!(body(&answer), "capwatch is not ready: attaching hooks\n");
    assert_eq!(status_of(&server.get("/-/healthy").await), 200);
    assert_eq!(
        json(&server.get("/api/v1/status").await)["agent"]["level"],
        "starting"
    );
}

#[tokio::test]
async fn readiness_names_the_hooks_that_are_missing() {
    let server = server().await;
    server.view.misses_a_hook.store(true, Ordering::Relaxed);
    let answer = server.get("/-/ready").await;
    assert_eq!(status_of(&answer), 503);
    assert!(
        body(&answer).contains("not attached: aa_capable (no BTF)"),
        "{answer}"
    );
    let lenient = Options {
        ready_without_hooks: true,
        ..Options::default()
    };
    let lenient = server_with(lenient).await;
    lenient.view.misses_a_hook.store(true, Ordering::Relaxed);
    let answer = lenient.get("/-/ready").await;
    assert_eq!(status_of(&answer), 200);
    assert!(body(&answer).contains("aa_capable (no BTF)"), "{answer}");
}

/// A liveness probe that gets no answer restarts the agent in a loop.
#[tokio::test]
async fn idle_and_slow_connections_keep_no_probe_out() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit {
        current: limit.maximum,
        ..limit
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
    let server = server().await;
    let mut held = Vec::new();
    for number in 0..2_200 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        if number % 11 == 0 {
            let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nHo").await;
        }
        held.push(stream);
    }
    let mut slowest = Duration::ZERO;
    for path in ["/-/healthy", "/-/ready", "/metrics", "/api/v1/status"].repeat(5) {
        let began = std::time::Instant::now();
        let answer = timeout(Duration::from_secs(2), server.get(path)).await;
        assert_eq!(
            status_of(&answer.expect("an answer in time")),
            200,
            "{path}"
        );
        slowest = slowest.max(began.elapsed());
    }
    assert!(slowest < Duration::from_millis(500), "{slowest:?}");
    drop(held);
}
