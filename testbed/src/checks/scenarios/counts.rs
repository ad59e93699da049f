//! How many checks for SETPCAP an attempt to clear the set costs, as measured
//! with capctl; and a storm, counted to the unit.

use super::Scenario;

pub fn scenarios() -> Vec<Scenario> {
    let refused = "denials[supervisor=testsup, capability=setpcap].layer == commoncap";
    vec![
        Scenario::new("one_denial_with_podmans_set", "@podman fork clear")
            .exits(1)
            .shows(&[
                "sum(denials[supervisor=testsup, capability=setpcap].count) == 1",
                "episodes[supervisor=testsup].first_refused == chown",
                refused,
            ]),
        Scenario::new("thirteen_with_an_odd_set", "@odd fork clear")
            .exits(1)
            .shows(&[
                "sum(denials[supervisor=testsup, capability=setpcap].count) == 13",
                "episodes[supervisor=testsup].verdict == fatal",
                "episodes[supervisor=testsup].refused_lowered == 12",
                "episodes[supervisor=testsup].refused_raised == 1",
                "episodes[supervisor=testsup].first_refused == net_admin",
                refused,
            ]),
        Scenario::new("forty_two_with_an_empty_set", "@empty fork clear exit 0").shows(&[
            "sum(denials[supervisor=testsup, capability=setpcap].count) == 42",
            "denials[supervisor=testsup, capability=setpcap].reason == not_effective",
            "denials[supervisor=testsup, capability=setpcap].role == supervisor",
            "denials[supervisor=testsup, capability=setpcap].own_credentials == true",
            "denials[supervisor=testsup, capability=setpcap].number == 8",
            "denials[supervisor=testsup, capability=setpcap].profile == null",
            "denials[supervisor=testsup, capability=setpcap].explanation ~ setpcap",
            refused,
        ]),
        Scenario::new("none_with_setpcap", "@full fork clear exit 0").shows(&[
            "sum(denials[supervisor=testsup, capability=setpcap].count) == 0",
            "episodes[supervisor=testsup].verdict == ok",
            "episodes[supervisor=testsup].drops == 42",
        ]),
        Scenario::new(
            "storm_of_threads",
            "testsup storm --threads 4 --count 5000 --capability sys_chroot",
        )
        .counts(&[(
            "sum(denials[supervisor=testsup, capability=sys_chroot].count)",
            20_000,
        )])
        .shows(&[
            "denials[capability=sys_chroot].layer == commoncap",
            "count(episodes) == 0",
        ]),
        Scenario::new(
            "storm_of_processes",
            "testsup storm --processes --threads 16 --count 500 --capability sys_time",
        )
        .counts(&[(
            "sum(denials[supervisor=testsup, capability=sys_time].count)",
            8_000,
        )]),
    ]
}
