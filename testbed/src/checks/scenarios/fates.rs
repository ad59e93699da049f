//! What became of the process, and what is no episode at all.

use super::Scenario;

pub fn scenarios() -> Vec<Scenario> {
    let one = "count(episodes[supervisor=testsup]) == 1";
    vec![
        Scenario::new(
            "killed_after_a_refusal",
            "@chown fork drop chown,1,2 kill 9",
        )
        .exits(137)
        .shows(&[
            one,
            "episodes[supervisor=testsup].verdict == fatal",
            "episodes[supervisor=testsup].fate == exit",
            "episodes[supervisor=testsup].exit.signal == 9",
            "episodes[supervisor=testsup].exit.code == null",
            "episodes[supervisor=testsup].drops == 3",
        ]),
        Scenario::new(
            "killed_amid_granted_drops",
            "@full fork drop 0,1,2,3,4 kill 9",
        )
        .exits(137)
        .shows(&[
            one,
            "episodes[supervisor=testsup].verdict == ok",
            "episodes[supervisor=testsup].exit.signal == 9",
            "episodes[supervisor=testsup].drops == 5",
            "episodes[supervisor=testsup].layer == null",
        ]),
        Scenario::new(
            "a_supervisor_execs_another",
            "@chown drop chown exec testsup2 do drop chown exit 1",
        )
        .exits(1)
        .shows(&[
            one,
            "episodes[supervisor=testsup].verdict == degraded",
            "episodes[supervisor=testsup].fate == exec",
            "count(episodes[supervisor=testsup2]) == 1",
            "episodes[supervisor=testsup2].verdict == fatal",
            "episodes[supervisor=testsup2].role == supervisor",
            "episodes[supervisor=testsup2].comm == testsup2",
        ]),
        Scenario::new(
            "still_running",
            "@chown detach drop chown sleep 4000 exit 0 end sleep 300 exit 0",
        )
        .options(&["--fail-on", "pending"])
        .fails(0)
        .shows(&[
            one,
            "episodes[supervisor=testsup].verdict == pending",
            "episodes[supervisor=testsup].fate == running",
            "episodes[supervisor=testsup].exit == null",
            "episodes[supervisor=testsup].residual == [\"chown\"]",
            "command.duration_seconds < 2",
        ]),
        Scenario::new(
            "ends_after_the_command",
            "@chown detach drop chown sleep 700 exit 5",
        )
        .options(&["--fail-on", "fatal"])
        .fails(0)
        .shows(&[
            one,
            "episodes[supervisor=testsup].verdict == fatal",
            "episodes[supervisor=testsup].exit.code == 5",
        ]),
        Scenario::new(
            "setuid_refused_on_purpose",
            "@full fork setuid 65534 setuid 0 exit 0",
        )
        .options(&["--fail-on", "fatal,degraded,pending,denied"])
        .shows(&[
            "count(episodes) == 0",
            "sum(denials[supervisor=testsup, capability=setuid].count) == 1",
            "denials[capability=setuid].expected == true",
            "denials[capability=setuid].layer == commoncap",
            "failed_on == []",
        ]),
        Scenario::new(
            "an_unprivileged_capset",
            "@full fork setuid 65534 capset exit 0",
        )
        .options(&["--fail-on", "fatal,degraded,pending,denied"])
        .shows(&["count(episodes) == 0", "failed_on == []"]),
        Scenario::new("nothing_at_all", "testbed do exit 0")
            .options(&["--fail-on", "fatal,degraded,pending,denied"])
            .shows(&["count(episodes) == 0", "failed_on == []"]),
    ]
}
