//! Lines that could not be read or are not believed, and files that are no log.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};

use crate::{DENIED, report, said};

#[test]
fn lines_that_could_not_be_read_are_said_in_every_form_with_the_first_one() {
    let cut = &DENIED[..DENIED.len() - 24];
    let log = format!("{DENIED}\nNov 24 10:22:07 host sshd[12]: hello\n{cut}\n{cut}\n");
    for form in ["text", "markdown", "junit"] {
        let (code, out, _) = said(&log, &["-o", form]);
        assert_eq!(code, Some(0), "{form}");
        let out = out.replace('\\', "");
        assert!(
            out.contains("2 of 4 lines could not be read"),
            "{form}: {out}"
        );
        assert!(
            out.contains("line 3: the record was cut short"),
            "{form}: {out}"
        );
    }
    let report = report(&log);
    assert_eq!(report["log"]["unread"], 2);
    assert_eq!(report["log"]["first_unread"]["line"], 3);
    assert_eq!(report["log"]["records"], 1);
}

#[test]
fn what_another_program_wrote_is_left_out_and_said() {
    let log = format!(
        "{DENIED}\nNov 24 10:22:07 host eve[9]: audit: {}\n",
        DENIED.replace("msg=", "")
    );
    let (code, out, _) = said(&log, &[]);
    assert_eq!(code, Some(0));
    assert!(out.contains("1 of 2 lines left out"), "{out}");
    assert!(out.contains("; 1 denial\n"), "{out}");
}

#[test]
fn a_log_in_which_nothing_is_understood_is_an_error_unless_that_is_wanted() {
    for (log, words) in [
        (
            "Operation: capable\nDenied: sys_nice\n",
            "no line is an audit record",
        ),
        ("", "it is empty"),
        (
            &DENIED[..DENIED.len() - 24],
            "line 1: the record was cut short",
        ),
        ("\x01\x02\x03\x04\x05\x06\n", "binary data"),
    ] {
        let (code, _, error) = said(log, &[]);
        assert_eq!(code, Some(1), "{log}");
        assert!(error.contains("cannot show denials"), "{error}");
        assert!(error.contains(words), "{error}");
        assert_eq!(said(log, &["--lenient"]).0, Some(0), "{log}");
    }
    // A log it is, in which nothing of the kind happened.
    let (code, out, error) = said("Nov 24 10:22:07 host sshd[12]: session opened\n", &[]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    assert!(
        out.contains("none of its 1 lines is an audit record"),
        "{out}"
    );
}

#[test]
fn a_file_that_is_no_log_is_named_with_what_to_do() {
    let packed = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    };
    let wide: Vec<u8> = DENIED.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let journal = [&b"LPKSHHRH"[..], &[0; 200]].concat();
    let picture = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    for (bytes, words) in [
        (wide, "iconv -f UTF-16"),
        (journal.clone(), "journalctl --file FILE -o export"),
        (picture.to_vec(), "not a screenshot"),
        (packed(picture), "unpacked from gzip, it is a picture"),
        (packed(&journal), "a binary journal"),
        (packed(&packed(DENIED.as_bytes())), "packed twice"),
    ] {
        for form in [&[][..], &["--records"]] {
            let (code, out, error) = said(&bytes, form);
            assert_eq!((code, out.as_str()), (Some(1), ""), "{words}");
            assert!(error.contains(words), "{error}");
        }
    }
}
