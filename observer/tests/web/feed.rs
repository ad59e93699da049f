//! The feed of events: live, in brief, and for a bounded number of clients.

use std::{sync::Arc, time::Duration};

use observer::{
    finding::{Event, EventKind, LossEvent, SupervisorEvent, Verdict},
    outputs::web::View,
    time::Stamp,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{server, status_of};

#[tokio::test]
async fn events_arrive_live_and_the_stop_ends_them() {
    let server = server().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream
        .write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        .await
        .unwrap();
    let mut received = Vec::new();
    until(&mut stream, &mut received, "retry: 3000").await;
    let event = Event::new(
        Stamp::now(),
        EventKind::Loss(LossEvent {
            stage: "ring".to_owned(),
            reason: "full".to_owned(),
            count: 7,
        }),
    );
    server.view.events.send(Arc::new(event)).unwrap();
    until(
        &mut stream,
        &mut received,
        "event: loss\ndata: {\"schema\":\"capwatch.event/1\"",
    )
    .await;
    until(&mut stream, &mut received, "\"count\":7}\n\n").await;

    server.stop.send(()).unwrap();
    let rest = timeout(Duration::from_secs(3), stream.read_to_end(&mut received)).await;
    assert!(rest.is_ok(), "the feed goes on after the stop");
    timeout(Duration::from_secs(3), server.task)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn the_brief_feed_has_what_alarms_and_counts_the_rest() {
    let server = server().await;
    for query in ["brief=x", "brief", "long=true"] {
        let answer = server.get(&format!("/api/v1/events?{query}")).await;
        assert_eq!(status_of(&answer), 400, "{query}");
    }
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = b"GET /api/v1/events?brief=true HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut received = Vec::new();
    until(&mut stream, &mut received, "retry: 3000").await;
    let publish = |kind: EventKind| {
        let event = Event::new(Stamp::now(), kind);
        server.view.events.send(Arc::new(event)).unwrap();
    };
    // Thirty sorts of events, and a fatal episode when there is no place left.
    for number in 0..30 {
        publish(EventKind::Supervisor(SupervisorEvent {
            supervisor: format!("supervisor-{number}"),
            ..SupervisorEvent::default()
        }));
    }
    let recorded = server.view.report();
    let mut episodes = recorded.episodes.into_iter();
    let fatal = episodes.find(|one| one.verdict == Verdict::Fatal).unwrap();
    publish(EventKind::Episode(fatal));
    // What nobody has to read: expected, asked without a record, memory accounting.
    let mut denials = recorded.denials.into_iter();
    let mut denial = denials.find(|one| one.expected).unwrap();
    denial.audited = "yes".to_owned();
    publish(EventKind::Denial(denial.clone()));
    (denial.expected, denial.audited) = (false, "no".to_owned());
    publish(EventKind::Denial(denial.clone()));
    (denial.number, denial.audited) = (21, "unknown".to_owned());
    publish(EventKind::Denial(denial));
    for count in [3, 4] {
        publish(EventKind::Loss(LossEvent {
            stage: "ring".to_owned(),
            reason: "full".to_owned(),
            count,
        }));
    }
    until(&mut stream, &mut received, "\"reason\":\"brief\"").await;
    let received = String::from_utf8(received).unwrap();
    assert!(received.contains("\"verdict\":\"fatal\""), "{received}");
    assert_eq!(
        received.matches("event: supervisor").count(),
        19,
        "{received}"
    );
    assert!(received.contains("\"reason\":\"brief\",\"count\":11}"));
    assert!(received.contains("\"reason\":\"full\",\"count\":7}"));
    assert!(!received.contains("event: denial"), "{received}");
}

#[tokio::test]
async fn clients_of_the_feed_are_bounded() {
    let server = server().await;
    let mut streams = Vec::new();
    for _ in 0..64 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let request = b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
        stream.write_all(request).await.unwrap();
        until(&mut stream, &mut Vec::new(), "retry: 3000").await;
        streams.push(stream);
    }
    let refused = server.get("/api/v1/events").await;
    assert_eq!(status_of(&refused), 503);
    assert!(refused.contains("too many clients"), "{refused}");
    assert_eq!(status_of(&server.get("/metrics").await), 200);
}

async fn until(stream: &mut TcpStream, received: &mut Vec<u8>, wanted: &str) {
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(received).contains(wanted) {
        let count = timeout(Duration::from_secs(5), stream.read(&mut buffer))
            .await
            .expect("the feed in time")
            .unwrap();
        assert_ne!(
            count,
            0,
            "the feed ended: {}",
            String::from_utf8_lossy(received)
        );
        received.extend_from_slice(&buffer[..count]);
    }
}
