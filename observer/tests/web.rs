//! The HTTP server over a recording, spoken to byte by byte.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use observer::commands::Recording;
use observer::finding::{
    Event, EventKind, LossEvent, Report, SourceReport, SupervisorEvent, Verdict,
};
use observer::outputs::web::{self, Options, Status, Supervisor, Tally, TimedEpisode, View};
use observer::sandbox;
use observer::time::Stamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{broadcast, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

mod recorded;

/// The one of the recording that a supervisor died of.
const FATAL: &str = "d5e0c63aed3-24615";
/// Which is shown as one of the many that have no separate name.
const STRANGER: &str = "_img_src_x_onerror_alert_1__";
const CAUSE: &str = "The log has unshare refused sys_admin: that is not the cause.";

/// The recording, with what the host that it is of could not show.
struct Fixed {
    recording: Recording,
    ready: AtomicBool,
    misses_a_hook: AtomicBool,
    events: broadcast::Sender<Arc<Event>>,
}

impl View for Fixed {
    fn report(&self) -> Report {
        self.recording.report()
    }

    fn episodes(&self) -> Vec<TimedEpisode> {
        let mut episodes = self.recording.episodes();
        let mut fatal = episodes.iter_mut();
        let fatal = fatal.find(|timed| timed.episode.id == FATAL).unwrap();
        fatal.episode.not_the_cause.push(CAUSE.to_owned());
        for timed in &mut episodes {
            let supervisor = &mut timed.episode.supervisor;
            *supervisor = supervisor.take().filter(|name| name != STRANGER);
        }
        episodes
    }

    fn tallies(&self) -> Vec<Tally> {
        let mut tallies = self.recording.tallies();
        let mut stranger = tallies.iter_mut();
        let stranger = stranger.find(|tally| tally.supervisor == STRANGER).unwrap();
        (stranger.inferred, stranger.supervisor) = (false, "none".to_owned());
        tallies
    }

    fn supervisors(&self) -> Vec<Supervisor> {
        self.recording.supervisors()
    }

    fn status(&self) -> Status {
        let mut status = self.recording.status();
        // As on the day of the recording.
        status.now = self.episodes().last().unwrap().time;
        status.started = Stamp(status.now.0 - 90_000_000_000);
        status.sources.push(SourceReport {
            name: "kmsg".to_owned(),
            reason: Some("auditd takes the records".to_owned()),
            up: false,
            records: 0,
            lost: 0,
            malformed: 0,
        });
        status.sandbox = sandbox();
        status.ready = self.ready.load(Ordering::Relaxed);
        if self.misses_a_hook.load(Ordering::Relaxed)
            && let Some(hook) = status.hooks.first_mut()
        {
            "aa_capable".clone_into(&mut hook.hook);
            (hook.attached, hook.needed) = (false, true);
            hook.reason = Some("no BTF".to_owned());
        }
        status.reason = (!status.ready).then(|| "attaching hooks".to_owned());
        status
    }

    fn metrics(&self) -> Result<String, String> {
        Ok("# TYPE capwatch_build_info gauge\ncapwatch_build_info 1\n".to_owned())
    }

    fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.events.subscribe()
    }
}

/// A sandbox without Landlock, as of a kernel before 5.13.
fn sandbox() -> sandbox::Report {
    let text = r#"{"mode":"auto","state":"partial","lapses":[{"part":"landlock","why":
        "the kernel lacks it, or lsm= does not list it","what":"files are not restricted","remedy":
        "boot with landlock in lsm="}]}"#;
    serde_json::from_str(text).expect("it is a sandbox")
}

struct Server {
    address: SocketAddr,
    view: Arc<Fixed>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

async fn server() -> Server {
    server_with(Options::default()).await
}

async fn server_with(options: Options) -> Server {
    let listeners = web::bind(&["127.0.0.1:0"]).await.unwrap();
    let address = listeners[0].local_addr().unwrap().tcp().unwrap();
    let view = Arc::new(Fixed {
        recording: recorded::page(),
        ready: AtomicBool::new(true),
        misses_a_hook: AtomicBool::new(false),
        events: broadcast::channel(64).0,
    });
    let (stop, stopped) = oneshot::channel();
    let shown: Arc<dyn View> = Arc::<Fixed>::clone(&view);
    let task = tokio::spawn(web::serve(listeners, shown, options, async {
        let _ = stopped.await;
    }));
    Server {
        address,
        view,
        stop,
        task,
    }
}

impl Server {
    async fn raw(&self, request: String) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        timeout(Duration::from_secs(10), stream.read_to_end(&mut answer))
            .await
            .expect("an answer in time")
            .unwrap();
        String::from_utf8(answer).unwrap()
    }

