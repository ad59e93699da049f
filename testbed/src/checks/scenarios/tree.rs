//! Whose it is: owner and role, however the process came to be.

use super::Scenario;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("double_forked_into_a_session", "@chown orphan drop chown exit 1").shows(&[
            "count(episodes[supervisor=testsup]) == 1",
            "episodes[supervisor=testsup].verdict == fatal",
            "episodes[supervisor=testsup].role == supervisor",
            "episodes[supervisor=testsup].exit.code == 1",
        ]),
        Scenario::new(
            "a_workload_drops",
            "@chown fork exec testload do orphan fork drop chown exit 1",
        )
        .shows(&[
            "count(episodes[supervisor=testsup]) == 1",
            "episodes[supervisor=testsup].role == workload",
            "episodes[supervisor=testsup].comm == testload",
            "episodes[supervisor=testsup].verdict == fatal",
        ]),
        Scenario::new(
            "a_supervisor_below_a_workload",
            "@chown fork exec testload do fork exec testsup2 do fork clear",
        )
        .exits(1)
        .shows(&[
            "count(episodes[supervisor=testsup2]) == 1",
            "episodes[supervisor=testsup2].role == workload",
            "count(episodes[supervisor=testsup]) == 0",
        ]),
        Scenario::new(
            "a_supervisor_in_a_runtimes_container",
            "testbed do drop except:chown exec testrun do fork exec testload do fork exec testsup do fork clear",
        )
        .exits(1)
        .shows(&[
            "count(episodes[supervisor=testsup]) == 1",
            "episodes[supervisor=testsup].role == supervisor",
            "episodes[supervisor=testsup].verdict == fatal",
            "count(episodes[supervisor=testrun]) == 0",
        ]),
        Scenario::new(
            "nobodys_process",
            "testbed do drop except:chown exec testload do fork clear",
        )
        .options(&["--fail-on", "fatal"])
        .fails(1)
        .shows(&[
            "count(episodes[verdict=fatal]) == 1",
            "episodes[verdict=fatal].supervisor == testload",
            "episodes[verdict=fatal].inferred == true",
            "episodes[verdict=fatal].role == supervisor",
            "episodes[verdict=fatal].explanation ~ suggest",
            "episodes[verdict=fatal].comm == testload",
        ]),
        Scenario::new("a_process_of_its_own_name", "@chown fork exec testload do exit 7")
            .exits(7)
            .shows(&["count(episodes[inferred=false]) == 0"]),
    ]
}
