//! The HTTP server over a recording, spoken to byte by byte.

mod answers;
mod feed;
mod probes;
#[path = "../recorded/mod.rs"]
mod recorded;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use observer::{
    commands::Recording,
    finding::{Event, Report, SourceReport},
    outputs::web::{self, Options, Status, Supervisor, Tally, TimedEpisode, View},
    sandbox,
    time::Stamp,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{broadcast, oneshot},
    task::JoinHandle,
    time::timeout,
};

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
