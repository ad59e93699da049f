//! The command line as it is typed. What it means is resolved by the commands.

mod live;
mod recorded;

use live::DEFAULT_STATE;
pub use live::{LineForm, LogFormat, ReadyWithout, Run, Shown, Watch};
pub use recorded::{Record, Replay};

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use super::{
    attach::Attach,
    form::DiagnosisForm,
    probe::{Probe, StepsTrial, Trial},
    version,
};
use crate::{
    outputs::color::Color,
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
        /// Print the page of this command, such as `record` [default: an overview]
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
    /// Choose the form of the diagnosis
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
    /// Choose the form of the output
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
