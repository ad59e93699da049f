//! Runs scenarios under `capwatch record` and checks the reports.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::{
    expect,
    scenarios::{self, Scenario},
};

/// An emulated machine is slow.
const PATIENCE: Duration = Duration::from_mins(2);

/// The names that the programs under test go by, and whether a rule names them.
const PROGRAMS: [&str; 7] = [
    "testbed",
    "testempty",
    "testhelp",
    "testload",
    "testrun",
    "testsup",
    "testsup2",
];

const CONFIG: &str = r#"
[[supervisor]]
name = "testsup"
exe = ["testsup"]
expect = [{ capability = "setuid", layer = "commoncap", note = "on purpose" }]

[[supervisor]]
name = "testsup2"
exe = ["testsup2"]

[[supervisor]]
name = "testempty"
exe = ["testempty"]
empties = true
helpers = ["testhelp"]

[[supervisor]]
name = "testrun"
exe = ["testrun"]
runtime = true
"#;

/// Run the scenarios under `capwatch record`, each with its expectations
#[derive(clap::Args)]
pub struct Args {
    /// The agent
    #[arg(long, default_value = "capwatch")]
    capwatch: PathBuf,
    /// For its option of the same name
    #[arg(long, default_value = "auto")]
    hooks: String,
    /// These groups only: apparmor, counts, drops, `fail_on`, fates,
    /// sets, threads, tree
    #[arg(long, value_delimiter = ',')]
    groups: Vec<String>,
    /// So many at a time; each has programs and its own tree
    #[arg(long, value_name = "N", default_value_t = 1)]
    jobs: usize,
    /// Keep the reports in this directory
    #[arg(long, value_name = "DIRECTORY")]
    keep: Option<PathBuf>,
    /// These scenarios only
    names: Vec<String>,
}

