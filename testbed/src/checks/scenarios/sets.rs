//! The verdict follows the set: who runs in the end with what should be gone.

use super::Scenario;

/// Every process that a supervisor's refused drop can end in, and what the set
/// of its workload is.
pub fn scenarios() -> Vec<Scenario> {
    let mut all = launchers();
    all.extend(ends());
    all.extend(namespaces());
    all.extend(never_tried());
    all.extend(threads());
    all
}

/// A launcher that is refused, and what it forks then runs with the set.
fn launchers() -> Vec<Scenario> {
    let one = "count(episodes[supervisor=testsup]) == 1";
    let degraded = "episodes[supervisor=testsup].verdict == degraded";
    let exec = "episodes[supervisor=testsup].fate == exec";
    let left = "episodes[supervisor=testsup].residual == [\"chown\"]";
    let workload = "episodes[supervisor=testsup].workload.exe == testload";
    let launched = |name, command| {
        Scenario::new(name, command)
            .options(&["--fail-on", "degraded"])
            .fails(0)
            .shows(&[one, degraded, exec, left, workload])
    };
    vec![
        launched(
            "refused_then_a_child_execs",
            "@chown drop chown fork execute testload do exit 0 done end exit 0",
        )
        .shows(&["episodes[supervisor=testsup].workload.count == 1"]),
        launched(
            "refused_then_posix_spawn",
            "@chown drop chown spawn testload do exit 0 done exit 0",
        ),
        launched(
            "refused_then_a_double_fork",
            "@chown drop chown orphan execute testload do exit 0 done end exit 0",
        ),
        launched(
            "refused_then_a_daemon_whose_first_process_ends",
            "@chown drop chown detach sleep 300 execute testload do exit 0 done end exit 0",
        ),
        launched(
            "one_of_two_children_execs",
            "@chown drop chown fork exit 0 end fork execute testload do exit 0 done end exit 0",
        ),
        launched(
            "three_children_exec",
            "@chown drop chown repeat 3 fork execute testload do exit 0 done end end exit 0",
        )
        .shows(&["episodes[supervisor=testsup].workload.count == 3"]),
        Scenario::new(
            "three_children_end",
            "@chown drop chown repeat 3 fork exit 0 end end exit 1",
        )
        .exits(1)
        .shows(&[
            one,
            "episodes[supervisor=testsup].verdict == fatal",
            "episodes[supervisor=testsup].exit.code == 1",
        ]),
        Scenario::new(
            "forked_before_the_refusal",
            "@chown detach sleep 400 execute testload do exit 0 done end drop chown exit 1",
        )
        .exits(1)
        .shows(&[one, "episodes[supervisor=testsup].verdict == fatal"]),
        Scenario::new(
            "each_child_has_an_episode_of_its_own",
            "@chown drop chown fork drop chown execute testload do exit 0 done end exit 0",
        )
        .shows(&[
            "count(episodes[supervisor=testsup]) == 2",
            degraded,
            workload,
        ]),
        Scenario::new(
            "a_zygote_with_a_workload",
            "@chown drop chown fork execute testload do exit 0 done end sleep 400 fork execute testload do exit 0 done end exit 0",
        )
        .shows(&[
            one,
            degraded,
            "episodes[supervisor=testsup].workload.count == 2",
        ]),
        Scenario::new(
            "a_loop_that_breaks_off",
            "testbed do drop except:chown,kill,setuid,net_raw exec testsup do fork drop chown exec testload do exit 0",
        )
        .shows(&[
            one,
            degraded,
            "episodes[supervisor=testsup].drops == 1",
            "episodes[supervisor=testsup].bounding_after == 0x20a1",
            "episodes[supervisor=testsup].explanation ~ stopped trying",
            "episodes[supervisor=testsup].explanation ~ whole set of 4",
        ]),
        Scenario::new(
            "a_loop_that_breaks_off_where_the_rule_empties",
            "testbed do drop except:chown,kill,setuid,net_raw exec testempty do fork drop chown exec testload do exit 0",
        )
        .shows(&[
            "count(episodes[supervisor=testempty]) == 1",
            "episodes[supervisor=testempty].verdict == degraded",
            "episodes[supervisor=testempty].residual == [\"chown\",\"kill\",\"setuid\",\"net_raw\"]",
        ]),
    ]
}

/// Who carries on, and who ends soon.
fn ends() -> Vec<Scenario> {
    let one = "count(episodes[supervisor=testsup]) == 1";
    let degraded = "episodes[supervisor=testsup].verdict == degraded";
    let carried_on = "episodes[supervisor=testsup].fate == carried_on";
    vec![
        Scenario::new(
            "served_and_was_stopped",
            "@chown fork drop chown sleep 1200 kill 15",
        )
        .exits(143)
        .shows(&[
            one,
            degraded,
            carried_on,
            "episodes[supervisor=testsup].exit.signal == 15",
        ]),
        Scenario::new(
            "served_and_ended_with_code_0",
            "@chown fork drop chown sleep 1200 exit 0",
        )
        .shows(&[one, degraded, carried_on]),
        Scenario::new(
            "gave_up_after_a_while",
            "@chown fork drop chown sleep 1200 exit 1",
        )
        .exits(1)
        .shows(&[one, "episodes[supervisor=testsup].verdict == fatal"]),
        Scenario::new(
            "carries_on_for_a_quarter_of_a_minute",
            "@chown fork drop chown sleep 15000 exit 7",
        )
        .exits(7)
        .shows(&[
            one,
            degraded,
            carried_on,
            "episodes[supervisor=testsup].exit.code == 7",
        ]),
    ]
}

