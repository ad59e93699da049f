//! Every row of the catalogue: recognised by each name that it gives, and reported
//! with its note. A stand-in does what the program does at a refused drop, since
//! not all have a Debian package; what it recorded is read back as a stream.

use std::{fmt::Write as _, fs, path::Path};

use observer::{config::Rules, finding::Verdict};
use serde_json::Value;
use testbed::checks::suite::run;

#[test]
fn every_row_is_recognised_and_shown_with_its_note() {
    let Some((stage, _turn)) = crate::stage("catalogue") else {
        return;
    };
    let rules = Rules::load(None).expect("no catalogue");
    let (directory, stream) = (stage.path("catalogue"), stage.path("catalogue.jsonl"));
    fs::create_dir_all(&directory).expect("no directory");
    let mut script = String::new();
    let mut expected = Vec::new();
    for supervisor in rules.supervisors() {
        // A name with a slash is a memory file's, which no file can have.
        for name in supervisor.exe.iter().filter(|name| !name.contains('/')) {
            let program = directory.join(name);
            let _ = fs::remove_file(&program);
            fs::copy(stage.path("testbed"), &program).expect("cannot copy");
            let program = program.display();
            writeln!(script, "'{program}' do lower setpcap drop chown").expect("no memory");
            writeln!(script, "'{program}' do lower setpcap drop kill exec true")
                .expect("no memory");
            expected.push((name.clone(), supervisor));
        }
    }
    assert!(expected.len() > 20, "the catalogue has few names");

    let mut command = stage.capwatch();
    command.args(["record", "--report", "/dev/null", "--stream"]);
    command.arg(&stream).args(["--", "sh", "-c", &script]);
    let outcome = run(&mut command).expect("no outcome");
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);

    let report = replayed(stage, &stream);
    let episodes = report["episodes"].as_array().expect("no episodes");
    for (name, supervisor) in expected {
        // A thread's name is cut to 15 bytes.
        let comm = &name[..name.len().min(15)];
        for verdict in [Verdict::Fatal, Verdict::Degraded] {
            let found = episodes.iter().find(|one| {
                one["exe"] == name
                    && one["supervisor"] == *supervisor.name
                    && one["verdict"] == verdict.as_str()
            });
            let found = found.unwrap_or_else(|| {
                panic!("{name} is not reported as {}, {verdict}", supervisor.name)
            });
            assert_eq!(found["comm"], comm);
            assert_eq!(found["role"], "supervisor", "{name}");
            assert_eq!(found["inferred"], false, "{name}");
            assert_eq!(found["layer"], "commoncap", "{name}");
            let explanation = found["explanation"].as_str().expect("no explanation");
            let said = |text: &str| explanation.contains(text);
            for note in supervisor.notes(verdict) {
                assert!(said(note), "{name}: {explanation}");
            }
            // A note appears only where it is true.
            for (of, note) in [
                (Verdict::Fatal, &supervisor.note_fatal),
                (Verdict::Degraded, &supervisor.note_degraded),
            ] {
                if let Some(note) = note.as_deref().filter(|_| of != verdict) {
                    assert!(!said(note), "{name}, {verdict}: {explanation}");
                }
            }
            if let Some(remedy) = &supervisor.remedy {
                assert!(
                    said(remedy) && !said("Give it CAP_SETPCAP"),
                    "{name}: {explanation}"
                );
            }
        }
    }
}

fn replayed(stage: &testbed::checks::suite::Stage, stream: &Path) -> Value {
    let mut command = stage.capwatch();
    let outcome = run(command.args(["replay", "-o", "json"]).arg(stream)).expect("no outcome");
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    serde_json::from_str(&outcome.stdout).expect("the report is no JSON")
}
