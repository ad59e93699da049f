//! The options of `run` as keys of the configuration's `[run]` table: each option of the
//! command line has the key of its long name: a new option has its key at once.
//!
//! The table is turned into words of the command line, and clap judges them as it
//! judges those that were typed. An option that was typed beats its key.

use std::{ffi::OsString, fmt::Write as _};

use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches, parser::ValueSource};
use toml::{Table, Value};

use super::args::{Cli, command};
use crate::config::{ConfigError, Rules};

/// Options that are no setting of the agent.
const NOT_SETTINGS: [&str; 4] = ["help", "version", "config", "attach_only"];

/// Why the command line can't be taken.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// As typed.
    #[error(transparent)]
    Typed(#[from] clap::Error),
    /// In the configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// The command line; for `run`, with the options that the configuration has, and the
/// rules that were read on the way.
pub fn resolve(words: &[OsString]) -> Result<(Cli, Option<Rules>), Problem> {
    let mut command = command();
    let typed = command.try_get_matches_from_mut(words)?;
    let cli = Cli::from_arg_matches(&typed)?;
    let Some(("run", run)) = typed.subcommand() else {
        return Ok((cli, None));
    };
    let rules = Rules::load(cli.global.config.as_deref())?;
    let mut all = words.to_vec();
    all.extend(words_of(rules.options(), Some(run)).map_err(|error| of_file(error, &cli))?);
    let matches = command.try_get_matches_from(&all)?;
    Ok((Cli::from_arg_matches(&matches)?, Some(rules)))
}

/// Says what is wrong with a `[run]` table: unknown keys, values that the option does
/// not take.
pub fn check(options: &Table, path: &str) -> Result<(), ConfigError> {
    words_of(options, None)
        .map(drop)
        .map_err(|message| invalid(path, message))
}

/// Every option as a commented key, with its help and its default.
pub fn commented() -> String {
    let mut text = String::from(
        "# Options of `capwatch run`, by their long names. The command line overrides a key\n\
         # here. They are read when the agent starts.\n\
         # [run]\n",
    );
    for arg in settings(&command()) {
        let Some(key) = arg.get_long() else { continue };
        text.push('\n');
        let help = arg.get_long_help().or_else(|| arg.get_help());
        wrap(
            &help.map(ToString::to_string).unwrap_or_default(),
            &mut text,
        );
        let possible = possible(&arg);
        if !possible.is_empty() {
            wrap(&format!("Values: {}", possible.join(", ")), &mut text);
        }
        writeln!(text, "# {key} = {}", example(&arg)).expect("a string takes it");
    }
    text.push('\n');
    text
}

/// The options that have keys.
fn settings(command: &Command) -> Vec<Arg> {
    let mut command = command.clone();
    // What holds for every command belongs to `run` only then.
    command.build();
    let run = command.find_subcommand("run");
    let args = run.into_iter().flat_map(Command::get_arguments);
    args.filter(|arg| !NOT_SETTINGS.contains(&arg.get_id().as_str()))
        .cloned()
        .collect()
}

/// The words for a table, less those for options that were typed; an error is of the key.
fn words_of(options: &Table, typed: Option<&ArgMatches>) -> Result<Vec<OsString>, String> {
    let settings = settings(&command());
    let mut all = Vec::new();
    for (key, value) in flat(options) {
        let found = settings.iter().find(|arg| arg.get_long() == Some(&key));
        let arg = found.ok_or_else(|| {
            format!("run.{key}: no such option; `capwatch config default` lists them")
        })?;
        let words = words(arg, &key, value).map_err(|error| format!("run.{key}: {error}"))?;
        parses(&words).map_err(|error| format!("run.{key}: {error}"))?;
        if !typed.is_some_and(|typed| is_settled(arg, typed)) {
            all.extend(words);
        }
    }
    parses(&all).map_err(|error| format!("run: {error}"))?;
    Ok(all)
}

/// Whether the command line says it, or what it excludes.
fn is_settled(arg: &Arg, typed: &ArgMatches) -> bool {
    let given = |id: &str| typed.value_source(id) == Some(ValueSource::CommandLine);
    let id = arg.get_id().as_str();
    let opposite = match id {
        "quiet" => given("verbose"),
        "verbose" => given("quiet"),
        _ => false,
    };
    given(id) || opposite
}

/// `web.listen-address = …` is a table in TOML, and one key here.
fn flat(options: &Table) -> Vec<(String, &Value)> {
    let mut keys = Vec::new();
    for (key, value) in options {
        match value {
            Value::Table(inner) => keys.extend(
                flat(inner)
                    .into_iter()
                    .map(|(rest, value)| (format!("{key}.{rest}"), value)),
            ),
            value => keys.push((key.clone(), value)),
        }
    }
    keys
}

/// The words that say this value on the command line.
fn words(arg: &Arg, key: &str, value: &Value) -> Result<Vec<OsString>, String> {
    let option = |text: &str| OsString::from(format!("--{key}={text}"));
    let one = |value: &Value| match value {
        Value::String(text) => Ok(option(text)),
        Value::Integer(number) => Ok(option(&number.to_string())),
        other => Err(format!("{} is no text or number", other.type_str())),
    };
    match (arg.get_action(), value) {
        (ArgAction::SetTrue, Value::Boolean(given)) => Ok(flags(key, usize::from(*given))),
        (ArgAction::SetTrue, _) => Err("give true or false".to_owned()),
        (ArgAction::Count, Value::Integer(times @ 0..=9)) => {
            Ok(flags(key, usize::try_from(*times).unwrap_or_default()))
        }
        (ArgAction::Count, _) => Err("give a number from 0 to 9".to_owned()),
        (ArgAction::Append, Value::Array(values)) => values.iter().map(one).collect(),
        (_, Value::Array(_)) => Err("give one value, not a list".to_owned()),
        (_, value) => Ok(vec![one(value)?]),
    }
}

fn flags(key: &str, times: usize) -> Vec<OsString> {
    vec![OsString::from(format!("--{key}")); times]
}

/// Whether clap takes these words, and what it says where it doesn't.
fn parses(words: &[OsString]) -> Result<(), String> {
    let before = ["capwatch", "run"].map(OsString::from);
    let all = before.iter().chain(words);
    let Err(error) = command().try_get_matches_from(all) else {
        return Ok(());
    };
    let text = error.to_string();
    let lines = text.lines().take_while(|line| !line.is_empty());
    let said: Vec<_> = lines.map(str::trim).collect();
    Err(said.join(" ").trim_start_matches("error: ").to_owned())
}

fn of_file(message: String, cli: &Cli) -> ConfigError {
    let path = cli.global.config.as_deref();
    let path = path.map(|path| path.display().to_string());
    invalid(&path.unwrap_or_default(), message)
}

fn invalid(path: &str, message: String) -> ConfigError {
    ConfigError::Syntax {
        path: path.to_owned(),
        message,
    }
}

fn possible(arg: &Arg) -> Vec<String> {
    let values = arg.get_possible_values();
    let values = values.iter().filter(|value| !value.is_hide_set());
    let values = values.map(|value| value.get_name().to_owned());
    if arg.get_action().takes_values() {
        values.collect()
    } else {
        Vec::new()
    }
}

/// The default as TOML has it, or a value in its place.
fn example(arg: &Arg) -> String {
    // A string of JSON is one of TOML.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let defaults = arg.get_default_values().iter();
    let defaults: Vec<_> = defaults
        .map(|value| value.to_string_lossy().into_owned())
        .collect();
    match arg.get_action() {
        ArgAction::SetTrue => "false".to_owned(),
        ArgAction::Count => "0".to_owned(),
        ArgAction::Append => {
            let values: Vec<_> = defaults.iter().map(|value| quoted(value)).collect();
            format!("[{}]", values.join(", "))
        }
        _ => match (
            defaults.first(),
            possible(arg).first(),
            arg.get_value_names(),
        ) {
            (Some(number), ..) if number.parse::<i64>().is_ok() => number.clone(),
            (Some(text), ..) => quoted(text),
            (None, Some(first), _) => quoted(first),
            (None, None, Some([name, ..])) => quoted(name),
            (None, None, _) => quoted(""),
        },
    }
}

/// Comment lines of at most 90 characters.
fn wrap(text: &str, out: &mut String) {
    const WIDTH: usize = 90;
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.len() + word.len() >= WIDTH {
            out.push_str(&line);
            out.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    out.push_str(&line);
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, path::Path};

    use super::*;
    use crate::commands::{
        args::{LogFormat, Run, Task},
        attach::Hooks,
    };

    fn resolved(toml: &str, words: &[&str]) -> Result<(Cli, Run), String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(toml.as_bytes()).unwrap();
        let path = file.path().to_str().unwrap();
        let words = ["capwatch", "run", "--config", path]
            .into_iter()
            .chain(words.iter().copied());
        let words: Vec<_> = words.map(OsString::from).collect();
        let (mut cli, _) = resolve(&words).map_err(|error| error.to_string())?;
        let task = std::mem::replace(
            &mut cli.task,
            Task::Config(super::super::args::Config::Default),
        );
        match task {
            Task::Run(run) => Ok((cli, run)),
            other => panic!("{other:?}"),
        }
    }

    const FULL: &str = "[run]\nhooks = \"kprobe\"\nweb.listen-address = [\"[::1]:1\", \"127.0.0.1:2\"]\n\
        web.host = \"node.example\"\nevents = \"/tmp/e\"\nready-without = [\"hooks\"]\nmax-series = 7\n\
        log-format = \"json\"\nverbose = 2\n";

    #[test]
    fn the_file_has_options_and_the_command_line_beats_it() {
        let (cli, run) = resolved(FULL, &[]).unwrap();
        assert_eq!(run.attach.hooks, Hooks::Kprobe);
        assert_eq!(run.listen, ["[::1]:1", "127.0.0.1:2"]);
        assert_eq!(run.hosts, ["node.example"]);
        assert_eq!(run.events.as_deref(), Some(Path::new("/tmp/e")));
        assert_eq!((run.max_series, run.ready_without.len()), (7, 1));
        assert_eq!(
            (run.log_format, cli.global.verbose),
            (Some(LogFormat::Json), 2)
        );

        let words = [
            "--hooks",
            "fexit",
            "--web.listen-address",
            "127.0.0.1:3",
            "-q",
        ];
        let (cli, run) = resolved(FULL, &words).unwrap();
        assert_eq!(run.attach.hooks, Hooks::Fexit);
        assert_eq!(run.listen, ["127.0.0.1:3"], "none of the file's beside it");
        assert_eq!((cli.global.verbose, cli.global.quiet), (0, true));
        assert_eq!(run.max_series, 7, "what was not typed is the file's");
    }

    #[test]
    fn a_mistake_names_file_key_and_remedy() {
        for (toml, said) in [
            (
                "[run]\nhook = \"fexit\"\n",
                "run.hook: no such option; `capwatch config default` lists them",
            ),
            (
                "[run]\nhooks = \"ftrace\"\n",
                "run.hooks: invalid value 'ftrace' for '--hooks <MECHANISM>'",
            ),
            (
                "[run]\nmax-series = \"many\"\n",
                "run.max-series: invalid value 'many'",
            ),
            (
                "[run]\nevents = [\"a\", \"b\"]\n",
                "run.events: give one value, not a list",
            ),
            ("[run]\nquiet = 1\n", "run.quiet: give true or false"),
            ("[run]\nverbose = -1\n", "run.verbose: give a number"),
            (
                "[run]\nquiet = true\nverbose = 1\n",
                "run: the argument '--",
            ),
            ("[run]\nconfig = \"x\"\n", "run.config: no such option"),
        ] {
            let error = resolved(toml, &[]).unwrap_err();
            assert!(error.contains(said), "{toml}: {error}");
            assert!(error.starts_with("invalid configuration /"), "{error}");
            let table: Table = toml::from_str(toml).unwrap();
            let Some(Value::Table(run)) = table.get("run") else {
                panic!()
            };
            assert!(
                check(run, "x").unwrap_err().to_string().contains(said),
                "{toml}"
            );
        }
    }

    #[test]
    fn every_option_of_run_has_a_key_that_the_printed_file_has() {
        let text = commented();
        let mut uncommented = String::new();
        let keys = text.lines().filter_map(|line| line.strip_prefix("# "));
        for line in keys.filter(|line| line.contains(" = ") || *line == "[run]") {
            writeln!(uncommented, "{line}").unwrap();
        }
        let table: Table = toml::from_str(&uncommented).unwrap();
        let Some(Value::Table(run)) = table.get("run") else {
            panic!("{uncommented}")
        };
        let words = words_of(run, None).unwrap();
        let keys: Vec<_> = flat(run).into_iter().map(|(key, _)| key).collect();
        let settings = settings(&command());
        assert!(settings.len() > 10, "{keys:?}");
        for arg in settings {
            let key = arg.get_long().unwrap();
            assert!(keys.iter().any(|known| known == key), "{key}");
            assert!(arg.get_action().takes_values() || words.iter().all(|word| word != key));
        }
    }
}
