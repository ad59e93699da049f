//! An episode is a process's, whichever of its threads drops, execs or ends.

use super::Scenario;

pub fn scenarios() -> Vec<Scenario> {
    let one = "count(episodes[supervisor=testsup]) == 1";
    let degraded = "episodes[supervisor=testsup].verdict == degraded";
    let fatal = "episodes[supervisor=testsup].verdict == fatal";
    let exec = "episodes[supervisor=testsup].fate == exec";
    vec![
        Scenario::new(
            "drop_on_one_exec_on_another",
            "@chown fork thread drop chown sleep 20 end thread exec testload do exit 0",
        )
        .shows(&[
            one,
            degraded,
            exec,
            "episodes[supervisor=testsup].residual == [\"chown\"]",
        ]),
        Scenario::new(
            "drop_by_the_leader_exec_on_a_thread",
            "@chown fork drop chown thread exec testload do exit 0",
        )
        .shows(&[one, degraded, exec]),
        Scenario::new(
            "drop_on_a_living_thread_exec_by_the_leader",
            "@chown fork async drop chown sleep 60000 end sleep 50 exec testload do exit 0",
        )
        .shows(&[one, degraded, exec]),
        Scenario::new(
            "thread_drops_and_ends_before_the_exec",
            "@chown fork thread drop chown end sleep 50 exec testload do exit 0",
        )
        .shows(&[
            one,
            degraded,
            exec,
            "episodes[supervisor=testsup].refused_raised == 1",
        ]),
        Scenario::new(
            "leader_ends_first_and_a_thread_execs",
            "@chown fork async sleep 100 execute testload do exit 0 done end drop chown leave",
        )
        .shows(&[one, degraded, exec]),
        Scenario::new(
            "drops_on_every_thread",
            "@chown fork threads 8 drop chown,chown end exit 4",
        )
        .exits(4)
        .shows(&[one, fatal, "episodes[supervisor=testsup].exit.code == 4"])
        .counts(&[
            ("sum(episodes[supervisor=testsup].drops)", 16),
            ("sum(episodes[supervisor=testsup].refused_raised)", 16),
            (
                "sum(denials[supervisor=testsup, capability=setpcap].count)",
                16,
            ),
        ]),
        Scenario::new(
            "granted_on_every_thread",
            "@full fork threads 4 drop all end drop all exec testload do exit 0",
        )
        .shows(&[
            one,
            "episodes[supervisor=testsup].verdict == ok",
            "episodes[supervisor=testsup].bounding_after == 0x0",
            exec,
        ])
        .counts(&[("sum(episodes[supervisor=testsup].drops)", 205)]),
        Scenario::new(
            "one_thread_of_two_ends",
            "@chown fork async sleep 200 exit 6 end drop chown leave",
        )
        .exits(6)
        .shows(&[one, fatal, "episodes[supervisor=testsup].exit.code == 6"]),
    ]
}
