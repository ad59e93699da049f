//! `capwatch man`: an overview, and a page for each command, with what clap does not
//! know: exit status, files, examples.

use std::io::{self, Write};

use anyhow::bail;

use super::args::public_command;

/// A word or a line, and what it means.
type Meaning = (&'static str, &'static str);

/// What a command's page has besides.
struct More {
    name: &'static str,
    exits: &'static [Meaning],
    files: &'static [Meaning],
    examples: &'static [Meaning],
}

const DONE: Meaning = ("0", "The command succeeded.");
const FAILED: Meaning = (
    "1",
    "capwatch failed; stderr shows the cause and the remedy.",
);
const MISUSED: Meaning = ("2", "The arguments are wrong.");
const GATED: Meaning = ("3", "--fail-on matched; the report says what.");
const RULES: Meaning = (
    "/etc/capwatch/capwatch.toml",
    "Rules for supervisors, and in its table [run] each option of run by its long name; \
     name it with --config, as the packaged service does.",
);

const OVERVIEW: More = More {
    name: "",
    exits: &[
        (
            "0",
            "The command succeeded; record exits with the status of its command.",
        ),
        FAILED,
        MISUSED,
        (
            "3",
            "A gate matched: --fail-on of record and replay, --check of probe.",
        ),
    ],
    files: &[RULES],
    examples: &[
        (
            "capwatch doctor",
            "Check what capwatch can see on this host.",
        ),
        (
            "capwatch record -- ./start-sandbox",
            "Find out which layer refuses which capability to a command.",
        ),
        ("capwatch run", "The agent, with metrics and a page."),
    ],
};

const PAGES: [More; 10] = [
    More {
        name: "run",
        exits: &[("0", "TERM or INT stopped it."), FAILED, MISUSED],
        files: &[RULES],
        examples: &[
            ("capwatch run", "Metrics and the page on 127.0.0.1:11400."),
            (
                "capwatch run --config /etc/capwatch/capwatch.toml --events /var/log/capwatch.jsonl",
                "With rules of your own, and findings kept for replay.",
            ),
        ],
    },
    More {
        name: "watch",
        exits: &[("0", "q, Ctrl-C or TERM ended it."), FAILED, MISUSED],
        files: &[],
        examples: &[
            ("capwatch watch --verdict fatal,degraded", "Failed drops."),
            (
                "capwatch watch --container web --capability net_admin",
                "One capability in one container.",
            ),
        ],
    },
    More {
        name: "record",
        exits: &[
            (
                "N",
                "The command's own; 128 and a signal's number where one ended it.",
            ),
            (
                "126, 127",
                "The command cannot be executed; it is not found.",
            ),
            FAILED,
            MISUSED,
            GATED,
        ],
        files: &[],
        examples: &[
            (
                "capwatch record --fail-on fatal,degraded,blind -- podman run --rm alpine true",
                "A gate in a pipeline.",
            ),
            (
                "capwatch record --stream run.jsonl -o markdown --report report.md -- make test",
                "A report for people, and a recording from which replay makes the other forms.",
            ),
        ],
    },
    More {
        name: "replay",
        exits: &[
            DONE,
            (
                "1",
                "replay could not read the file to its end, the file is no log, or no line is an \
                 audit record (see --lenient). The report covers the lines that replay read.",
            ),
            MISUSED,
            GATED,
        ],
        files: &[(
            "/var/log/audit/audit.log",
            "The log of auditd; replay reads only the file on its command line.",
        )],
        examples: &[
            (
                "capwatch replay /var/log/audit/audit.log",
                "Report on the log of auditd.",
            ),
            (
                "journalctl -k -o export | capwatch replay -",
                "The kernel's log, where no auditd runs.",
            ),
            (
                "capwatch replay --fail-on denied,blind audit.log",
                "A log as a gate; lines that could not be read fail it too.",
            ),
        ],
    },
    More {
        name: "doctor",
        exits: &[
            ("0", "capwatch sees everything that matters here."),
            (
                "1",
                "capwatch cannot see something; the output has a remedy for each problem.",
            ),
            MISUSED,
        ],
        files: &[],
        examples: &[("capwatch doctor", "The first command on a new host.")],
    },
    More {
        name: "probe",
        exits: &[
            DONE,
            FAILED,
            MISUSED,
            (
                "3",
                "With --check: a supervisor could not clear its bounding set here.",
            ),
        ],
        files: &[],
        examples: &[
            (
                "capwatch probe --as bwrap --check",
                "Whether bwrap would work here.",
            ),
            (
                "capwatch probe /usr/bin/ping",
                "Whether this process could execute a file.",
            ),
        ],
    },
    More {
        name: "explain",
        exits: &[
            ("0", "The message is known."),
            ("1", "It is not known."),
            MISUSED,
        ],
        files: &[],
        examples: &[(
            "capwatch explain 'bwrap: setting up uid map: Permission denied'",
            "Explain an error message.",
        )],
    },
    More {
        name: "unload",
        exits: &[
            ("0", "Nothing is left, or nothing was there."),
            (
                "1",
                "An agent uses them, the folder is not capwatch's, or something is left; stderr \
                 shows which.",
            ),
            MISUSED,
        ],
        files: &[
            ("/sys/fs/bpf/capwatch", "Pins of the packaged service."),
            ("/var/lib/capwatch", "Where it keeps counters."),
        ],
        examples: &[(
            "capwatch unload",
            "Clean up after you stopped the agent for good.",
        )],
    },
    More {
        name: "report",
        exits: &[DONE, FAILED, MISUSED],
        files: &[],
        examples: &[(
            "capwatch report",
            "A block for a bug report, with nothing secret in it.",
        )],
    },
    More {
        name: "config",
        exits: &[DONE, ("1", "The configuration is invalid."), MISUSED],
        files: &[RULES],
        examples: &[
            (
                "capwatch config check /etc/capwatch/capwatch.toml",
                "Before a restart.",
            ),
            (
                "capwatch config suggest run.jsonl",
                "Rules for programs that no rule names.",
            ),
        ],
    },
];

