//! What watching adds where trampolines and kprobes are: in a virtual machine
//! whose clock counts instructions: a nanosecond is one of them.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::Bench;
use super::figures::{Overhead, Spread};
use super::native::{beside_empty, storm_rows};
use super::table::{Bar, Table};
use crate::vm::{self, Job, Options, Root};

const KERNEL: &str = "6.12";
const PACKAGES: [&str; 2] = ["bpftrace", "libbpf-tools"];
/// Where the guest finds the object of empty programs.
const EMPTY: &str = "/capwatch/empty.o";
const CALLS: [&str; 4] = ["allowed", "denied", "prctl", "getppid"];
const PEERS: [&str; 2] = ["bcc capable", "bpftrace capable.bt"];
const MECHANISMS: [&str; 2] = ["fexit", "kprobe"];

/// By instruction count; then a storm with each mechanism, at full speed.
pub fn overhead(bench: &Bench, table: &mut Table) -> Result<()> {
    let measured = Overhead::read(&run(bench, &counting(), true)?)?;
    let mut peers = Vec::new();
    for peer in PEERS {
        // Every check is reported by it, granted or not.
        if Spread::of(&measured.added("allowed", peer)?)?.median > 0.0 {
            peers.push(peer);
        } else {
            eprintln!("  {peer} was not attached in time: left out");
        }
    }
    for call in CALLS {
        let bare = Spread::of(measured.samples(call, "none")?)?;
        table.row(
            format!("{call}, nobody watching"),
            bare,
            "instructions",
            Bar::None,
        );
        for mechanism in MECHANISMS {
            for who in ["empty", "capwatch"] {
                let added = Spread::of(&measured.added(call, &format!("{who} {mechanism}"))?)?;
                let what = format!("{call}: added by {who}, {mechanism}");
                table.row(what, added, "instructions", Bar::None);
            }
        }
        for peer in &peers {
            let added = Spread::of(&measured.added(call, peer)?)?;
            table.row(
                format!("{call}: added by {peer}"),
                added,
                "instructions",
                Bar::None,
            );
        }
    }
    for mechanism in MECHANISMS {
        let (ours, empty) = (
            format!("capwatch {mechanism}"),
            format!("empty {mechanism}"),
        );
        for (call, bar) in [("allowed", 1.3), ("denied", 3.0)] {
            let what = format!("{call}: {ours}, over an empty program");
            table.row(
                what,
                measured.ratio(call, &ours, &empty)?,
                "×",
                Bar::AtMost(bar),
            );
        }
        for peer in &peers {
            let what = format!("denied: {ours}, over {peer}");
            table.row(what, measured.ratio("denied", &ours, peer)?, "×", Bar::None);
        }
    }
    for mechanism in MECHANISMS {
        let count = bench.reduced(1_000_000);
        let script = format!(
            "testbed bench storm --capwatch \"$(command -v capwatch)\" --count {count} -- --hooks={mechanism}\n"
        );
        storm_rows(
            &format!("Linux {KERNEL}, {mechanism}"),
            &run(bench, &script, false)?,
            table,
        )?;
    }
    Ok(())
}

/// What the programs take that see refusals by a rule, where nothing is refused: by
/// instruction count.
pub fn rules(bench: &Bench, table: &mut Table) -> Result<()> {
    let mechanisms: [(&str, &[&str]); 2] = [
        (
            "fexit",
            &["rule_exec_exit", "rule_file_caps_exit", "rule_capset_exit"],
        ),
        (
            "kprobe",
            &[
                "rule_exec_entry_kprobe",
                "rule_exec_exit_kprobe",
                "rule_file_caps_entry_kprobe",
                "rule_file_caps_exit_kprobe",
                "rule_capset_entry_kprobe",
                "rule_capset_exit_kprobe",
            ],
        ),
    ];
    for (mechanism, programs) in mechanisms {
        let children = bench.reduced(300);
        let script = format!(
            "exec testbed bench programs --capwatch \"$(command -v capwatch)\" --empty {EMPTY} \
             --children {children} --rounds 3 --programs {} --child 'testbed rules succeed' \
             -- --hooks={mechanism}\n",
            programs.join(",")
        );
        let measured = Overhead::read(&run(bench, &script, true)?)?;
        for program in programs {
            let what = format!("Linux {KERNEL}, {program}");
            beside_empty(table, &measured, program, &what, 1.3)?;
        }
    }
    Ok(())
}

fn counting() -> String {
    let mut script = String::from(
        "set -eu\nmount -t debugfs nodev /sys/kernel/debug 2>/dev/null || true\n\
         capwatch=$(command -v capwatch)\ntab=$(printf '\\t')\n\
         capable_bt=$(find / -xdev -name capable.bt | head -n 1)\n\
         capable=$(command -v capable-bpfcc-libbpf || find /usr/sbin /usr/bin /sbin -name '*capable*' -type f | grep -v -e capsh -e bt | head -n 1)\n\
         exec testbed bench overhead --rounds 3 --count 500 --loops 3 --call allowed,denied,prctl,getppid --condition none=none",
    );
    for mechanism in MECHANISMS {
        let _ = write!(
            script,
            " --condition \"empty {mechanism}=capwatch:$capwatch --bpf-object {EMPTY} --hooks={mechanism}\" \
             --condition \"capwatch {mechanism}=capwatch:$capwatch --hooks={mechanism}\""
        );
    }
    script.push_str(" --condition \"bcc capable=peer:$capable\" --condition \"bpftrace capable.bt=peer:bpftrace$tab$capable_bt\"\n");
    script
}

/// Runs a script in the machine, and returns the object that it prints.
fn run(bench: &Bench, script: &str, icount: bool) -> Result<Value> {
    let scratch = tempfile::tempdir()?;
    let file = scratch.path().join("script.sh");
    std::fs::write(&file, script)?;
    let mut options = Options::new(KERNEL.parse().map_err(anyhow::Error::msg)?);
    if icount {
        options.root = Root::Full;
        options.packages = PACKAGES.map(str::to_owned).to_vec();
        options.cpus = Some(1);
        options.icount = true;
    }
    options.files = vec![(bench.empty.clone(), EMPTY.to_owned())];
    options.jobs = vec![Job {
        name: "bench".to_owned(),
        script: file,
        env: Vec::new(),
        timeout: Duration::from_mins(20),
    }];
    let outcome = vm::run(&options)?;
    let job = outcome.jobs.first().context("the machine never ran it")?;
    let output = String::from_utf8_lossy(&job.output);
    ensure!(
        job.exit_code == Some(0),
        "it ended with {:?}:\n{output}{:?}",
        job.exit_code,
        outcome.failure
    );
    let line = output
        .lines()
        .find(|line| line.starts_with('{'))
        .context("it printed no object")?;
    Ok(serde_json::from_str(line)?)
}
