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
Beside an agent that runs with --pin and serves without TLS or passwords, watch shows what \
that one sees, unless --own, --config, --hooks, --bpf-object or --audit-source ask for \
programs of its own.";

const INSTALL_COMPLETIONS: &str = "\
Install them where the shell looks: /usr/share/bash-completion/completions/capwatch, \
/usr/share/zsh/site-functions/_capwatch, /usr/share/fish/vendor_completions.d/capwatch.fish.";

const INSTALL_MAN: &str = "\
Install the pages in /usr/share/man/man1: capwatch.1, capwatch-record.1 and so on; without \
that, capwatch man record | man -l -";

/// Where metrics and the page are served by default.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:11400";

/// Where the packaged unit keeps its state.
const DEFAULT_STATE: &str = "/var/lib/capwatch";

/// Which layer refused a capability, was it harmful, and did the process go on?
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
    /// Configuration, in TOML: rules for supervisors, which add to the built-in
    /// catalogue, and options of `run`
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Say more on stderr; twice or three times for more still
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Say only errors on stderr
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// When to colour; `NO_COLOR` turns auto off
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
    /// Run a command with everything attached, follow its whole tree, print a report
    Record(Record),
    /// Read a log of the audit side, or a recorded stream, and report what it tells
    Replay(Replay),
    /// Say what this host can show, with a denial provoked on purpose and looked for
    Doctor(Doctor),
    /// Try what supervisors do, with and without SETPCAP: fork, clear the bounding set, exec
    Probe(Probe),
    /// One trial of `probe`
    #[command(hide = true)]
    ProbeTrial(Trial),
    /// The steps of `probe` under one condition
    #[command(hide = true)]
    ProbeSteps(StepsTrial),
    /// Remove what agents with --pin and --state left, and look whether any of it is left
    Unload(Unload),
    /// Explain an error message: who says it, what can be behind it, how to tell, what to do
    Explain(Explain),
    /// Print a block of Markdown for a bug report, with nothing secret in it
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
    /// Listen to this source of audit records: netlink, kmsg, log:FILE (auditd's
    /// log, followed through rotation), pipe:FILE (any form, journald's export and
    /// JSON too), or - for stdin; may be repeated, and a record that several tell
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
    /// Serve metrics and the page here, HOST:PORT or unix:PATH; may be repeated
    #[arg(
        long = "web.listen-address",
        value_name = "ADDR",
        default_value = DEFAULT_ADDRESS
    )]
    pub listen: Vec<String>,
    /// Read TLS and passwords from this file, in the form of Prometheus's exporters; a
    /// change of it, or of a certificate, holds within seconds
    #[arg(long = "web.config.file", value_name = "FILE")]
    pub web_config: Option<PathBuf>,
    /// Ask no password for /-/healthy and /-/ready
    #[arg(long = "web.open-probes")]
    pub open_probes: bool,
    /// Serve on the sockets that systemd passes, and besides only on a
    /// --web.listen-address that is given
    #[arg(long = "web.systemd-socket")]
    pub systemd_socket: bool,
    /// Answer to this host name too, besides addresses, localhost and the
    /// host's own name; may be repeated
    #[arg(long = "web.host", value_name = "NAME")]
    pub hosts: Vec<String>,
    /// Also append findings as JSON lines to this file, which `replay` reads;
    /// `-` is stdout
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
    /// Answer /-/ready with 200 even without these; it names what is missing
    /// either way
    #[arg(long, value_name = "WHAT", value_delimiter = ',', value_enum)]
    pub ready_without: Vec<ReadyWithout>,
    /// Write the log, alarms included, as lines with date and level in this form
    #[arg(long, value_enum, value_name = "FORM")]
    pub log_format: Option<LogFormat>,
    /// What the agent gives up once it is attached: capabilities that a thread does
    /// not need, other programs, the network, files to write but its own
    #[arg(long, value_enum, default_value_t, value_name = "MODE")]
    pub sandbox: sandbox::Mode,
    /// Series of each metric, beyond which findings count as "overflow"
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    pub max_series: usize,
    /// Pin maps and programs below this folder of a bpf file system: they go on
    /// counting while no agent runs, and the next one takes them over
    #[arg(long, value_name = "DIR")]
    pub pin: Option<PathBuf>,
    /// Attach, pin and end: what happens from then on is counted and kept for the
    /// agent that comes later (needs --pin)
    #[arg(long)]
    pub attach_only: bool,
    /// Keep counters in this folder over restarts, until the next boot
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
    /// Only denials
    #[arg(long)]
    pub denials: bool,
    /// Only episodes
    #[arg(long, conflicts_with = "denials")]
    pub episodes: bool,
    /// Only what this supervisor and its workloads do; "none" for what no rule matches
    #[arg(long, value_name = "NAME")]
    pub supervisor: Option<String>,
    /// Only episodes with one of these verdicts, and denials with `denied`
    #[arg(long, value_name = "VERDICT", value_delimiter = ',', value_enum)]
    pub verdict: Vec<Shown>,
    /// Only this capability, with or without `CAP_`: denials of it, and episodes that
    /// could not drop it
    #[arg(long, value_name = "CAP")]
    pub capability: Option<String>,
    /// Only this container or unit, by its name or the beginning of its id
    #[arg(long, value_name = "NAME")]
    pub container: Option<String>,
    /// Show what the agent at this address sees, HOST:PORT or unix:PATH; that takes no
    /// privilege
    #[arg(long, value_name = "ADDR", conflicts_with = "own")]
    pub web: Option<String>,
    /// Attach programs even where an agent runs that could be followed
    #[arg(long)]
    pub own: bool,
    /// Look here for the pins of an agent that runs
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
    /// Episodes in which all went well
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
    /// Exit with 3 when one of these is found: fatal, degraded, pending, denied, or
    /// blind (something was missed that could hide a finding)
    #[arg(long, value_name = "WHAT", value_delimiter = ',', value_enum)]
    pub fail_on: Vec<FailOn>,
    /// Let --fail-on look at this role only
    #[arg(long, value_enum, value_name = "ROLE")]
    pub role: Option<RoleFilter>,
    /// Whose findings the report has, and --fail-on looks at
    #[arg(long, value_enum, default_value = "beside", value_name = "SCOPE")]
    pub scope: Scope,
    /// Once the command ended, follow what still runs of its tree, and of what was
    /// made beside it, for up to this long (such as 500ms, 10s, 2m)
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub wait: Option<Duration>,
    /// Run the command as this user, with its groups and home
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Write the report to this file instead of stderr; `-` is stdout
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Also write findings as JSON lines to this file, from which `replay` makes
    /// the same report
    #[arg(long, value_name = "FILE")]
    pub stream: Option<PathBuf>,
    /// The form of the report
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Form,
    /// The command and its words
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
    /// With --records: also print objects for lines that hold none
    #[arg(long, requires = "records")]
    pub all: bool,
    /// Exit with 0 even where nothing was understood, and read what is no log
    #[arg(long)]
    pub lenient: bool,
    /// Exit with 3 when one of these is found: fatal, degraded, pending, denied, or
    /// blind (something was missed that could hide a finding)
    #[arg(long, value_name = "WHAT", value_delimiter = ',', value_enum)]
    pub fail_on: Vec<FailOn>,
    /// Let --fail-on look at this role only
    #[arg(long, value_enum, value_name = "ROLE")]
    pub role: Option<RoleFilter>,
    /// The form of the report
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Form,
    /// The log or stream, plain or compressed by gzip or zstd; `-` is stdin
    pub file: PathBuf,
}