/// Runs the scenarios; the exit code is 1 where one failed.
///
/// # Errors
/// When they can't be run at all.
pub fn main(args: &Args) -> Result<ExitCode> {
    let testbed = env::current_exe().context("cannot find where testbed is")?;
    let stage = Stage::new(&args.capwatch, &testbed)?;
    let mut chosen = scenarios::all();
    chosen.retain(|scenario| {
        (args.names.is_empty() || args.names.iter().any(|name| name == scenario.name))
            && (args.groups.is_empty() || args.groups.iter().any(|group| group == scenario.group))
    });
    ensure!(!chosen.is_empty(), "no scenario is called that");
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..args.jobs.max(1) {
            scope.spawn(|| {
                while let Some(scenario) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if !report(&stage, scenario, args) {
                        failed.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let code = u8::from(failed.into_inner());
    Ok(ExitCode::from(code))
}

/// Plays one and says what came of it, in one line.
fn report(stage: &Stage, scenario: &Scenario, args: &Args) -> bool {
    let outcome = stage.play(scenario, &args.hooks);
    match &outcome {
        Ok(()) => println!("ok {}", scenario.name),
        Err(error) => println!("not ok {}: {error:#}", scenario.name),
    }
    if let Some(directory) = &args.keep {
        let name = report_name(scenario);
        // A scenario that could not be played has none.
        let _ = fs::copy(stage.path(&name), directory.join(name));
    }
    outcome.is_ok()
}

fn report_name(scenario: &Scenario) -> String {
    format!("{}.json", scenario.name)
}

/// A directory with the programs under test and the configuration that knows them.
pub struct Stage {
    capwatch: PathBuf,
    dir: TempDir,
}

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// Exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Stage {
    /// Copies the programs and writes the configuration.
    ///
    /// # Errors
    /// When there is no room for them.
    pub fn new(capwatch: &Path, testbed: &Path) -> Result<Self> {
        let dir = tempfile::tempdir().context("cannot make a temporary directory")?;
        for name in PROGRAMS {
            fs::copy(testbed, dir.path().join(name))
                .with_context(|| format!("cannot copy {}", testbed.display()))?;
        }
        fs::write(dir.path().join("config.toml"), CONFIG)?;
        let capwatch = capwatch.to_owned();
        Ok(Self { capwatch, dir })
    }

    /// A file in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The agent, with the programs in its PATH.
    pub fn capwatch(&self) -> Command {
        let path = env::var("PATH").unwrap_or_default();
        let mut command = Command::new(&self.capwatch);
        command
            .env("PATH", format!("{}:{path}", self.dir.path().display()))
            .current_dir(&self.dir)
            .stdin(Stdio::null());
        command
    }

    /// One of the programs under test, by the name that it goes by.
    pub fn program(&self, name: &str) -> Command {
        Command::new(self.path(name))
    }

    /// Runs a scenario and checks its report.
    ///
    /// # Errors
    /// When it can't be run, or something does not hold: then with all that does not.
    pub fn play(&self, scenario: &Scenario, hooks: &str) -> Result<()> {
        let report = self.path(&report_name(scenario));
        let stream = self.path(&format!("{}.jsonl", scenario.name));
        let _ = fs::remove_file(&report);
        let mut command = self.capwatch();
        command
            .args([
                "record",
                "--config",
                "config.toml",
                "-o",
                "json",
                "--report",
            ])
            .arg(&report)
            .arg("--stream")
            .arg(&stream)
            .arg(format!("--hooks={hooks}"))
            .args(&scenario.options)
            .arg("--")
            .args(scenario.words());
        let outcome = run(&mut command)?;
        let mut wrong = Vec::new();
        if outcome.code != Some(scenario.exit) {
            wrong.push(format!("exit {:?}, not {}", outcome.code, scenario.exit));
        }
        wrong.extend(self.differs(&report, &stream)?);
        match read(&report) {
            Ok(report) => {
                wrong.extend(expect::failures(&report, &always(scenario))?);
                wrong.extend(expect::failures(&report, &scenario.expectations)?);
                let lost = |what: &str| report["lost"][what].as_u64().unwrap_or(0);
                // A kretprobe has few instances, and whatever else runs on the
                // host may hold them all: counted, and no fault of the scenario.
                let returns = lost("return_missed");
                if lost("events") != returns {
                    wrong.push(format!("lost: {}", report["lost"]));
                }
                let missed = lost("missed_runs") + returns;
                wrong.extend(expect::failures(&report, &scenario.counted(missed))?);
            }
            Err(error) => wrong.push(format!("{error:#}")),
        }
        if !wrong.is_empty() {
            let stderr = outcome.stderr.trim();
            wrong.push(format!("stderr: {stderr:?}"));
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("; "));
        Ok(())
    }
}

impl Stage {
    /// How the report that `replay` makes of the stream differs from the one that
    /// was made live.
    fn differs(&self, report: &Path, stream: &Path) -> Result<Option<String>> {
        let outcome = run(self.capwatch().args(["replay", "-o", "json"]).arg(stream))?;
        if outcome.code != Some(0) {
            return Ok(Some(format!("replay of the stream: {}", outcome.stderr)));
        }
        let live = fs::read_to_string(report).unwrap_or_default();
        let mut lines = live.lines().zip(outcome.stdout.lines());
        let first = lines.find(|(live, replayed)| live != replayed);
        Ok((live != outcome.stdout).then(|| format!("the replayed report differs: {first:?}")))
    }
}

/// What holds of every report.
fn always(scenario: &Scenario) -> Vec<String> {
    vec![
        "schema == capwatch.report/1".to_owned(),
        "audit.malformed == 0".to_owned(),
        format!("command.exit_code == {}", scenario.own_exit),
    ]
}

fn read(report: &Path) -> Result<Value> {
    let text = fs::read_to_string(report).context("there is no report")?;
    serde_json::from_str(&text).context("the report is no JSON")
}

/// Runs a command to its end, and ends it where it takes too long.
///
/// # Errors
/// When it can't be started, or took too long.
pub fn run(command: &mut Command) -> Result<Outcome> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot run {}", command.get_program().display()))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let stdout = thread::spawn(move || drain(stdout));
    let stderr = thread::spawn(move || drain(stderr));
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            anyhow::bail!("it took longer than {PATIENCE:?}");
        }
        thread::sleep(Duration::from_millis(5));
    };
    Ok(Outcome {
        code: status.code(),
        stdout: stdout.join().unwrap_or_default(),
        stderr: stderr.join().unwrap_or_default(),
    })
}

fn drain(pipe: Option<impl std::io::Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        let _ = pipe.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
