//! Sentences on refused checks: where granting is not the remedy.

use crate::{
    config::Release,
    correlate::explain::{denial, logged},
    finding::Denial,
    time::Stamp,
};

/// A refused check of a supervisor.
fn refused(capability: &str, number: u32, audited: &str, via: &str) -> Denial {
    let stamp = Stamp(0);
    Denial {
        scope: crate::finding::Scope::Host,
        supervisor: Some("openshell".to_owned()),
        role: Some("supervisor".to_owned()),
        container: None,
        comm: "openshell-sandb".to_owned(),
        exe: None,
        pid: None,
        chain: Vec::new(),
        capability: capability.to_owned(),
        number,
        layer: "commoncap".to_owned(),
        reason: Some("not_effective".to_owned()),
        profile: None,
        namespace: None,
        target_namespace: None,
        audited: audited.to_owned(),
        expected: false,
        own_credentials: true,
        via: via.to_owned(),
        count: 1,
        exact: true,
        logged: None,
        leftover: None,
        first: stamp,
        last: stamp,
        explanation: String::new(),
    }
}

#[test]
fn nobody_is_advised_to_grant_what_memory_accounting_asks_for() {
    let text_of = |audited: &str| {
        denial(
            &refused("sys_admin", 21, audited, "unknown"),
            None,
            None,
            Release::Other,
        )
    };
    assert!(text_of("yes").contains("--cap-add SYS_ADMIN"));
    let unknown = text_of("unknown");
    assert!(unknown.contains("memory accounting"), "{unknown}");
    assert!(!unknown.contains("--cap-add"), "{unknown}");
}

#[test]
fn nobody_is_advised_to_grant_what_the_kernel_asks_in_passing() {
    for (capability, number, via, is_passing) in [
        ("setpcap", 8, "direct", true),
        ("setpcap", 8, "security_capable", false),
        ("setpcap", 8, "unknown", false),
        ("fsetid", 4, "security_capable", true),
        ("chown", 0, "security_capable", false),
    ] {
        let one = refused(capability, number, "yes", via);
        let text = denial(&one, None, None, Release::Other);
        assert_eq!(one.is_notable(), !is_passing, "{text}");
        assert_eq!(text.contains("Give it"), !is_passing, "{text}");
        // Whether a call failed for what it asked is not seen.
        assert_eq!(text.contains("may have succeeded"), !is_passing, "{text}");
        assert_eq!(text.contains("the kernel checks"), is_passing, "{text}");
    }
    // A module refuses what commoncap granted.
    let mut one = refused("setpcap", 8, "yes", "direct");
    one.layer = "apparmor".to_owned();
    assert!(one.is_notable());
}

#[test]
fn for_a_file_its_owner_and_mode_come_first() {
    for (capability, number) in [("dac_override", 1), ("dac_read_search", 2)] {
        let one = refused(capability, number, "yes", "security_capable");
        let text = denial(&one, None, None, Release::Other);
        assert!(one.is_notable());
        assert!(!text.contains("Give it"), "{text}");
        assert!(text.contains("owner or the mode"), "{text}");
        assert!(text.contains("may be harmless"), "{text}");
    }
}

#[test]
fn a_process_without_a_name_has_no_quotes() {
    let mut one = refused("chown", 0, "yes", "unknown");
    one.supervisor = None;
    one.role = None;
    one.comm = String::new();
    one.pid = Some(7);
    one.layer = "apparmor".to_owned();
    one.profile = Some("box".to_owned());
    let text = logged(&one, Release::Other);
    assert!(text.starts_with("Process unknown (pid 7) was"), "{text}");
    assert!(text.contains("If the program needs chown, allow"), "{text}");
    one.comm = "a b".to_owned();
    let text = logged(&one, Release::Other);
    assert!(text.contains("If \"a b\" needs chown, allow"), "{text}");
}