    async fn ask(&self, method: &str, path: &str, host: &str) -> String {
        self.raw(format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        ))
        .await
    }

    async fn get(&self, path: &str) -> String {
        self.ask("GET", path, "127.0.0.1").await
    }
}

fn status_of(answer: &str) -> u16 {
    answer[9..12].parse().unwrap()
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

fn json(answer: &str) -> serde_json::Value {
    serde_json::from_str(body(answer)).unwrap()
}

#[tokio::test]
async fn every_path_answers_with_the_headers_that_guard_it() {
    let server = server().await;
    for (path, code, kind) in [
        ("/", 200, "text/html; charset=utf-8"),
        (
            &format!("/episodes/{FATAL}"),
            200,
            "text/html; charset=utf-8",
        ),
        ("/episodes/none", 404, "text/html; charset=utf-8"),
        ("/assets/page.css", 200, "text/css; charset=utf-8"),
        ("/assets/page.js", 200, "text/javascript; charset=utf-8"),
        ("/assets/..%2Fmod.rs", 404, "application/json"),
        ("/docs/", 200, "text/html; charset=utf-8"),
        ("/docs/runbook", 200, "text/html; charset=utf-8"),
        ("/docs/..%2FREADME", 404, "text/html; charset=utf-8"),
        (
            "/docs/..%2F..%2Fetc%2Fpasswd",
            404,
            "text/html; charset=utf-8",
        ),
        ("/metrics", 200, "text/plain; version=0.0.4; charset=utf-8"),
        ("/-/healthy", 200, "text/plain; charset=utf-8"),
        ("/-/ready", 200, "text/plain; charset=utf-8"),
        ("/api/v1/status", 200, "application/json"),
        ("/api/v1/report", 200, "application/json"),
        ("/api/v1/episodes", 200, "application/json"),
        (
            &format!("/api/v1/episodes/{FATAL}"),
            200,
            "application/json",
        ),
        (
            "/api/v1/episodes/d5e0c63aed3-24616",
            404,
            "application/json",
        ),
        ("/api/v1/episodes?verdict=bad", 400, "application/json"),
        ("/api/v1/episodes?limit=-1", 400, "application/json"),
        ("/api/v1/denials", 200, "application/json"),
        ("/api/v1/supervisors", 200, "application/json"),
        ("/nothing", 404, "application/json"),
    ] {
        let answer = server.get(path).await;
        let head = answer.split_once("\r\n\r\n").unwrap().0.to_lowercase();
        assert_eq!(status_of(&answer), code, "{path}: {head}");
        assert!(
            head.contains(&format!("content-type: {kind}")),
            "{path}: {head}"
        );
        for header in [
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cache-control: no-",
        ] {
            assert!(head.contains(header), "{path} lacks {header}: {head}");
        }
        assert!(!head.contains("access-control"), "{path}: {head}");
    }
}

#[tokio::test]
async fn other_methods_and_foreign_names_are_refused() {
    let server = server().await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let answer = server.ask(method, "/api/v1/status", "127.0.0.1").await;
        assert_eq!(status_of(&answer), 405, "{method}");
        assert!(
            answer.to_lowercase().contains("\r\nallow: get, head\r\n"),
            "{answer}"
        );
    }
    let answer = server.ask("HEAD", "/metrics", "127.0.0.1").await;
    assert_eq!((status_of(&answer), body(&answer)), (200, ""));
    for path in ["/", "/metrics", "/api/v1/report", "/nothing"] {
        let answer = server
            .ask("GET", path, "rebound.attacker.example:11400")
            .await;
        assert_eq!(status_of(&answer), 421, "{path}");
        let answer = server.ask("GET", path, "localhost:11400").await;
        assert_ne!(status_of(&answer), 421, "{path}");
    }
    let absolute =
        "GET http://attacker.example/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    assert_eq!(status_of(&server.raw(absolute.to_owned()).await), 421);
    let without = "GET /-/healthy HTTP/1.0\r\n\r\n";
    assert_eq!(status_of(&server.raw(without.to_owned()).await), 200);
}

