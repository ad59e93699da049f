//! The scenarios that every kernel must show, one test each.

use std::collections::BTreeSet;

use testbed::checks::scenarios;

fn play(name: &str) {
    let Some((stage, _turn)) = crate::stage(name) else {
        return;
    };
    let all = scenarios::all();
    let scenario = all.iter().find(|scenario| scenario.name == name);
    if let Err(error) = stage.play(scenario.expect("no such scenario"), "auto") {
        panic!("{error:#}");
    }
}

macro_rules! tests {
    ($($name:ident)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];
        $(#[test]
        fn $name() {
            play(stringify!($name));
        })*
    };
}

tests! {
    one_denial_with_podmans_set
    thirteen_with_an_odd_set
    forty_two_with_an_empty_set
    none_with_setpcap
    storm_of_threads
    storm_of_processes
    refused_on_lowered_bits
    granted
    refused_then_exec
    refused_then_retried
    unknown_capabilities
    as_the_incident_did
    many_short_lives
    refused_on_a_raised_bit
    fail_on_fatal
    fail_on_degraded
    fail_on_another_verdict
    no_fail_on
    three_of_its_own
    fail_on_denied
    every_role
    a_supervisors_episode
    killed_after_a_refusal
    killed_amid_granted_drops
    a_supervisor_execs_another
    still_running
    ends_after_the_command
    setuid_refused_on_purpose
    an_unprivileged_capset
    nothing_at_all
    drop_on_one_exec_on_another
    drop_by_the_leader_exec_on_a_thread
    drop_on_a_living_thread_exec_by_the_leader
    thread_drops_and_ends_before_the_exec
    leader_ends_first_and_a_thread_execs
    drops_on_every_thread
    granted_on_every_thread
    one_thread_of_two_ends
    refused_then_a_child_execs
    refused_then_posix_spawn
    refused_then_a_double_fork
    refused_then_a_daemon_whose_first_process_ends
    one_of_two_children_execs
    three_children_exec
    three_children_end
    forked_before_the_refusal
    each_child_has_an_episode_of_its_own
    a_zygote_with_a_workload
    a_loop_that_breaks_off
    a_loop_that_breaks_off_where_the_rule_empties
    served_and_was_stopped
    served_and_ended_with_code_0
    gave_up_after_a_while
    carries_on_for_a_quarter_of_a_minute
    granted_then_refilled
    refused_then_refilled
    emptied_again_in_the_new_namespace
    never_tried
    a_helper_is_no_workload
    tried_a_part
    emptied_as_the_rule_says
    lowered_on_one_thread_exec_on_another
    lowered_on_one_thread_forked_on_another
    double_forked_into_a_session
    a_workload_drops
    a_workloads_episode
    a_supervisor_below_a_workload
    a_supervisor_in_a_runtimes_container
    nobodys_process
    a_process_of_its_own_name
}

#[cfg(target_arch = "x86_64")]
#[test]
fn drops_by_the_gate_of_32_bit_tasks() {
    play("refused_to_32_bits");
    play("granted_to_32_bits");
}

/// An emulated machine is too slow for this; the kernel at hand is not.
#[test]
fn a_child_may_live_under_a_millisecond() {
    let Some((stage, _turn)) = crate::stage("short lives") else {
        return;
    };
    let all = scenarios::all();
    let name = "many_short_lives";
    let scenario = all.iter().find(|scenario| scenario.name == name);
    let mut scenario = scenario.expect("no such scenario").clone();
    let shortest = "min(episodes[supervisor=testsup].duration_seconds) < 0.001";
    scenario.expectations.push(shortest);
    if let Err(error) = stage.play(&scenario, "auto") {
        panic!("{error:#}");
    }
}

/// `AppArmor`'s need their own kernel: `tests/vm`.
#[test]
fn none_is_forgotten() {
    let all = scenarios::all();
    let elsewhere = |name: &str| name.ends_with("_to_32_bits");
    let native = all
        .iter()
        .filter(|scenario| scenario.group != "apparmor" && !elsewhere(scenario.name));
    let native: BTreeSet<&str> = native.map(|scenario| scenario.name).collect();
    assert_eq!(NAMES.iter().copied().collect::<BTreeSet<_>>(), native);
}
