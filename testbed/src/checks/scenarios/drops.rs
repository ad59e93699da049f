//! What is refused, by whom, and what the verdict is.

use super::Scenario;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        refused_on_a_raised_bit(),
        Scenario::new("refused_on_lowered_bits", "@empty fork clear exit 0")
            .options(&["--fail-on", "fatal,degraded,pending"])
            .shows(&[
                "count(episodes[supervisor=testsup]) == 1",
                "episodes[supervisor=testsup].verdict == harmless",
                "episodes[supervisor=testsup].layer == commoncap",
                "episodes[supervisor=testsup].refused_raised == 0",
                "episodes[supervisor=testsup].refused_lowered == 41",
                "episodes[supervisor=testsup].unknown_capability == 1",
                "episodes[supervisor=testsup].first_refused == null",
                "episodes[supervisor=testsup].residual == []",
                "episodes[supervisor=testsup].bounding_before == 0x0",
                "failed_on == []",
            ]),
        Scenario::new("granted", "@full fork clear exec testload do exit 0")
            .options(&["--fail-on", "fatal,degraded,pending"])
            .shows(&[
                "count(episodes) == 1",
                "episodes.supervisor == testsup",
                "episodes.verdict == ok",
                "episodes.layer == null",
                "episodes.refused_raised == 0",
                "episodes.refused_lowered == 0",
                "episodes.bounding_after == 0x0",
                "episodes.residual == []",
                "episodes.retried == false",
                "episodes.fate == exec",
                // 41 drops, and the one beyond the last capability.
                "sum(episodes.drops) == 42",
                "episodes.unknown_capability == 1",
            ]),
        Scenario::new(
            "refused_then_exec",
            "@chown fork drop all exec testload do exit 0",
        )
        .shows(&[
            "count(episodes[supervisor=testsup]) == 1",
            "episodes[supervisor=testsup].verdict == degraded",
            "episodes[supervisor=testsup].layer == commoncap",
            "episodes[supervisor=testsup].refused_raised == 1",
            "episodes[supervisor=testsup].refused_lowered == 40",
            "episodes[supervisor=testsup].residual == [\"chown\"]",
            "episodes[supervisor=testsup].fate == exec",
            "episodes[supervisor=testsup].exit == null",
        ]),
        Scenario::new(
            "refused_then_retried",
            "@chown+setpcap fork lower setpcap drop chown raise setpcap drop chown exit 0",
        )
        .options(&["--fail-on", "fatal,degraded,pending"])
        .shows(&[
            "count(episodes[supervisor=testsup]) == 1",
            "episodes[supervisor=testsup].verdict == ok",
            "episodes[supervisor=testsup].retried == true",
            "episodes[supervisor=testsup].drops == 2",
            "episodes[supervisor=testsup].refused_raised == 1",
            "episodes[supervisor=testsup].first_refused == chown",
            "episodes[supervisor=testsup].bounding_after == 0x100",
            "episodes[supervisor=testsup].residual == []",
        ]),
        Scenario::new(
            "unknown_capabilities",
            "@chown fork drop 41,63,64,4294967296 exit 0",
        )
        .options(&["--fail-on", "fatal,degraded,pending"])
        .shows(&[
            "count(episodes[supervisor=testsup]) == 1",
            "episodes[supervisor=testsup].unknown_capability == 4",
            "episodes[supervisor=testsup].refused_raised == 0",
            "episodes[supervisor=testsup].refused_lowered == 0",
            "episodes[supervisor=testsup].first_refused == null",
            "episodes[supervisor=testsup].residual == []",
            "count(episodes[verdict=fatal]) == 0",
            "failed_on == []",
        ]),
        Scenario::new(
            "as_the_incident_did",
            "testbed do drop except:0,2,3,6,7,12,19,21,34 exec testsup incident -- testload do",
        )
        .exits(1)
        .shows(&[
            "count(episodes[supervisor=testsup]) == 1",
            "episodes[supervisor=testsup].verdict == fatal",
            "episodes[supervisor=testsup].refused_raised == 1",
            "episodes[supervisor=testsup].first_refused == chown",
            "episodes[supervisor=testsup].bounding_before == 0x4002810cd",
            "episodes[supervisor=testsup].fate == exit",
        ]),
        many_short_lives(),
    ]
}

