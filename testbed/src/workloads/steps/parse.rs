//! Words to steps.

use std::{slice::Iter, str::FromStr};

use anyhow::{Context as _, Result, bail, ensure};

use super::{Step, sys};

/// Makes steps of words.
///
/// # Errors
/// When a word is unknown, or lacks its argument.
pub fn parse(words: &[String]) -> Result<Vec<Step>> {
    let mut rest = words.iter();
    let mut steps = Vec::new();
    while let Some(word) = rest.next() {
        ensure!(word != "end", "an \"end\" too many");
        steps.push(step(word, &mut rest)?);
    }
    Ok(steps)
}

/// Steps up to their `end`, or up to the last word.
fn block(words: &mut Iter<'_, String>) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    while let Some(word) = words.next().filter(|word| *word != "end") {
        steps.push(step(word, words)?);
    }
    Ok(steps)
}

fn step(word: &str, words: &mut Iter<'_, String>) -> Result<Step> {
    Ok(match word {
        "drop" => Step::Drop(capabilities(argument(word, words)?)?),
        #[cfg(target_arch = "x86_64")]
        "drop32" => Step::Drop32(capabilities(argument(word, words)?)?),
        "clear" => Step::Clear { fatal: true },
        "try-clear" => Step::Clear { fatal: false },
        "lower" | "raise" => Step::Effective {
            bits: bits(&capabilities(argument(word, words)?)?)?,
            raise: word == "raise",
        },
        "capset" => Step::Effective {
            bits: 0,
            raise: true,
        },
        "setuid" => Step::Setuid(next(word, words)?),
        "rename" => Step::Rename,
        "unshare" => Step::Unshare,
        "profile" => Step::Profile(next(word, words)?),
        "fork" => Step::Fork(block(words)?),
        "detach" | "orphan" => Step::Daemon {
            steps: block(words)?,
            wait: word == "orphan",
        },
        "thread" | "async" => Step::Threads {
            count: 1,
            steps: block(words)?,
            wait: word == "thread",
        },
        "threads" => Step::Threads {
            count: next(word, words)?,
            steps: block(words)?,
            wait: true,
        },
        "repeat" => Step::Repeat(next(word, words)?, block(words)?),
        "gate" => gate(next(word, words)?),
        "leave" => Step::Leave,
        "sleep" => Step::Sleep(next(word, words)?),
        "kill" => Step::Kill(next(word, words)?),
        "exit" => Step::Exit(next(word, words)?),
        "exec" => Step::Exec(argv(words.by_ref())?),
        "spawn" => Step::Spawn(argv(words.by_ref().take_while(|word| *word != "done"))?),
        "execute" => Step::Exec(argv(words.by_ref().take_while(|word| *word != "done"))?),
        _ => bail!("no step is called {word:?}"),
    })
}

/// What a gate must not forget: the one that died, behind so many that are well.
/// They ask for a number that no kernel knows, and so need no privilege.
fn gate(well: u32) -> Step {
    let died = Step::Fork(vec![Step::Clear { fatal: true }]);
    let well = Step::Repeat(well, vec![Step::Fork(vec![Step::Drop(vec![63])])]);
    Step::Repeat(1, vec![died, well])
}

fn argv<'a>(words: impl Iterator<Item = &'a String>) -> Result<Vec<String>> {
    let argv: Vec<String> = words.cloned().collect();
    ensure!(!argv.is_empty(), "exec what?");
    Ok(argv)
}

fn argument<'a>(step: &str, words: &mut Iter<'a, String>) -> Result<&'a str> {
    let word = words.next().with_context(|| format!("{step} what?"))?;
    Ok(word)
}

fn next<T: FromStr<Err: Into<anyhow::Error>>>(
    step: &str,
    words: &mut Iter<'_, String>,
) -> Result<T> {
    let word = argument(step, words)?;
    let value = word.parse().map_err(Into::into);
    value.with_context(|| format!("{step} {word:?}"))
}

/// Capabilities as numbers, in the order given.
fn capabilities(list: &str) -> Result<Vec<u64>> {
    if list == "all" {
        return Ok((0..=sys::last_capability()?).collect());
    }
    if let Some(list) = list.strip_prefix("except:") {
        let kept = capabilities(list)?;
        let all = 0..=sys::last_capability()?;
        return Ok(all.filter(|number| !kept.contains(number)).collect());
    }
    list.split(',').map(capability).collect()
}

fn capability(word: &str) -> Result<u64> {
    if let Ok(number) = word.parse() {
        return Ok(number);
    }
    let named = capctl::Cap::from_str(&format!("cap_{word}"));
    let named = named.map_err(|_| anyhow::anyhow!("no capability is called {word:?}"))?;
    Ok(named as u64)
}

fn bits(numbers: &[u64]) -> Result<u64> {
    numbers.iter().try_fold(0, |bits, number| {
        ensure!(*number < 64, "{number} fits in no set");
        Ok(bits | 1 << number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Vec<Step>> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&words)
    }

    #[test]
    fn blocks_end_at_their_own_end() {
        let steps = of("fork thread drop chown end leave end exit 3").unwrap();
        let thread = Step::Threads {
            count: 1,
            steps: vec![Step::Drop(vec![0])],
            wait: true,
        };
        assert_eq!(
            steps,
            [Step::Fork(vec![thread, Step::Leave]), Step::Exit(3)]
        );
        assert!(of("fork end end").is_err());
    }

    #[test]
    fn exec_takes_the_rest() {
        let steps = of("fork exec a b end").unwrap();
        let argv = ["a", "b", "end"].map(str::to_owned).to_vec();
        assert_eq!(steps, [Step::Fork(vec![Step::Exec(argv.clone())])]);
        let steps = of("async execute a b end done end leave").unwrap();
        let thread = Step::Threads {
            count: 1,
            steps: vec![Step::Exec(argv)],
            wait: false,
        };
        assert_eq!(steps, [thread, Step::Leave]);
    }

    #[test]
    fn lists_hold_names_and_numbers() {
        let steps = of("drop setpcap,41,4294967296").unwrap();
        assert_eq!(steps, [Step::Drop(vec![8, 41, 1 << 32])]);
        let Step::Drop(rest) = &of("drop except:chown").unwrap()[0] else {
            panic!("not a drop");
        };
        assert_eq!(rest.first(), Some(&1));
        assert!(of("drop cap_chown").is_err());
        assert!(of("lower 64").is_err());
        assert!(of("sleep").is_err());
        assert!(of("jump").is_err());
    }
}