/// A new user namespace fills the set again.
fn namespaces() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "granted_then_refilled",
            "@full fork drop all unshare exec testload do exit 0",
        )
        .options(&["--fail-on", "fatal,degraded,pending"])
        .shows(&[
            "count(episodes[supervisor=testsup]) == 1",
            "episodes[supervisor=testsup].verdict == ok",
            "episodes[supervisor=testsup].refused_raised == 0",
            "episodes[supervisor=testsup].layer == null",
            "episodes[supervisor=testsup].refilled == true",
            "episodes[supervisor=testsup].explanation ~ new user namespace",
        ]),
        Scenario::new(
            "refused_then_refilled",
            "@chown fork drop chown unshare exec testload do exit 0",
        )
        .options(&["--fail-on", "fatal,degraded,pending"])
        .shows(&[
            "count(episodes[supervisor=testsup]) == 1",
            "episodes[supervisor=testsup].verdict == ok",
            "episodes[supervisor=testsup].refilled == true",
            "episodes[supervisor=testsup].refused_raised == 1",
        ]),
        Scenario::new(
            "emptied_again_in_the_new_namespace",
            "@full fork drop all unshare drop all exec testload do exit 0",
        )
        .options(&["--fail-on", "fatal,degraded,pending"])
        .shows(&[
            "episodes[supervisor=testsup].verdict == ok",
            "episodes[supervisor=testsup].drops == 82",
            "episodes[supervisor=testsup].refused_raised == 0",
            "episodes[supervisor=testsup].bounding_after == 0x0",
        ]),
    ]
}

/// A rule that empties, and a supervisor that makes no call.
fn never_tried() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "never_tried",
            "testbed do drop setpcap exec testempty do fork exec testload do exit 0",
        )
        .options(&["--fail-on", "degraded"])
        .fails(0)
        .shows(&[
            "count(episodes[supervisor=testempty]) == 1",
            "episodes[supervisor=testempty].verdict == degraded",
            "episodes[supervisor=testempty].role == supervisor",
            "episodes[supervisor=testempty].skipped == true",
            "episodes[supervisor=testempty].drops == 0",
            "episodes[supervisor=testempty].workload.exe == testload",
            "episodes[supervisor=testempty].explanation ~ probably because CAP_SETPCAP was not effective",
        ]),
        Scenario::new(
            "a_helper_is_no_workload",
            "testempty do fork exec testhelp do exit 0",
        )
        .options(&["--fail-on", "degraded"])
        .shows(&["count(episodes) == 0", "failed_on == []"]),
        Scenario::new(
            "tried_a_part",
            "testempty do fork drop chown exec testload do exit 0",
        )
        .options(&["--fail-on", "degraded"])
        .fails(0)
        .shows(&[
            "count(episodes[supervisor=testempty]) == 1",
            "episodes[supervisor=testempty].verdict == degraded",
            "episodes[supervisor=testempty].skipped == true",
            "episodes[supervisor=testempty].drops == 1",
        ]),
        Scenario::new(
            "emptied_as_the_rule_says",
            "testempty do fork drop all exec testload do exit 0",
        )
        .options(&["--fail-on", "fatal,degraded,pending"])
        .shows(&[
            "count(episodes[supervisor=testempty]) == 1",
            "episodes[supervisor=testempty].verdict == ok",
            "episodes[supervisor=testempty].skipped == false",
        ]),
    ]
}

/// A set is a thread's.
fn threads() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "lowered_on_one_thread_exec_on_another",
            "@full fork thread drop all end exec testload do exit 0",
        )
        .options(&["--fail-on", "degraded"])
        .fails(0)
        .shows(&[
            "count(episodes[supervisor=testsup]) == 1",
            "episodes[supervisor=testsup].verdict == degraded",
            "episodes[supervisor=testsup].refused_raised == 0",
            "count(episodes[supervisor=testsup].residual) >= 40",
            "episodes[supervisor=testsup].dropping_thread > 0",
            "episodes[supervisor=testsup].explanation ~ Each thread has its own set",
        ]),
        Scenario::new(
            "lowered_on_one_thread_forked_on_another",
            "@full async drop all sleep 1000 end sleep 300 spawn testload do exit 0 done exit 0",
        )
        .shows(&[
            "count(episodes[supervisor=testsup]) == 1",
            "episodes[supervisor=testsup].verdict == degraded",
            "episodes[supervisor=testsup].workload.exe == testload",
        ]),
    ]
}
