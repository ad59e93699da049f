//! Ring 3: real kernels. Scripts that want the same machine share one boot.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::report::{Check, Report, Tally};
use super::script::{Script, evaluate};
use crate::cmd;
use crate::vm::{self, Arch, Job, Kernel, Options, Root};

const EVERY_DAY: [(&str, Arch); 2] = [("6.1", Arch::X86_64), ("6.12", Arch::X86_64)];
const FULL: [(&str, Arch); 3] = [
    ("5.10", Arch::X86_64),
    ("7.x", Arch::X86_64),
    ("6.1", Arch::Arm64),
];

/// Runs it.
pub fn ring(report: &mut Report, full: bool, only: &str) {
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
        for (kernel, arch) in FULL {
            report.skip(&format!("Linux {kernel} {arch:?}"), "runs only with --full");
        }
    }
    let more = if full { FULL.as_slice() } else { &[] };
    for (series, arch) in EVERY_DAY.iter().chain(more) {
        let kernel: Kernel = series.parse().expect("the table has series");
        for (machine, scripts) in machines(&scripts, &kernel, full) {
            let name = machine.describe(&kernel, *arch);
            if *arch == Arch::Arm64 && machine.root == Root::Full {
                report.skip(&name, "the full root is made for x86_64 only");
                continue;
            }
            report.step(&name, || boot(&machine, &scripts, &kernel, *arch, full));
        }
    }
}

/// What scripts must have in common to share a boot.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Machine {
    root: Root,
    packages: Vec<String>,
    append: String,
}

impl Machine {
    fn describe(&self, kernel: &Kernel, arch: Arch) -> String {
        let Self {
            root,
            packages,
            append,
        } = self;
        let mut name = format!("Linux {kernel} {arch:?}, {root:?} root");
        for detail in packages.iter().chain(std::iter::once(append)) {
            if !detail.is_empty() {
                name.push_str(", ");
                name.push_str(detail);
            }
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
        if script.wants(kernel) && (full || !head.full_only) {
            let machine = Machine {
                root: head.root,
                packages: head.packages.clone(),
                append: head.append.clone(),
            };
            machines.entry(machine).or_default().push(script);
        }
    }
    machines
}

fn boot(
    machine: &Machine,
    scripts: &[&Script],
    kernel: &Kernel,
    arch: Arch,
    full: bool,
) -> Result<Tally> {
    let mut options = Options::new(kernel.clone());
    options.arch = arch;
    options.root = machine.root;
    options.packages.clone_from(&machine.packages);
    options.append.clone_from(&machine.append);
    options.files = data(&cmd::workspace().join("tests/vm/data"));
    for script in scripts {
        for (name, mut env) in script.runs() {
            if full {
                env.push(("CAPWATCH_FULL".to_owned(), "1".to_owned()));
            }
            let timeout = script.head.timeout;
            options.jobs.push(Job {
                name,
                script: script.path.clone(),
                env,
                timeout,
            });
        }
    }
    let outcome = vm::run(&options).context("cannot run the machine")?;

    let mut tally = Tally::default();
    for job in &options.jobs {
        let Some(ended) = outcome.jobs.iter().find(|outcome| outcome.name == job.name) else {
            tally.add(
                &job.name,
                Check::NotOk("begin".into(), "the machine was gone".into()),
            );
            continue;
        };
        let output = String::from_utf8_lossy(&ended.output);
        let result = evaluate(&job.name, &output, ended.exit_code);
        println!("   {} took {:.1} s", job.name, ended.duration.as_secs_f64());
        if result.failed > 0 {
            for line in output.lines() {
                println!("   | {line}");
            }
        }
        tally.extend(result);
    }
    if let Some(failure) = outcome.failure {
        tally.add("machine", Check::NotOk("end".into(), failure));
    }
    Ok(tally)
}

/// Files that the scripts share.
fn data(dir: &Path) -> Vec<(std::path::PathBuf, String)> {
    if dir.is_dir() {
        vec![(dir.to_path_buf(), "/capwatch/data".to_owned())]
    } else {
        Vec::new()
    }
}
