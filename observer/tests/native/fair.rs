//! What one user fills is his own: rows, episodes, processes that are followed.

use std::{
    os::unix::process::CommandExt as _,
    process::{Command, Stdio},
};

use testbed::checks::suite::Stage;

use crate::{
    Guard,
    serve::{free_address, get, sample, samples, serve, testsup},
    until,
};

/// Somebody without privilege, as a process that lives as long as the test.
fn nobody(stage: &Stage, steps: &str) -> Guard {
    let mut command = Command::new(stage.path("testbed"));
    command.args(["do", "drop", "except:chown,setuid", "setuid", "65534"]);
    command.args(steps.split_whitespace());
    Guard::start(command.stdout(Stdio::null()).stderr(Stdio::null()))
}

fn total(metrics: &str, name: &str, labels: &[&str]) -> f64 {
    samples(metrics, name, labels).sum()
}

#[test]
fn who_renames_himself_fills_his_own_rows_alone() {
    let Some((stage, _turn)) = crate::stage("rows") else {
        return;
    };
    let address = free_address();
    let _agent = serve(stage, &[&address]);
    let mut stormer = nobody(stage, "repeat 17000 rename setuid 0 end exit 0");
    assert_eq!(stormer.code(), Some(0));
    testsup(stage, "fork clear");
    let mut metrics = String::new();
    let setuid = ["supervisor=\"none\"", "capability=\"setuid\""];
    let setpcap = ["supervisor=\"testsup\"", "capability=\"setpcap\""];
    until("every denial", || {
        metrics = get(&address, "/metrics").expect("no metrics").1;
        total(&metrics, "capwatch_denials_total", &setuid) >= 17_000.0
            && total(&metrics, "capwatch_denials_total", &setpcap) >= 1.0
    });
    // Other processes of this machine are nobody's too, so no more than a few.
    let counted = total(&metrics, "capwatch_denials_total", &setuid);
    assert!(counted < 17_100.0, "{counted}");
    let lost = |metrics: &str, reason: &str| {
        let reason = format!("reason=\"{reason}\"");
        sample(metrics, "capwatch_events_lost_total", &[&reason]).unwrap_or_default()
    };
    until("what was folded", || {
        metrics = get(&address, "/metrics").expect("no metrics").1;
        lost(&metrics, "rows_share") > 10_000.0
    });
    assert!(lost(&metrics, "rows_full") == 0.0);
    let denials = get(&address, "/api/v1/denials").expect("no denials").1;
    let report: serde_json::Value = serde_json::from_str(&denials).expect("no JSON");
    let rows = report["denials"].as_array().or(report.as_array());
    let of_it = rows
        .expect("no rows")
        .iter()
        .find(|row| row["supervisor"] == "testsup");
    let of_it = of_it.expect("the supervisor has no row");
    assert_eq!(of_it["comm"], "testsup", "its detail is its own");
    assert_eq!(of_it["exact"], true);
}

#[test]
fn who_keeps_episodes_open_fills_his_own_share_alone() {
    let Some((stage, _turn)) = crate::stage("episodes") else {
        return;
    };
    let address = free_address();
    let _agent = serve(stage, &[&address]);
    let sleepers = nobody(
        stage,
        "repeat 1200 detach drop chown sleep 60000 end end sleep 60000",
    );
    let mut metrics = String::new();
    let lost = |metrics: &str, reason: &str| {
        let reason = format!("reason=\"{reason}\"");
        sample(metrics, "capwatch_events_lost_total", &[&reason]).unwrap_or_default()
    };
    until("all sleepers", || {
        metrics = get(&address, "/metrics").expect("no metrics").1;
        lost(&metrics, "episodes_share") >= 688.0
    });
    assert!(lost(&metrics, "episodes_full") == 0.0);
    for _ in 0..3 {
        testsup(stage, "repeat 100 fork drop chown exit 1 end end exit 0");
    }
    until("every failure", || {
        metrics = get(&address, "/metrics").expect("no metrics").1;
        let fatal = ["supervisor=\"testsup\"", "verdict=\"fatal\""];
        total(&metrics, "capwatch_bounding_drop_episodes_total", &fatal) >= 300.0
    });
    drop(sleepers);
    let killed = Command::new("pkill")
        .args(["-u", "65534", "-x", "testbed"])
        .status();
    assert!(killed.is_ok());
}

/// Processes that end with their test, by the group of the first.
struct Group(Guard);

impl Drop for Group {
    fn drop(&mut self) {
        let group = i32::try_from(self.0.0.id()).expect("a process id");
        // SAFETY: numbers only; the group is the test's own.
        unsafe { libc::kill(-group, libc::SIGKILL) };
    }
}

