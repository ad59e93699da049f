//! The command line as it is typed. What it means is resolved by the commands.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use super::{
    attach::Attach,
    form::DiagnosisForm,
    probe::{Probe, StepsTrial, Trial},
    version,
};
use crate::{
    finding::{FailOn, RoleFilter, Scope},
    outputs::{color::Color, report::Form},
    sandbox,
    sources::{audit::AuditSource, bpf::pins},
};

/// How `record` ends, for its help and the man page.
const RECORD_EXITS: &str = "\
Exit status: the command's own; 3 when --fail-on matched (failed_on in the report says \
what); 126 when the command cannot be executed, 127 when it is not found, 128+N when \
signal N killed it; 1 when capwatch itself failed, 2 for wrong arguments.";

const WATCH_FOLLOWS: &str = "\
If an agent runs with --pin and serves without TLS or passwords, watch shows what that agent \
sees. --own, --config, --hooks, --bpf-object or --audit-source attach separate programs instead.";

const INSTALL_COMPLETIONS: &str = "\
Install them where the shell looks for them: /usr/share/bash-completion/completions/capwatch, \
/usr/share/zsh/site-functions/_capwatch, /usr/share/fish/vendor_completions.d/capwatch.fish.";

const INSTALL_MAN: &str = "\
Install the pages in /usr/share/man/man1 as capwatch.1, capwatch-record.1 and so on. To read \
one without installing it: capwatch man record | man -l -";

/// Where metrics and the page are served by default.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:11400";

/// Where the packaged unit keeps its state.
const DEFAULT_STATE: &str = "/var/lib/capwatch";

/// Explains capability denials: which layer said no, whether it mattered, and whether the process carried on.
#[derive(Debug, Parser)]
#[command(name = "capwatch", version, long_version = version::long(), about, max_term_width = 100)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub task: Task,
}

/// The command line's description, for help, man page and completions.
pub fn command() -> clap::Command {
    Cli::command()
}

/// The same as people use it: without the commands that capwatch runs itself, and
/// with the names that `--supervisor` knows.
pub fn public_command(supervisors: &[String]) -> clap::Command {
    let all = command();
    let shown = all.get_subcommands().filter(|sub| !sub.is_hide_set());
    let shown = shown.cloned().map(|sub| {
        if !sub.get_arguments().any(|arg| arg.get_id() == "supervisor") {
            return sub;
        }
        let names = supervisors.iter().cloned().chain(["none".to_owned()]);
        let names = clap::builder::PossibleValuesParser::new(names);
        sub.mut_arg("supervisor", |arg| arg.value_parser(names))
    });
    let mut public = clap::Command::new("capwatch")
        .args(all.get_arguments().cloned())
        .subcommands(shown)
        .max_term_width(100);
    if let Some(about) = all.get_about() {
        public = public.about(about.clone());
    }
    public.version(env!("CARGO_PKG_VERSION"))
}

/// What holds for every command.
#[derive(Debug, Args)]
pub struct Global {
    /// Read this TOML configuration: rules for supervisors, which add to the built-in
    /// catalogue, and options of `run`
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// More logging on stderr (-vv, -vvv for more)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Log only errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Colour the output; `NO_COLOR` turns auto off
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
}

/// The command.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Run the agent: watch the host, serve metrics and a status page
    Run(Run),
    /// Show denials and episodes as they happen
    Watch(Watch),
    /// Run a command, follow its whole process tree, and print a report
    Record(Record),
    /// Make a report from an audit log or a recorded stream
    Replay(Replay),
    /// Check what capwatch can see on this host (triggers harmless test denials)
    Doctor(Doctor),
    /// Try what supervisors do (fork, clear the bounding set, exec), with and without SETPCAP
    Probe(Probe),
    /// One trial of `probe`
    #[command(hide = true)]
    ProbeTrial(Trial),
    /// The steps of `probe` under one condition
    #[command(hide = true)]
    ProbeSteps(StepsTrial),
    /// Remove what agents left with --pin and --state, and check that it is gone
    Unload(Unload),
    /// Explain an error message: its program, causes, a check for each, and the fix
    Explain(Explain),
    /// Print a bug report in Markdown, without names, addresses or command lines
    Report(Report),
    /// Check a configuration, or print the built-in one
    #[command(subcommand)]
    Config(Config),
    /// Print completions for a shell
    #[command(after_help = INSTALL_COMPLETIONS)]
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Print a man page
    #[command(after_help = INSTALL_MAN)]
    Man {
        /// Of this command, such as `record` [default: an overview]
        command: Option<String>,
    },
}

/// Where audit records come from.
#[derive(Debug, Args)]
pub struct Audit {
    /// Read audit records from this source: netlink, kmsg, log:FILE (auditd's log,
    /// followed through rotation), pipe:FILE (any form, including journald's export
    /// and JSON), or - for stdin. May be repeated; a record from several sources
    /// counts once [default: netlink, else kmsg]
    #[arg(long = "audit-source", value_name = "SOURCE")]
    pub audit: Vec<AuditSource>,
}

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
    /// The form of the output
    #[arg(short, long, value_enum, default_value_t)]
    pub output: LineForm,
    /// Show only denials
    #[arg(long)]
    pub denials: bool,
    /// Show only episodes
    #[arg(long, conflicts_with = "denials")]
    pub episodes: bool,
    /// Show only this supervisor and its workloads; "none" is what no rule matches
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
    /// Show what the agent at HOST:PORT or unix:PATH sees; needs no privilege
    #[arg(long, value_name = "ADDR", conflicts_with = "own")]
    pub web: Option<String>,
    /// Attach programs even if an agent runs that could be followed
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

