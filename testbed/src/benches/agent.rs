//! A running `capwatch run`, and what its page for Prometheus says.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::metrics;

const READY: Duration = Duration::from_mins(2);

/// The agent; it ends with its owner.
pub struct Agent {
    child: Child,
    address: SocketAddr,
}

impl Agent {
    /// Starts the agent and waits until it says that it is ready.
    ///
    /// # Errors
    /// When it ends, or is never ready.
    pub fn start(capwatch: &Path, arguments: &[String]) -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .context("no free port")?;
        let child = Command::new(capwatch)
            .args(["run", "--quiet", "--web.listen-address"])
            .arg(address.to_string())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot run {}", capwatch.display()))?;
        let mut agent = Self { child, address };
        let begin = Instant::now();
        while agent.get("/-/ready").is_err() {
            if let Some(status) = agent.child.try_wait()? {
                bail!("capwatch ended: {status}");
            }
            ensure!(
                begin.elapsed() < READY,
                "capwatch isn't ready after {READY:?}"
            );
            thread::sleep(Duration::from_millis(1));
        }
        let attached = metrics::sum(&agent.get("/metrics")?, "capwatch_hook_attached", &[]);
        ensure!(
            attached > 0.0,
            "capwatch has attached nothing: see `capwatch doctor`"
        );
        Ok(agent)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The body of a page.
    ///
    /// # Errors
    /// When the answer isn't 200.
    pub fn get(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(self.address)?;
        let host = self.address;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )?;
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        ensure!(line.starts_with("HTTP/1.1 200 "), "{path}: {}", line.trim());
        let mut text = String::new();
        reader.read_to_string(&mut text)?;
        let (_, body) = text
            .split_once("\r\n\r\n")
            .context("an answer without a body")?;
        Ok(body.to_owned())
    }

    /// Its processor time so far, and its resident memory in KiB.
    ///
    /// # Errors
    /// When /proc doesn't show it.
    pub fn usage(&self) -> Result<Usage> {
        usage(self.pid())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may be gone already, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a process took.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Processor time, user and system.
    pub cpu: Duration,
    /// Resident memory now, KiB.
    pub resident: u64,
    /// The most it ever was, KiB.
    pub peak: u64,
}

/// What a process took so far.
///
/// # Errors
/// When /proc doesn't show it.
pub fn usage(pid: u32) -> Result<Usage> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name before it may hold anything, a parenthesis too.
    let (_, fields) = stat
        .rsplit_once(") ")
        .context("/proc/PID/stat without a name")?;
    let fields: Vec<_> = fields.split(' ').collect();
    let ticks = |index: usize| {
        fields
            .get(index)
            .and_then(|field| field.parse::<u64>().ok())
    };
    let (user, system) = (
        ticks(11).context("no utime")?,
        ticks(12).context("no stime")?,
    );
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim_matches([':', '\t', ' ', 'k', 'B']).parse().ok())
    };
    Ok(Usage {
        // USER_HZ is 100 on every architecture here.
        cpu: Duration::from_millis((user + system) * 10),
        resident: kib("VmRSS").unwrap_or(0),
        peak: kib("VmHWM").unwrap_or(0),
    })
}