/// A user namespace that an ordinary user created, and in which he has many ids: those
/// that /etc/subuid would give him.
fn namespace_of_nobody() -> Guard {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--clear-groups", "unshare", "--user"]);
    let namespace = Guard::start(command.args(["sleep", "600"]));
    let pid = namespace.0.id();
    let own = std::fs::read_link("/proc/self/ns/user").expect("no namespace");
    until("the namespace", || {
        std::fs::read_link(format!("/proc/{pid}/ns/user")).is_ok_and(|other| other != own)
    });
    for map in ["uid_map", "gid_map"] {
        std::fs::write(format!("/proc/{pid}/{map}"), "0 300000 5000").expect("cannot map");
    }
    namespace
}

#[test]
fn many_ids_of_one_users_namespace_have_his_share_alone() {
    let Some((stage, _turn)) = crate::stage("subordinate ids") else {
        return;
    };
    let address = free_address();
    let _agent = serve(stage, &[&address]);
    let namespace = namespace_of_nobody();
    let mut sleepers = Command::new("nsenter");
    sleepers.args(["--user", "--setuid", "0", "--setgid", "0", "--target"]);
    sleepers
        .arg(namespace.0.id().to_string())
        .args(["sh", "-c"]);
    sleepers.arg(
        "for id in $(seq 700); do setpriv --reuid $id \"$0\" do drop chown sleep 60000 & done; wait",
    );
    sleepers.arg(stage.path("testbed")).stderr(Stdio::null());
    let _sleepers = Group(Guard::start(sleepers.process_group(0)));
    let mut metrics = String::new();
    until("all sleepers", || {
        metrics = get(&address, "/metrics").expect("no metrics").1;
        let reason = ["reason=\"episodes_share\""];
        sample(&metrics, "capwatch_events_lost_total", &reason).unwrap_or_default() >= 100.0
    });
}

#[test]
fn who_fills_the_ring_loses_his_own_episodes_alone() {
    let Some((stage, _turn)) = crate::stage("the ring") else {
        return;
    };
    let address = free_address();
    let agent = serve(stage, &[&address]);
    // It reads nothing: whatever finds no room in the ring is lost.
    agent.signal(libc::SIGSTOP);
    let mut stormer = nobody(stage, "repeat 5000 fork drop chown exit 1 end end exit 0");
    assert_eq!(stormer.code(), Some(0));
    testsup(stage, "repeat 200 fork drop chown exit 1 end end exit 0");
    agent.signal(libc::SIGCONT);
    let mut metrics = String::new();
    until("every failure", || {
        metrics = get(&address, "/metrics").expect("no metrics").1;
        let fatal = ["supervisor=\"testsup\"", "verdict=\"fatal\""];
        total(&metrics, "capwatch_bounding_drop_episodes_total", &fatal) >= 200.0
    });
    let lost = ["reason=\"state_ring_full\""];
    let lost = sample(&metrics, "capwatch_events_lost_total", &lost).unwrap_or_default();
    // He had his share, and no more.
    assert!((1_000.0..4_900.0).contains(&lost), "{lost}");
}

#[test]
fn a_family_has_its_bound_and_takes_nobody_elses_place() {
    let Some((stage, _turn)) = crate::stage("followers") else {
        return;
    };
    let address = free_address();
    let _agent = serve(stage, &[&address]);
    // Root's, beyond what one episode covers at a time.
    let mut command = Command::new(stage.path("testbed"));
    command.args(["do", "drop", "except:chown", "exec"]);
    command.arg(stage.path("testsup"));
    let steps = "do drop chown repeat 1100 detach sleep 14000 exit 0 end end sleep 3000 exit 1";
    command.args(steps.split_whitespace());
    let mut family = Guard::start(&mut command);
    let mut metrics = String::new();
    until("what finds no room", || {
        metrics = get(&address, "/metrics").expect("no metrics").1;
        let reason = ["reason=\"followers_full\""];
        sample(&metrics, "capwatch_events_lost_total", &reason).unwrap_or_default() >= 50.0
    });
    testsup(stage, "drop chown fork exec true");
    let degraded = ["supervisor=\"testsup\"", "verdict=\"degraded\""];
    until("another family's workload", || {
        metrics = get(&address, "/metrics").expect("no metrics").1;
        total(&metrics, "capwatch_bounding_drop_episodes_total", &degraded) >= 1.0
    });
    assert_eq!(family.code(), Some(1));
    // Some of it ran on for longer than ten seconds.
    until("the family's own end", || {
        metrics = get(&address, "/metrics").expect("no metrics").1;
        total(&metrics, "capwatch_bounding_drop_episodes_total", &degraded) >= 2.0
    });
}