/// `capwatch record`
#[derive(Debug, Args)]
#[command(after_help = RECORD_EXITS)]
pub struct Record {
    /// How to attach.
    #[command(flatten)]
    pub attach: Attach,
    /// Where audit records come from.
    #[command(flatten)]
    pub audit: Audit,
    /// Exit with 3 if one of these is found: fatal, degraded, pending, denied, or blind
    /// (something was missed that could hide a finding)
    #[arg(long, value_name = "WHAT", value_delimiter = ',', value_enum)]
    pub fail_on: Vec<FailOn>,
    /// Apply --fail-on to this role only
    #[arg(long, value_enum, value_name = "ROLE")]
    pub role: Option<RoleFilter>,
    /// Choose whose findings the report and --fail-on include
    #[arg(long, value_enum, default_value = "beside", value_name = "SCOPE")]
    pub scope: Scope,
    /// After the command exits, follow what still runs of its tree, and of what was
    /// started beside it, for up to this long (such as 500ms, 10s, 2m)
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub wait: Option<Duration>,
    /// Run the command as this user, with its groups and home
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Write the report to this file instead of stderr; `-` is stdout
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Write what was seen to this file as JSON lines, from which `replay` makes the same
    /// report
    #[arg(long, value_name = "FILE")]
    pub stream: Option<PathBuf>,
    /// The form of the report
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Form,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true)]
    pub command: Vec<OsString>,
}

/// A length of time as it is typed: a number and its unit.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let milliseconds: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return Err("give a number and ms, s, m or h, such as 10s".to_owned()),
    };
    let number: Option<u64> = number.parse().ok();
    let length = number.and_then(|number| number.checked_mul(milliseconds));
    let length = length.filter(|length| *length <= MAX_WAIT_MS);
    let length = length.ok_or_else(|| "give at most a day, such as 10s".to_owned())?;
    Ok(Duration::from_millis(length))
}

/// The longest wait that is taken, a day.
const MAX_WAIT_MS: u64 = 86_400_000;

/// `capwatch replay`
#[derive(Debug, Args)]
pub struct Replay {
    /// Print one JSON object for each record instead of a report
    #[arg(long)]
    pub records: bool,
    /// With --records: also print objects for lines without a record
    #[arg(long, requires = "records")]
    pub all: bool,
    /// Exit with 0 even if nothing was understood, and read files that are no log
    #[arg(long)]
    pub lenient: bool,
    /// Exit with 3 if one of these is found: fatal, degraded, pending, denied, or blind
    /// (something was missed that could hide a finding)
    #[arg(long, value_name = "WHAT", value_delimiter = ',', value_enum)]
    pub fail_on: Vec<FailOn>,
    /// Apply --fail-on to this role only
    #[arg(long, value_enum, value_name = "ROLE")]
    pub role: Option<RoleFilter>,
    /// Serve the status page over a recorded stream here, HOST:PORT or unix:PATH, until
    /// a signal ends it
    #[arg(long, value_name = "ADDR", conflicts_with_all = ["records", "fail_on", "output"])]
    pub serve: Option<String>,
    /// The form of the report
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Form,
    /// The log or stream, plain or compressed with gzip or zstd; `-` is stdin
    pub file: PathBuf,
}

/// `capwatch unload`
#[derive(Debug, Args)]
pub struct Unload {
    /// Remove maps, programs and links in this folder
    #[arg(long, value_name = "DIR", default_value = pins::DEFAULT)]
    pub pin: PathBuf,
    /// Remove the counters kept in this folder; other files stay
    #[arg(long, value_name = "DIR", default_value = DEFAULT_STATE)]
    pub state: PathBuf,
}

/// `capwatch doctor`
#[derive(Debug, Args)]
pub struct Doctor {
    /// How to attach.
    #[command(flatten)]
    pub attach: Attach,
    /// Check what is pinned in this folder
    #[arg(long, value_name = "DIR", default_value = pins::DEFAULT)]
    pub pin: PathBuf,
    /// The form of the diagnosis
    #[arg(short, long, value_enum, default_value_t)]
    pub output: DiagnosisForm,
}

/// `capwatch config`
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Check a configuration: this file, else the one given with --config
    Check {
        /// The configuration, in TOML
        file: Option<PathBuf>,
    },
    /// Print every option of `run` as a commented key, and the built-in catalogue
    Default,
    /// Print rules for programs that dropped capabilities and have no rule
    Suggest {
        /// A report (`record -o json --report`), a stream (`--stream`, `--events`), or
        /// an agent's `/api/v1/report`; `-` is stdin
        #[arg(default_value = "-")]
        file: PathBuf,
    },
}

/// `capwatch explain`
#[derive(Debug, Args)]
pub struct Explain {
    /// The error message as printed, or an audit record; `-` reads it from stdin
    #[arg(required = true, value_name = "TEXT")]
    pub text: Vec<String>,
    /// The form of the output
    #[arg(short, long, value_enum, default_value_t)]
    pub output: DiagnosisForm,
}

/// `capwatch report`
#[derive(Debug, Args)]
pub struct Report {
    /// Show the episode with this ID [default: the worst one the agent has]
    #[arg(long, value_name = "ID", conflicts_with = "pid")]
    pub episode: Option<String>,
    /// Show this process and its findings [default: capwatch itself]
    #[arg(long, value_name = "PID")]
    pub pid: Option<u32>,
    /// Connect to the agent at this address; without an agent the report has no finding
    #[arg(long, value_name = "ADDR", default_value = DEFAULT_ADDRESS)]
    pub web: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_units_and_an_end() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("2m"), Ok(Duration::from_mins(2)));
        for wrong in [
            "",
            "10",
            "s",
            "-1s",
            "1.5s",
            "25h",
            "99999999999999999999s",
            "5 s",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