#[tokio::test]
async fn the_sandbox_is_shown_with_what_it_lacks() {
    let server = server().await;
    let answer = server.get("/api/v1/status").await;
    let status: serde_json::Value = serde_json::from_str(body(&answer)).unwrap();
    assert_eq!(status["sandbox"]["mode"], "auto");
    assert_eq!(status["sandbox"]["state"], "partial");
    assert_eq!(status["sandbox"]["lapses"][0]["part"], "landlock");
    let page = server.get("/").await;
    let sandbox = page.split_once("id=\"sandbox\">").unwrap().1;
    let sandbox = sandbox.split_once("</p>").unwrap().0;
    for word in ["partial", "landlock", "lsm= does not list it", "boot with"] {
        assert!(sandbox.contains(word), "{word}: {sandbox}");
    }
}

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
async fn lists_are_filtered_and_cut() {
    let server = server().await;
    let fatal = json(
        &server
            .get("/api/v1/episodes?verdict=fatal&supervisor=openshell&layer=commoncap")
            .await,
    );
    let episodes = fatal["episodes"].as_array().unwrap();
    assert!(!episodes.is_empty());
    assert!(
        episodes
            .iter()
            .all(|one| one["verdict"] == "fatal" && one["time"].is_string())
    );
    let last = json(&server.get("/api/v1/episodes?limit=2").await);
    assert_eq!(last["episodes"].as_array().unwrap().len(), 2);
    let ids = [0, 1].map(|index| last["episodes"][index]["id"].as_str().unwrap());
    assert_eq!(ids, [FATAL, "d5e1ee14fe3-24654"]);
    let none = json(&server.get("/api/v1/episodes?layer=none&limit=1").await);
    assert!(none["episodes"][0]["layer"].is_null());
    let denials = json(
        &server
            .get("/api/v1/denials?layer=commoncap&role=workload")
            .await,
    );
    assert!(
        denials["denials"]
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["reason"] == "not_effective")
    );

    let supervisors = json(&server.get("/api/v1/supervisors").await);
    let worst = &supervisors["groups"][0];
    assert_eq!(worst["supervisor"], "openshell");
    assert_eq!(worst["refused_by"][0]["layer"], "commoncap");
    assert_eq!(worst["last"]["id"], FATAL);
    let status = json(&server.get("/api/v1/status").await);
    assert_eq!(status["findings"]["level"], "fatal");
    assert_eq!(
        status["findings"]["title"],
        "openshell sha256:77b4c3956c13 exited after a refused drop"
    );
    let detail = status["findings"]["detail"].as_str().unwrap();
    for part in [
        "1 fatal, 2 degraded, 1 pending",
        "1 failure in workloads.",
        "1 failure in unknown processes.",
    ] {
        assert!(detail.contains(part), "{part}: {detail}");
    }
    let groups = supervisors["groups"].as_array().unwrap();
    let inferred = groups.iter().filter(|group| group["inferred"] == true);
    assert_eq!(inferred.count(), 2, "what no rule names");
    assert_eq!(groups.last().unwrap()["supervisor"], "none");
    assert_eq!(status["uptime_seconds"], 90.0);
}

#[tokio::test]
async fn the_page_holds_the_essentials_and_no_foreign_markup() {
    let server = server().await;
    server.view.misses_a_hook.store(true, Ordering::Relaxed);
    let page = server.get("/").await;
    for part in [
        "<title>capwatch on page.jsonl</title>",
        "<b><bdi>page.jsonl</bdi></b>",
        "href=\"/docs/runbook\"",
        "openshell sha256:77b4c3956c13 exited after a refused drop",
        "<code>aa_capable</code>",
        "auditd takes the records",
        &format!("href=\"/episodes/{FATAL}\""),
        "&lt;img src=x oner",
        "<rect class=\"fatal\"",
    ] {
        assert!(page.contains(part), "{part} is missing");
    }
    for markup in [
        "<img",
        "style=",
        "onerror=\"",
        " onclick",
        "javascript:",
        "\u{202e}",
        "\u{1b}",
        "http://",
        "https://",
    ] {
        assert!(!body(&page).contains(markup), "{markup} is in the page");
    }
    let episode = server.get(&format!("/episodes/{FATAL}")).await;
    // Who stood above it, and what was not the cause.
    for words in ["the kernel (commoncap) refused", "24607</bdi>", CAUSE] {
        assert!(episode.contains(words), "{words}: {episode}");
    }
    let itself = episode.matches("openshell-sandb 24615</bdi>").count();
    assert_eq!(itself, 1, "the process itself, once");
    let episode = server.get("/episodes/d5dfa660070-24606").await;
    assert!(episode.contains("&lt;img src=x oner 24605</bdi>"));
    assert!(!episode.contains("<img"), "a name of the chain is markup");
}

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
