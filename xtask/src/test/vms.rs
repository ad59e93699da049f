//! Ring 3: real kernels. Scripts that want the same machine share one boot, and
//! as many machines as there are processors run side by side: a guest of two
//! processors seldom uses more than one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::num::NonZero;
use std::path::Path;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::matrix::{self, Matrix, Row};
use super::report::{Check, Report, Tally};
use super::script::{Script, evaluate};
use crate::cmd;
use crate::vm::{self, Arch, Job, Kernel, Options, Root};

/// Every kernel, and whether it is run every day.
const KERNELS: [(&str, Arch, bool); 5] = [
    ("5.10", Arch::X86_64, false),
    ("6.1", Arch::X86_64, true),
    ("6.12", Arch::X86_64, true),
    ("7.x", Arch::X86_64, false),
    ("6.1", Arch::Arm64, false),
];

/// Runs it, on the kernel asked for where one is.
pub fn ring(report: &mut Report, full: bool, only: &str, kernel: &str) {
    let scripts = match Script::in_directory(&cmd::workspace().join("tests/vm")) {
        Ok(scripts) => scripts,
        Err(error) => return report.step("virtual machines", || Err(error)),
    };
    let scripts: Vec<Script> = scripts
        .into_iter()
        .filter(|script| script.name.contains(only))
        .collect();
    if scripts.is_empty() {
        return report.skip("virtual machines", "no script in tests/vm is asked for");
    }
    if !full {
        for script in scripts.iter().filter(|script| script.head.full_only) {
            report.skip(&script.name, "runs only with --full");
        }
        for script in scripts
            .iter()
            .filter(|script| !script.head.daily.is_empty())
        {
            let daily: Vec<_> = script.head.daily.iter().map(ToString::to_string).collect();
            let why = format!("runs on others than {} only with --full", daily.join(", "));
            report.skip(&script.name, &why);
        }
    }
    let mut matrix = Matrix::default();
    let mut boots = Vec::new();
    for (series, arch, every_day) in KERNELS {
        let name = match arch {
            Arch::X86_64 => series.to_owned(),
            Arch::Arm64 => format!("{series}-{}", word(arch)),
        };
        let asked_for = kernel == name;
        if !asked_for && !kernel.is_empty() {
            continue;
        }
        if !full && !every_day && !asked_for {
            report.skip(&format!("Linux {name}"), "runs only with --full");
            continue;
        }
        let version: Kernel = series.parse().expect("the table has series");
        for (machine, scripts) in machines(&scripts, &version, full) {
            let name = machine.describe(&version, arch);
            let (jobs, missing) = jobs(&scripts, machine.root, series, arch, full);
            for (row, test, why) in missing {
                matrix.not_there(row, &test, why);
            }
            let (alone, together): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|one| one.alone);
            let alone = alone.into_iter().map(|job| {
                let name = format!("{name}, {}", job.job.name);
                (name, vec![job])
            });
            let together = std::iter::once((name.clone(), together));
            for (name, jobs) in alone.chain(together) {
                if jobs.is_empty() {
                    continue;
                }
                boots.push(Boot {
                    name,
                    machine: machine.clone(),
                    kernel: version.clone(),
                    arch,
                    jobs,
                });
            }
        }
    }
    run_all(boots, report, &mut matrix);
    if !matrix.is_empty() {
        println!("\n{}", matrix.table());
        report.step("the table's results", || {
            matrix.keep()?;
            Ok(Tally::pass())
        });
    }
}

/// The architecture's name in the table.
const fn word(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "x86_64",
        Arch::Arm64 => "arm64",
    }
}

/// A machine to boot, and what runs there.
struct Boot {
    name: String,
    machine: Machine,
    kernel: Kernel,
    arch: Arch,
    jobs: Vec<Planned>,
}

/// What became of a machine's jobs.
struct Ended {
    results: Vec<(Row, String, Tally)>,
    /// The machine's own failure.
    machine: Tally,
    /// What is shown of it.
    output: String,
}

/// Boots them, some side by side, and reports each as it ends.
fn run_all(mut boots: Vec<Boot>, report: &mut Report, matrix: &mut Matrix) {
    // The longest begins first; a worker takes from the end.
    let limit = |boot: &Boot| -> Duration { boot.jobs.iter().map(|one| one.job.timeout).sum() };
    boots.sort_by_key(limit);
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    let queue = Mutex::new(boots);
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..workers {
            let (sender, queue) = (sender.clone(), &queue);
            scope.spawn(move || {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
                    let Some(boot) = next else {
                        return;
                    };
                    let (name, begun) = (boot.name.clone(), Instant::now());
                    let result = run(boot);
                    // Nobody listens only where the report is gone.
                    let _ = sender.send((name, begun.elapsed(), result));
                }
            });
        }
        drop(sender);
        for (name, took, result) in receiver {
            println!("== {name}");
            let tally = result.map(|ended| {
                print!("{}", ended.output);
                let mut tally = ended.machine;
                for (row, test, result) in ended.results {
                    matrix.ran(row, &test, &result);
                    tally.extend(result);
                }
                tally
            });
            report.ended(&name, took, tally);
        }
    });
}

