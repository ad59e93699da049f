//! `run`: metrics, health and the page, over a plain socket.

use std::{
    io::{BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::process::CommandExt as _,
    process::{Command, Stdio},
};

use testbed::checks::suite::Stage;

use crate::{Guard, until};

/// An address that nobody listens on.
pub fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("no port");
    listener.local_addr().expect("no address").to_string()
}

/// Status and body of a GET; `None` while nobody listens.
pub fn get(address: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

pub fn serve(stage: &Stage, addresses: &[&str]) -> Guard {
    let mut command = stage.capwatch();
    command.args(["run", "--config", "config.toml"]);
    for address in addresses {
        command.args(["--web.listen-address", address]);
    }
    let agent = Guard::start(command.stdout(Stdio::null()));
    for address in addresses {
        until("the agent to be ready", || {
            get(address, "/-/ready").is_some_and(|(status, _)| status == 200)
        });
    }
    agent
}

/// The value of the first sample of this name with all of these labels.
pub fn sample(metrics: &str, name: &str, labels: &[&str]) -> Option<f64> {
    samples(metrics, name, labels).next()
}

/// The values of all samples of this name with all of these labels.
pub fn samples(metrics: &str, name: &str, labels: &[&str]) -> impl Iterator<Item = f64> {
    let samples = metrics.lines().filter(move |line| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(['{', ' ']))
    });
    let matching = samples.filter(move |line| labels.iter().all(|label| line.contains(label)));
    matching.filter_map(|line| line.rsplit(' ').next()?.parse().ok())
}

pub fn testsup(stage: &Stage, steps: &str) {
    let mut command = Command::new(stage.path("testbed"));
    command
        .args(["do", "drop", "except:chown", "exec"])
        .arg(stage.path("testsup"));
    command.arg("do").args(steps.split_whitespace());
    command.status().expect("cannot run");
}

#[test]
fn a_failed_drop_becomes_a_metric() {
    let Some((stage, _turn)) = crate::stage("metrics") else {
        return;
    };
    let address = free_address();
    let mut agent = serve(stage, &[&address]);
    testsup(stage, "fork clear");
    testsup(stage, "fork drop chown exec true");
    let mut metrics = String::new();
    let own = "supervisor=\"testsup\"";
    let setpcap = [
        own,
        "capability=\"setpcap\"",
        "layer=\"commoncap\"",
        "role=\"supervisor\"",
    ];
    let episodes = |metrics: &str, verdict: &str| {
        let labels = [
            "supervisor=\"testsup\"",
            "role=\"supervisor\"",
            "layer=\"commoncap\"",
            &format!("verdict=\"{verdict}\""),
        ];
        // Of all versions: a supervisor that ends at once has none.
        samples(metrics, "capwatch_bounding_drop_episodes_total", &labels).sum::<f64>()
    };
    until("the episodes in the metrics", || {
        metrics = get(&address, "/metrics").expect("no metrics").1;
        // Denials are read from the kernel four times a second at most.
        let denials = sample(&metrics, "capwatch_denials_total", &setpcap);
        let seen = ["fatal", "degraded"].map(|verdict| episodes(&metrics, verdict) > 0.0);
        seen == [true, true] && denials == Some(2.0)
    });
    let drops = |result: &str| {
        let result = format!("result=\"{result}\"");
        sample(&metrics, "capwatch_bounding_drops_total", &[own, &result])
    };
    assert_eq!(drops("refused_raised"), Some(2.0));
    assert_eq!(drops("dropped"), Some(0.0));
    assert_eq!(
        sample(&metrics, "capwatch_denials_total", &setpcap),
        Some(2.0)
    );
    let failed = sample(
        &metrics,
        "capwatch_last_failed_drop_timestamp_seconds",
        &[own],
    );
    assert!(failed > Some(1e9), "{failed:?}");
    let hooks = ["hook=\"", "mechanism=\""];
    assert!(sample(&metrics, "capwatch_hook_attached", &hooks).is_some());
    assert_eq!(sample(&metrics, "capwatch_build_info", &[]), Some(1.0));
    assert!(sample(&metrics, "process_resident_memory_bytes", &[]).is_some());
    assert!(!metrics.contains("pid=\"") || metrics.contains("supervisor_info"));

    agent.signal(libc::SIGTERM);
    assert_eq!(agent.code(), Some(0));
}

#[test]
fn every_address_answers_health_and_page() {
    let Some((stage, _turn)) = crate::stage("addresses") else {
        return;
    };
    let addresses = [free_address(), free_address()];
    let mut agent = serve(stage, &[&addresses[0], &addresses[1]]);
    for address in &addresses {
        for path in ["/", "/metrics", "/-/healthy", "/-/ready"] {
            let (status, body) = get(address, path).expect("no answer");
            assert_eq!(status, 200, "{path}: {body}");
            assert!(!body.is_empty(), "{path} is empty");
        }
        let (status, _) = get(address, "/no-such-page").expect("no answer");
        assert_eq!(status, 404);
    }
    agent.signal(libc::SIGINT);
    assert_eq!(agent.code(), Some(0));
}

#[test]
fn without_any_hook_it_serves_and_says_so() {
    let Some((_stage, _turn)) = crate::stage("run as nobody") else {
        return;
    };
    let directory = crate::for_everyone();
    let address = free_address();
    let mut command = Command::new(directory.path().join("capwatch"));
    command
        .args(["run", "--web.listen-address", &address])
        .uid(65534)
        .gid(65534)
        .current_dir("/");
    let mut agent = Guard::start(command.stdout(Stdio::null()).stderr(Stdio::piped()));
    let mut metrics = String::new();
    until("the metrics", || {
        metrics = get(&address, "/metrics").map_or_else(String::new, |(_, body)| body);
        !metrics.is_empty()
    });
    let attached = sample(&metrics, "capwatch_hook_attached", &[]);
    assert_eq!(attached, Some(0.0), "{metrics}");
    agent.signal(libc::SIGTERM);
    assert_eq!(agent.code(), Some(0));
    let mut said = String::new();
    let stderr = agent.0.stderr.take().expect("a pipe");
    BufReader::new(stderr)
        .read_to_string(&mut said)
        .expect("no text");
    assert!(said.contains("CAP_BPF") && said.contains("root"), "{said}");
}
