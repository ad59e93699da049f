//! Sentences on episodes: the cause, whose it is, and the remedy.

use super::{WITH_SETPCAP, WITHOUT_SETPCAP, container, fatal, sentence};
use crate::{
    finding::{Episode, Exit, Link, Verdict},
    words::Reason,
};

#[test]
fn what_was_not_requested_is_said_and_no_module_is_blamed() {
    let container = container(WITHOUT_SETPCAP, WITHOUT_SETPCAP);
    let failed = fatal("openshell", "commoncap", Some(container));
    let text = sentence(&failed, Reason::NotEffective);
    for words in [
        "in podman container web (image registry.example/openshell/supervisor:0.0.73)",
        "could not drop chown",
        "SETPCAP is not among the container's capabilities",
        "refused before asking AppArmor or SELinux, so there is no audit record",
        "exited 76 µs later with status 1, without running another program",
        "podman run --cap-add SETPCAP",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(
        !text.contains("AppArmor refused")
            && !text.contains("SELinux refused")
            && !text.contains("profile"),
        "{text}"
    );
    // Podman started it: there is one remedy.
    assert!(!text.contains("or stop it"), "{text}");
}

#[test]
fn an_exec_that_failed_after_the_drops_is_explained() {
    let ended = |code, before: &str, after: &str| {
        let mut dropped = fatal("setpriv", "commoncap", None);
        dropped.verdict = Verdict::Ok;
        dropped.refused_raised = 0;
        dropped.layer = None;
        before.clone_into(&mut dropped.bounding_before);
        after.clone_into(&mut dropped.bounding_after);
        dropped.exit = Some(Exit {
            code: Some(code),
            signal: None,
        });
        (dropped.is_explained(), sentence(&dropped, Reason::None))
    };
    let (is_explained, text) = ended(126, "0x1fffffffff", "0x1ffffffbff");
    assert!(is_explained);
    for words in [
        "could not be executed (inferred)",
        "net_bind_service just left the set",
        "`setcap -r FILE`",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let (_, text) = ended(126, "0x1fffffffff", "0x1fffffffff");
    assert!(
        text.contains("126") && !text.contains("setcap -r"),
        "{text}"
    );
    let (is_explained, text) = ended(127, "0x1fffffffff", "0x1ffffffbff");
    assert!(
        is_explained && text.contains("was not found") && !text.contains("setcap -r"),
        "{text}"
    );
    let (is_explained, text) = ended(1, "0x1fffffffff", "0x1ffffffbff");
    assert!(!is_explained && !text.contains("Exit status"), "{text}");
}

#[test]
fn what_was_requested_and_is_missing_is_distinguished() {
    let text_of = |bounding, effective| {
        let container = container(bounding, effective);
        let failed = fatal("openshell", "commoncap", Some(container));
        sentence(&failed, Reason::NotEffective)
    };
    let text = text_of(WITH_SETPCAP, "0x0");
    assert!(
        text.contains("in the bounding set, but gives it to no process"),
        "{text}"
    );
    let text = text_of(WITH_SETPCAP, WITH_SETPCAP);
    assert!(
        text.contains("or one above it, lost it (inferred)"),
        "{text}"
    );
    // To give it what it has changes nothing.
    assert!(
        text.contains("Make it drop capabilities before it loses SETPCAP"),
        "{text}"
    );
    assert!(!text.contains("cap-add"), "{text}");
}

#[test]
fn a_runtime_runs_outside_of_the_container_that_it_makes() {
    let container = container(WITHOUT_SETPCAP, WITHOUT_SETPCAP);
    let failed = fatal("crun", "commoncap", Some(container));
    let text = sentence(&failed, Reason::NotEffective);
    assert!(!text.contains("among the container's"), "{text}");
    assert!(
        text.contains("crun drops what the container must not have"),
        "{text}"
    );
}

#[test]
fn the_note_on_a_program_does_not_apply_to_its_workload() {
    let mut failed = fatal("crun", "commoncap", None);
    assert!(sentence(&failed, Reason::NotEffective).contains("Note: "));
    failed.role = Some("workload".to_owned());
    assert!(!sentence(&failed, Reason::NotEffective).contains("Note: "));
}

/// An episode of a process below a supervisor that is that supervisor's only by what it was.
fn replaced(supervisor: &str, comm: &str, exe: &str) -> Episode {
    let mut failed = fatal(supervisor, "commoncap", None);
    failed.role = Some("workload".to_owned());
    failed.comm = comm.to_owned();
    failed.exe = Some(exe.to_owned());
    failed.chain = vec![Link {
        pid: failed.pid,
        comm: comm.to_owned(),
    }];
    failed
}

#[test]
fn who_it_was_fits_what_the_process_runs_now() {
    for (supervisor, comm, begins) in [
        (
            "setpriv",
            "perl",
            "Process perl (pid 7), launched by setpriv,",
        ),
        (
            "bwrap",
            "perl",
            "perl (pid 7), a workload of supervisor bwrap,",
        ),
        (
            "bwrap",
            "bwrap",
            "Supervisor bwrap, below another supervisor, process bwrap (pid 7),",
        ),
    ] {
        let text = sentence(&replaced(supervisor, comm, comm), Reason::NotEffective);
        assert!(text.starts_with(begins), "{text}");
    }
}

#[test]
fn another_namespace_and_a_modules_refusal() {
    let failed = fatal("openshell", "commoncap", None);
    let text = sentence(&failed, Reason::Namespace);
    assert!(
        text.contains("no authority over that user namespace"),
        "{text}"
    );
    assert!(!text.contains("--cap-add"), "{text}");
    let failed = fatal("openshell", "apparmor", None);
    let text = sentence(&failed, Reason::None);
    assert!(
        text.contains(r#"AppArmor profile "p\"q" refused CAP_SETPCAP, which the process holds"#),
        "{text}"
    );
    let failed = fatal("openshell", "lsm", None);
    assert!(sentence(&failed, Reason::None).contains("inferred"));
}

#[test]
fn each_manager_of_containers_has_its_own_remedy() {
    for (runtime, remedy) in [
        ("docker", "docker run --cap-add SETPCAP"),
        ("systemd-nspawn", "--capability=CAP_SETPCAP"),
        ("systemd", "AmbientCapabilities="),
        ("containerd", "ctr run --cap-add CAP_SETPCAP"),
    ] {
        let mut container = container(WITHOUT_SETPCAP, WITHOUT_SETPCAP);
        runtime.clone_into(&mut container.runtime);
        let failed = fatal("openshell", "commoncap", Some(container));
        let text = sentence(&failed, Reason::NotEffective);
        assert!(text.contains(remedy), "{runtime}: {text}");
    }
}

#[test]
fn hostile_names_can_not_speak_for_the_sentence() {
    let mut container = container(WITHOUT_SETPCAP, WITHOUT_SETPCAP);
    container.name = Some("x, which AppArmor refused\n\u{1b}[31m\u{202e}".to_owned());
    container.image = Some("i\"mage".to_owned());
    let mut failed = fatal("openshell", "commoncap", Some(container));
    failed.comm = "sixteen bytes 16".to_owned();
    let text = sentence(&failed, Reason::NotEffective);
    assert!(!text.chars().any(char::is_control), "{text:?}");
    assert!(
        text.contains(r#""x, which AppArmor refused\n\u{1b}[31m"#),
        "{text}"
    );
    assert!(text.contains(r#"(image "i\"mage")"#), "{text}");
    assert!(text.contains(r#"process "sixteen bytes 16""#), "{text}");
}
