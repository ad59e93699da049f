//! Streams that something other than this capwatch wrote.

use crate::said;

/// As Python's json.dumps, jq and Vector write it.
#[test]
fn a_stream_that_others_wrote_again_is_one() {
    let spaced = r#"{"schema": "capwatch.event/1", "time": "2026-11-26T00:00:00.000000Z", "kind": "header", "version": "0.1.0", "host": {"kernel": "6.12", "lsm": [], "boot_id": "b"}, "hooks": [], "sources": [], "command": null}"#;
    let sorted = r#"{"boot":1,"kind":"header","schema":"capwatch.event/1","time":"2026-11-26T00:00:00.000000Z","version":"0.1.0","host":{"kernel":"6.12","lsm":[],"boot_id":"b"},"hooks":[],"sources":[],"command":null}"#;
    for stream in [spaced, sorted] {
        let (code, out, error) = said(format!("{stream}\n"), &[]);
        assert_eq!(code, Some(1), "it was cut short");
        assert!(out.contains("kernel 6.12"), "{out}");
        assert!(error.contains("it was cut short after line 1"), "{error}");
    }
    let (_, _, error) = said(spaced.replace(", ", ",\n  "), &[]);
    assert!(error.contains("line 1"), "pretty-printed: {error}");
}

/// Layers, supervisors and reasons come from the writer of the stream.
#[test]
fn a_foreign_streams_words_are_no_commands() {
    let head = |kind: &str| {
        format!(
            "{{\"schema\":\"capwatch.event/1\",\"time\":\"2026-11-26T00:00:01.000000Z\",\"kind\":\"{kind}\""
        )
    };
    let bad = r"x\u001b[31m\n::error::y\u202e";
    let stream = [
        format!(r#"{},"version":"1","host":{{"kernel":"{bad}","lsm":["{bad}"],"boot_id":"b"}},"hooks":[],"sources":[],"command":null}}"#, head("header")),
        format!(r#"{},"row":"0000000000000001","folded":false,"supervisor":"{bad}","role":"{bad}","container":null,"comm":"{bad}","exe":"{bad}","pid":1,"chain":[],"capability":"{bad}","number":12,"layer":"{bad}","reason":"{bad}","profile":null,"namespace":null,"target_namespace":null,"audited":"yes","expected":false,"own_credentials":true,"via":"{bad}","count":2,"exact":true,"logged":null,"leftover":null,"first":null,"last":null,"explanation":"{bad}"}}"#, head("row")),
        format!(r#"{},"id":"{bad}","verdict":"fatal","retried":false,"supervisor":"{bad}","role":"supervisor","version":"{bad}","container":null,"pid":1,"ppid":1,"comm":"{bad}","exe":"{bad}","layer":"{bad}","profile":"{bad}","drops":1,"refused_raised":1,"refused_lowered":0,"unknown_capability":0,"bounding_before":"{bad}","bounding_after":"{bad}","residual":["{bad}"],"effective":"{bad}","user_namespace":{{"inode":1,"level":0}},"fate":"exit","exit":null,"first_refused":"{bad}","duration_seconds":0.1,"explanation":"{bad}"}}"#, head("episode")),
        format!(r#"{},"stage":"{bad}","reason":"{bad}","count":3}}"#, head("loss")),
        format!(r#"{},"id":"i","verdict":"{bad}"}}"#, head("episode")),
    ]
    .join("\n");
    for form in ["text", "markdown", "junit"] {
        let (_, out, error) = said(&stream, &["-o", form, "--fail-on", "fatal,denied,blind"]);
        assert!(out.contains("1 fatal") || form == "junit", "{form}: {out}");
        assert!(error.contains("line 5"), "{error}");
        for text in [&out, &error] {
            assert!(!text.contains(['\u{1b}', '\u{202e}']), "{form}: {text:?}");
            let command = text
                .lines()
                .find(|line| line.trim_start().starts_with("::"));
            assert_eq!(command, None, "{form}");
        }
    }
}