/// Writes the page of a command, or the overview.
pub fn write(name: Option<&str>, mut out: impl Write) -> anyhow::Result<()> {
    let all = public_command(&[]);
    let Some(name) = name else {
        let pages: Vec<_> = PAGES
            .iter()
            .map(|page| format!("capwatch\\-{}(1)", page.name))
            .collect();
        clap_mangen::Man::new(all).render(&mut out)?;
        more(&OVERVIEW, &mut out)?;
        writeln!(out, ".SH \"SEE ALSO\"\n{}", pages.join(", "))?;
        return Ok(());
    };
    let page = PAGES.iter().find(|page| page.name == name);
    let (Some(command), Some(page)) = (all.find_subcommand(name), page) else {
        let names: Vec<_> = PAGES.iter().map(|page| page.name).collect();
        bail!(
            "no man page for {name:?}: there is one for each of {}",
            names.join(", ")
        );
    };
    let command = command.clone().name(format!("capwatch-{name}"));
    let command = command.bin_name(format!("capwatch {name}"));
    let parts: Vec<_> = command.get_subcommands().cloned().collect();
    let man = clap_mangen::Man::new(command);
    if parts.is_empty() {
        man.render(&mut out)?;
    } else {
        man.render_title(&mut out)?;
        man.render_name_section(&mut out)?;
        commands(name, parts, &mut out)?;
    }
    more(page, &mut out)?;
    writeln!(out, ".SH \"SEE ALSO\"\ncapwatch(1)")?;
    Ok(())
}

/// The parts of a command that has its own commands: they have no pages.
fn commands(name: &str, parts: Vec<clap::Command>, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, ".SH COMMANDS")?;
    for part in parts {
        let words = format!("capwatch {name} {}", part.get_name());
        let mut part = part.bin_name(words);
        let usage = part.render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ");
        let about = part.get_about().map(ToString::to_string);
        let about = about.unwrap_or_default();
        writeln!(out, ".TP\n\\fB{}\\fR\n{}", plain(usage), plain(&about))?;
        for argument in part.get_positionals() {
            let help = argument.get_help().map(ToString::to_string);
            let id = argument.get_id().as_str().to_ascii_uppercase();
            let help = help.unwrap_or_default();
            writeln!(out, ".br\n\\fI{}\\fR: {}", plain(&id), plain(&help))?;
        }
    }
    Ok(())
}

fn more(page: &More, out: &mut impl Write) -> io::Result<()> {
    let sections = [
        ("EXIT STATUS", page.exits),
        ("FILES", page.files),
        ("EXAMPLES", page.examples),
    ];
    for (title, lines) in sections.iter().filter(|(_, lines)| !lines.is_empty()) {
        writeln!(out, ".SH \"{title}\"")?;
        for (head, text) in *lines {
            writeln!(out, ".TP\n\\fB{}\\fR\n{}", plain(head), plain(text))?;
        }
    }
    Ok(())
}

/// Text in which troff sees no request and no escape.
fn plain(text: &str) -> String {
    let safe = text.replace('\\', "\\e").replace('-', "\\-");
    if safe.starts_with(['.', '\'']) {
        return format!("\\&{safe}");
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(name: Option<&str>) -> String {
        let mut out = Vec::new();
        write(name, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_command_has_a_page_with_status_and_examples() {
        for more in &PAGES {
            let text = page(Some(more.name));
            for wanted in [".SH \"EXIT STATUS\"", ".SH \"EXAMPLES\"", "capwatch\\-"] {
                assert!(text.contains(wanted), "{}: {wanted}", more.name);
            }
        }
        let overview = page(None);
        for wanted in [".SH \"FILES\"", "capwatch\\-replay(1)"] {
            assert!(overview.contains(wanted), "{wanted}");
        }
        assert!(!overview.contains("trial"), "{overview}");
        let error = write(Some("probe-trial"), io::sink()).unwrap_err();
        assert!(error.to_string().contains("each of run, watch"), "{error}");
    }

    #[test]
    fn the_parts_of_config_are_on_its_page() {
        let text = page(Some("config"));
        for wanted in [
            "capwatch config check [FILE]",
            "capwatch config suggest [FILE]",
            "an agent's",
        ] {
            assert!(text.contains(&plain(wanted)), "{wanted}: {text}");
        }
        assert!(!text.contains("config\\-check(1)"), "{text}");
    }

    #[test]
    fn no_text_is_a_request() {
        assert_eq!(plain(".x -o \\"), "\\&.x \\-o \\e");
    }
}
