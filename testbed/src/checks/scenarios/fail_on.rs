//! `--fail-on`: what it takes, and what it leaves alone.

use super::Scenario;

pub fn scenarios() -> Vec<Scenario> {
    let own = |name, command| Scenario::new(name, command).shows(&["failed_on == []"]);
    let fatal = "episodes[supervisor=testsup, role=supervisor].verdict == fatal";
    let workloads = "episodes[supervisor=testsup, role=workload].verdict == fatal";
    vec![
        Scenario::new("fail_on_fatal", "@chown fork clear")
            .options(&["--fail-on", "fatal"])
            .fails(1)
            .shows(&["failed_on ~ fatal"]),
        Scenario::new(
            "fail_on_degraded",
            "@chown fork drop chown exec testload do exit 0",
        )
        .options(&["--fail-on", "fatal,degraded"])
        .fails(0)
        .shows(&["failed_on ~ degraded"]),
        own("fail_on_another_verdict", "@chown fork clear")
            .options(&["--fail-on", "degraded"])
            .exits(1)
            .shows(&[fatal]),
        own("no_fail_on", "@chown fork clear")
            .exits(1)
            .shows(&[fatal]),
        own("three_of_its_own", "testbed do exit 3").exits(3),
        Scenario::new(
            "fail_on_denied",
            "testsup storm --threads 1 --count 1 --capability sys_chroot",
        )
        .options(&["--fail-on", "denied"])
        .fails(0)
        .shows(&["failed_on ~ denied"]),
        own(
            "a_workloads_episode",
            "@chown fork exec testload do fork clear",
        )
        .options(&["--fail-on", "fatal", "--role", "supervisor"])
        .exits(1)
        .shows(&[workloads]),
        Scenario::new("every_role", "@chown fork exec testload do fork clear")
            .options(&["--fail-on", "fatal"])
            .fails(1)
            .shows(&[workloads]),
        Scenario::new("a_supervisors_episode", "@chown fork clear")
            .options(&["--fail-on", "fatal", "--role", "supervisor"])
            .fails(1)
            .shows(&[fatal]),
    ]
}
