//! A runtime without an engine: `runc run`. Its own state names the container, and
//! the bundle says which set was asked for.

use std::{fs, process::Command};

use serde_json::{Value, json};
use testbed::checks::suite::run;

/// Where a program of the machine is.
fn program(name: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut folders = std::env::split_paths(&path);
    folders.find_map(|folder| Some(folder.join(name)).filter(|path| path.exists()))
}

#[test]
fn a_container_of_runc_alone_is_named_and_its_skipped_drop_is_judged() {
    let Some((stage, _turn)) = crate::stage("runc run") else {
        return;
    };
    let (Some(runc), Some(busybox)) = (program("runc"), program("busybox")) else {
        println!("skipped: runc run (no runc, or no busybox)");
        return;
    };
    let bundle = stage.path("bundle");
    let bin = bundle.join("rootfs/bin");
    fs::create_dir_all(&bin).expect("no folder");
    fs::copy(busybox, bin.join("busybox")).expect("cannot copy");
    let mut spec = Command::new(&runc);
    spec.args(["spec", "--bundle"]).arg(&bundle);
    run(&mut spec).expect("no outcome");
    let config = bundle.join("config.json");
    let text = fs::read_to_string(&config).expect("no configuration");
    let mut parsed: Value = serde_json::from_str(&text).expect("no JSON");
    parsed["process"]["terminal"] = false.into();
    // One that ends at once may be gone before a busy machine lets capwatch look.
    parsed["process"]["args"] = json!(["/bin/busybox", "sleep", "0.2"]);
    fs::write(&config, parsed.to_string()).expect("cannot write");

    let record = |id: &str, words: &[&str]| {
        let mut command = stage.capwatch();
        command.args(["record", "--fail-on", "degraded", "-o", "json"]);
        command.args(["--report", "runc.json", "--"]).args(words);
        command.arg(&runc).arg("run").arg("--bundle").arg(&bundle);
        let outcome = run(command.arg(id)).expect("no outcome");
        let text = fs::read_to_string(stage.path("runc.json")).expect("no report");
        let report: Value = serde_json::from_str(&text).expect("no JSON");
        (outcome, report)
    };
    let (outcome, report) = record("capwatch-whole", &["env"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let episodes = report["episodes"].as_array().expect("no list");
    let named = episodes
        .iter()
        .find(|one| one["container"]["runtime"] == "runc");
    let named = named.unwrap_or_else(|| panic!("nobody is named: {episodes:#?}"));
    assert_eq!(named["container"]["id"], "capwatch-whole");
    assert_eq!(named["verdict"], "ok");

    // Without SETPCAP runc makes no call at all, and ends with 0.
    let (outcome, report) = record(
        "capwatch-skipped",
        &["testbed", "do", "drop", "setpcap", "exec"],
    );
    assert_eq!(outcome.code, Some(3), "{} {report:#}", outcome.stderr);
    let episodes = report["episodes"].as_array().expect("no list");
    let skipped = episodes.iter().find(|one| one["skipped"] == true);
    let skipped = skipped.unwrap_or_else(|| panic!("nothing was skipped: {episodes:#?}"));
    assert_eq!(skipped["verdict"], "degraded");
    assert_eq!(skipped["container"]["id"], "capwatch-skipped");
    assert_eq!(skipped["container"]["requested"]["bounding"], "0x20000420");
}