/// A job, and where its result goes in the table.
struct Planned {
    job: Job,
    row: Row,
    test: String,
    /// Whether it has a machine of its own.
    alone: bool,
}

/// The runs of scripts on a kernel, and those of mechanisms that it lacks.
fn jobs(
    scripts: &[&Script],
    root: Root,
    series: &str,
    arch: Arch,
    full: bool,
) -> (Vec<Planned>, Vec<(Row, String, &'static str)>) {
    let mut planned = Vec::new();
    let mut missing = Vec::new();
    let beside = match root {
        Root::Busybox | Root::Full => "",
        Root::Trixie => "-debian13",
    };
    for script in scripts {
        for (name, mut env) in script.runs() {
            let forced = env.iter().find(|(variable, _)| variable == "HOOKS");
            let forced = forced.map(|(_, value)| value.clone());
            let row = Row {
                series: series.to_owned(),
                arch: word(arch),
                mechanism: forced.clone().unwrap_or_else(|| "any".to_owned()),
            };
            let test = format!("{}{beside}", script.name);
            if let Some(forced) = forced
                && let Err(why) = matrix::mechanism(series, arch, &forced)
            {
                missing.push((row, test, why));
                continue;
            }
            if full {
                env.push(("CAPWATCH_FULL".to_owned(), "1".to_owned()));
            }
            let job = Job {
                name: format!("{name}{beside}"),
                script: script.path.clone(),
                env,
                timeout: script.head.timeout,
            };
            planned.push(Planned {
                job,
                row,
                test,
                alone: script.head.alone,
            });
        }
    }
    (planned, missing)
}

/// What scripts must have in common to share a boot.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Machine {
    root: Root,
    packages: Vec<String>,
    append: String,
    systemd: bool,
    dist: bool,
}

impl Machine {
    fn describe(&self, kernel: &Kernel, arch: Arch) -> String {
        let Self {
            root,
            packages,
            append,
            systemd,
            dist,
        } = self;
        let mut name = format!("Linux {kernel} {arch:?}, {root:?} root");
        for detail in packages.iter().chain(std::iter::once(append)) {
            if !detail.is_empty() {
                name.push_str(", ");
                name.push_str(detail);
            }
        }
        if *systemd {
            name.push_str(", systemd");
        }
        if *dist {
            name.push_str(", the packages");
        }
        name
    }
}

fn machines<'a>(
    scripts: &'a [Script],
    kernel: &Kernel,
    full: bool,
) -> BTreeMap<Machine, Vec<&'a Script>> {
    let mut machines: BTreeMap<Machine, Vec<&Script>> = BTreeMap::new();
    for script in scripts {
        let head = &script.head;
        let own = script.wants(kernel) && (full || script.is_daily(kernel));
        let newer = full && head.trixie.contains(kernel);
        let roots = [(own, head.root), (newer, Root::Trixie)];
        for (_, root) in roots.into_iter().filter(|(wanted, _)| *wanted) {
            let machine = Machine {
                root,
                packages: head.packages.clone(),
                append: head.append.clone(),
                systemd: head.systemd,
                dist: head.dist,
            };
            machines.entry(machine).or_default().push(script);
        }
    }
    machines
}

fn run(boot: Boot) -> Result<Ended> {
    let Machine {
        root,
        packages,
        append,
        systemd,
        dist,
    } = boot.machine;
    let mut options = Options::new(boot.kernel);
    options.arch = boot.arch;
    options.root = root;
    options.packages = packages;
    options.append = append;
    options.systemd = systemd;
    options.files = data(&cmd::workspace().join("tests/vm/data"));
    if dist {
        let packages = crate::dist::for_guests(boot.arch)?;
        options.files.push((packages, "/capwatch/dist".to_owned()));
    }
    options.jobs = boot
        .jobs
        .iter()
        .map(|planned| planned.job.clone())
        .collect();
    let outcome = vm::run(&options).context("cannot run the machine")?;

    let mut output = String::new();
    let mut results = Vec::new();
    for Planned { job, row, test, .. } in boot.jobs {
        let Some(ended) = outcome.jobs.iter().find(|outcome| outcome.name == job.name) else {
            let mut gone = Tally::default();
            gone.add(
                &job.name,
                Check::NotOk("begin".into(), "the machine was gone".into()),
            );
            results.push((row, test, gone));
            continue;
        };
        let said = String::from_utf8_lossy(&ended.output);
        let result = evaluate(&job.name, &said, ended.exit_code);
        let seconds = ended.duration.as_secs_f64();
        let _ = writeln!(output, "   {} took {seconds:.1} s", job.name);
        if result.failed > 0 {
            for line in said.lines() {
                let _ = writeln!(output, "   | {line}");
            }
        }
        results.push((row, test, result));
    }
    let mut machine = Tally::default();
    if let Some(failure) = outcome.failure {
        machine.add("machine", Check::NotOk("end".into(), failure));
    }
    Ok(Ended {
        results,
        machine,
        output,
    })
}

/// Files that the scripts share.
fn data(dir: &Path) -> Vec<(std::path::PathBuf, String)> {
    if dir.is_dir() {
        vec![(dir.to_path_buf(), "/capwatch/data".to_owned())]
    } else {
        Vec::new()
    }
}