/// By the gate of 32-bit tasks, whose numbers and registers are others.
#[cfg(target_arch = "x86_64")]
pub fn of_32_bits() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "refused_to_32_bits",
            "@chown fork drop32 chown,setpcap,41,chown exit 0",
        )
        .shows(&[
            "count(episodes[supervisor=testsup]) == 1",
            "episodes[supervisor=testsup].verdict == fatal",
            "episodes[supervisor=testsup].layer == commoncap",
            "episodes[supervisor=testsup].drops == 4",
            "episodes[supervisor=testsup].refused_raised == 2",
            "episodes[supervisor=testsup].refused_lowered == 1",
            "episodes[supervisor=testsup].unknown_capability == 1",
            "episodes[supervisor=testsup].first_refused == chown",
            "sum(denials[supervisor=testsup, capability=setpcap].count) == 4",
        ]),
        Scenario::new(
            "granted_to_32_bits",
            "@full fork drop32 all exec testload do exit 0",
        )
        .shows(&[
            "count(episodes[supervisor=testsup]) == 1",
            "episodes[supervisor=testsup].verdict == ok",
            "episodes[supervisor=testsup].drops == 41",
            "episodes[supervisor=testsup].bounding_after == 0x0",
            "episodes[supervisor=testsup].fate == exec",
        ]),
    ]
}

/// There is no such gate.
#[cfg(not(target_arch = "x86_64"))]
pub fn of_32_bits() -> Vec<Scenario> {
    Vec::new()
}

fn refused_on_a_raised_bit() -> Scenario {
    Scenario::new("refused_on_a_raised_bit", "@chown fork clear")
        .exits(1)
        .shows(&[
            "count(episodes[supervisor=testsup]) == 1",
            "episodes[supervisor=testsup].verdict == fatal",
            "episodes[supervisor=testsup].role == supervisor",
            "episodes[supervisor=testsup].layer == commoncap",
            "episodes[supervisor=testsup].profile == null",
            "episodes[supervisor=testsup].drops == 1",
            "episodes[supervisor=testsup].refused_raised == 1",
            "episodes[supervisor=testsup].refused_lowered == 0",
            "episodes[supervisor=testsup].first_refused == chown",
            "episodes[supervisor=testsup].retried == false",
            "episodes[supervisor=testsup].bounding_before == 0x1",
            "episodes[supervisor=testsup].bounding_after == 0x1",
            "episodes[supervisor=testsup].effective == 0x1",
            "episodes[supervisor=testsup].residual == [\"chown\"]",
            "episodes[supervisor=testsup].fate == exit",
            "episodes[supervisor=testsup].exit.code == 1",
            "episodes[supervisor=testsup].exit.signal == null",
            "episodes[supervisor=testsup].comm == testsup",
            "episodes[supervisor=testsup].user_namespace.level == 0",
            "episodes[supervisor=testsup].explanation ~ chown",
            "episodes[supervisor=testsup].explanation ~ commoncap",
            // What prepared the set for it belongs to no supervisor.
            "count(episodes[inferred=true]) == 1",
            "episodes[inferred=true].verdict == ok",
            "episodes[inferred=true].comm == testbed",
            "episodes[inferred=true].drops == 40",
            "episodes[inferred=true].fate == exec",
            "episodes[inferred=true].bounding_after == 0x1",
            "episodes[inferred=true].layer == null",
        ])
}

fn many_short_lives() -> Scenario {
    Scenario::new(
        "many_short_lives",
        "@chown repeat 20 fork clear end end exit 0",
    )
    .shows(&[
        "count(episodes[supervisor=testsup]) == 20",
        "episodes[supervisor=testsup].verdict == fatal",
        "episodes[supervisor=testsup].refused_raised == 1",
        "episodes[supervisor=testsup].role == supervisor",
        "min(episodes[supervisor=testsup].duration_seconds) < 0.1",
    ])
}