/// `capwatch unload`
#[derive(Debug, Args)]
pub struct Unload {
    /// Remove maps, programs and links below this folder
    #[arg(long, value_name = "DIR", default_value = pins::DEFAULT)]
    pub pin: PathBuf,
    /// Remove the counters that are kept in this folder; other files stay
    #[arg(long, value_name = "DIR", default_value = DEFAULT_STATE)]
    pub state: PathBuf,
}

/// `capwatch doctor`
#[derive(Debug, Args)]
pub struct Doctor {
    /// How to attach.
    #[command(flatten)]
    pub attach: Attach,
    /// Look at what is pinned below this folder
    #[arg(long, value_name = "DIR", default_value = pins::DEFAULT)]
    pub pin: PathBuf,
    /// The form of the diagnosis
    #[arg(short, long, value_enum, default_value_t)]
    pub output: DiagnosisForm,
}

/// `capwatch config`
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Say whether a configuration is valid: this file, else the one given with --config
    Check {
        /// The configuration, in TOML
        file: Option<PathBuf>,
    },
    /// Print every option of `run` as a commented key, and the built-in catalogue
    Default,
    /// Print rules for programs that dropped capabilities and that no rule names
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
    /// The message as it was shown, or an audit record; `-` reads it from stdin
    #[arg(required = true, value_name = "TEXT")]
    pub text: Vec<String>,
    /// The form of the output
    #[arg(short, long, value_enum, default_value_t)]
    pub output: DiagnosisForm,
}

/// `capwatch report`
#[derive(Debug, Args)]
pub struct Report {
    /// The episode to show, by its id [default: the worst that the agent knows]
    #[arg(long, value_name = "ID", conflicts_with = "pid")]
    pub episode: Option<String>,
    /// The process to show, and its findings [default: capwatch itself]
    #[arg(long, value_name = "PID")]
    pub pid: Option<u32>,
    /// Where the agent listens; without one the block has no finding
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
