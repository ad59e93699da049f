//! What `run` and `watch` take.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Audit, DEFAULT_ADDRESS, WATCH_FOLLOWS};
use crate::{commands::attach::Attach, sandbox, sources::bpf::pins};

/// Where the packaged unit keeps its state.
pub(super) const DEFAULT_STATE: &str = "/var/lib/capwatch";

/// `capwatch run`
#[derive(Debug, Args)]
pub struct Run {
    /// How to attach.
    #[command(flatten)]
    pub attach: Attach,
    /// Where audit records come from.
    #[command(flatten)]
    pub audit: Audit,
    /// Serve metrics and the page on HOST:PORT or unix:PATH; may be repeated
    #[arg(
        long = "web.listen-address",
        value_name = "ADDR",
        default_value = DEFAULT_ADDRESS
    )]
    pub listen: Vec<String>,
    /// Read TLS settings and passwords from this file, in the format of Prometheus
    /// exporters; changes to it, or to a certificate, apply within seconds
    #[arg(long = "web.config.file", value_name = "FILE")]
    pub web_config: Option<PathBuf>,
    /// Serve /-/healthy and /-/ready without a password
    #[arg(long = "web.open-probes")]
    pub open_probes: bool,
    /// Serve on the sockets that systemd passes, and on --web.listen-address only if it
    /// is given
    #[arg(long = "web.systemd-socket")]
    pub systemd_socket: bool,
    /// Accept requests for this host name too, besides IP addresses, localhost and the
    /// host's own name; may be repeated
    #[arg(long = "web.host", value_name = "NAME")]
    pub hosts: Vec<String>,
    /// Append findings to this file as JSON lines, which `replay` reads; `-` is stdout
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
    /// Answer /-/ready with 200 even without these; the answer names what is missing
    /// either way
    #[arg(long, value_name = "WHAT", value_delimiter = ',', value_enum)]
    pub ready_without: Vec<ReadyWithout>,
    /// Write the log, including alarms, in this format with date and level
    #[arg(long, value_enum, value_name = "FORM")]
    pub log_format: Option<LogFormat>,
    /// Restrict the agent once it is attached: drop unneeded capabilities, and forbid other
    /// programs, new sockets, and writes except to its own files
    #[arg(long, value_enum, default_value_t, value_name = "MODE")]
    pub sandbox: sandbox::Mode,
    /// Maximum series per metric; the rest are counted as "overflow"
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    pub max_series: usize,
    /// Pin maps and programs in this folder of a bpf file system: they keep counting
    /// while no agent runs, and the next agent takes them over
    #[arg(long, value_name = "DIR")]
    pub pin: Option<PathBuf>,
    /// Attach, pin and exit: the kernel counts and keeps findings for the agent that
    /// starts later (needs --pin)
    #[arg(long)]
    pub attach_only: bool,
    /// Keep counters in this folder across restarts, until the next boot
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
}

/// What readiness may do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReadyWithout {
    /// Hooks that could not be attached
    Hooks,
}

/// The form of the agent's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line of text
    Text,
    /// A JSON object
    Json,
}

/// `capwatch watch`
#[derive(Debug, Args)]
#[command(after_help = WATCH_FOLLOWS)]
pub struct Watch {
    /// How to attach.
    #[command(flatten)]
    pub attach: Attach,
    /// Where audit records come from.
    #[command(flatten)]
    pub audit: Audit,
    /// Choose the form of the output
    #[arg(short, long, value_enum, default_value_t)]
    pub output: LineForm,
    /// Show only denials
    #[arg(long)]
    pub denials: bool,
    /// Show only episodes
    #[arg(long, conflicts_with = "denials")]
    pub episodes: bool,
    /// Show only this supervisor and its workloads; "none" shows processes without a rule
    #[arg(long, value_name = "NAME")]
    pub supervisor: Option<String>,
    /// Show only episodes with one of these verdicts; `denied` adds denials
    #[arg(long, value_name = "VERDICT", value_delimiter = ',', value_enum)]
    pub verdict: Vec<Shown>,
    /// Show only this capability, with or without `CAP_`: its denials, and episodes that
    /// could not drop it
    #[arg(long, value_name = "CAP")]
    pub capability: Option<String>,
    /// Show only this container or unit, by its name or the start of its ID
    #[arg(long, value_name = "NAME")]
    pub container: Option<String>,
    /// Follow the agent at HOST:PORT or unix:PATH; needs no privilege
    #[arg(long, value_name = "ADDR", conflicts_with = "own")]
    pub web: Option<String>,
    /// Attach separate programs instead of following a running agent
    #[arg(long)]
    pub own: bool,
    /// Look for the pins of a running agent in this folder
    #[arg(long, value_name = "DIR", default_value = pins::DEFAULT)]
    pub pin: PathBuf,
}

/// What `watch` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shown {
    /// Fatal episodes
    Fatal,
    /// Degraded episodes
    Degraded,
    /// Pending episodes
    Pending,
    /// Harmless episodes
    Harmless,
    /// Episodes without a problem
    Ok,
    /// Denials
    Denied,
}

/// The form of live output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LineForm {
    /// Columns
    #[default]
    Text,
    /// JSON lines
    Json,
}
