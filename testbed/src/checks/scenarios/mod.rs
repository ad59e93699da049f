//! What must be shown on every kernel: programs, and what the report of
//! `capwatch record` must say of them.

mod apparmor;
mod counts;
mod drops;
mod fail_on;
mod fates;
mod sets;
mod threads;
mod tree;

/// A program under test with its expectations.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its own name.
    pub name: &'static str,
    /// The scenarios that are run together.
    pub group: &'static str,
    /// Options of `capwatch record`.
    pub options: Vec<&'static str>,
    /// COMMAND as words; `@SET` first means a `testsup` with this bounding set.
    pub command: &'static str,
    /// The exit code of `capwatch record`.
    pub exit: i32,
    /// The exit code of COMMAND.
    pub own_exit: i32,
    /// What must hold of the report, in the language of [`expect`](super::expect).
    pub expectations: Vec<&'static str>,
    /// What must be counted, and how often: to the unit, but for what the
    /// kernel says that it missed.
    pub counts: Vec<(&'static str, u64)>,
}

/// How long COMMAND and what it leaves behind may take is the runner's business;
/// a word says what it starts with.
const SETS: [(&str, &str); 6] = [
    ("@full", "testsup do"),
    ("@chown", "testbed do drop except:chown exec testsup do"),
    (
        "@chown+setpcap",
        "testbed do drop except:chown,setpcap exec testsup do",
    ),
    ("@empty", "testbed do drop all exec testsup do"),
    ("@odd", "testbed do drop except:12,19,21,34 exec testsup do"),
    // 0x4002810cd: Podman's, with --cap-drop SETPCAP.
    (
        "@podman",
        "testbed do drop except:0,2,3,6,7,12,19,21,34 exec testsup do",
    ),
];

impl Scenario {
    fn new(name: &'static str, command: &'static str) -> Self {
        Self {
            name,
            group: "",
            options: Vec::new(),
            command,
            exit: 0,
            own_exit: 0,
            expectations: Vec::new(),
            counts: Vec::new(),
        }
    }

    /// With options for `capwatch record`.
    fn options(mut self, options: &[&'static str]) -> Self {
        self.options = options.to_vec();
        self
    }

    /// COMMAND ends with this code, and so does `capwatch record`.
    fn exits(mut self, code: i32) -> Self {
        self.own_exit = code;
        self.exit = code;
        self
    }

    /// COMMAND ends with this code, and `--fail-on` matches.
    fn fails(mut self, own_code: i32) -> Self {
        self.own_exit = own_code;
        self.exit = 3;
        self.expectations.push("count(failed_on) >= 1");
        self
    }

    /// What must hold of the report.
    fn shows(mut self, expectations: &[&'static str]) -> Self {
        self.expectations.extend(expectations);
        self
    }

    /// What must be counted, and how often.
    fn counts(mut self, counts: &[(&'static str, u64)]) -> Self {
        self.counts.extend(counts);
        self
    }

    /// What must hold of a report whose programs missed so many runs: a program
    /// that is preempted on its CPU makes the next run there a miss, as
    /// kernels that preempt tracepoints and trampolines do in a storm.
    pub fn counted(&self, missed: u64) -> Vec<String> {
        let bounds = self.counts.iter().flat_map(|(what, count)| {
            let least = count.saturating_sub(missed);
            [format!("{what} <= {count}"), format!("{what} >= {least}")]
        });
        bounds.collect()
    }

    /// The words of COMMAND.
    pub fn words(&self) -> Vec<&'static str> {
        let mut words = self.command.split_whitespace();
        let first = words.next().unwrap_or_default();
        let set = SETS.iter().find(|(name, _)| *name == first);
        let start = set.map_or(first, |(_, start)| start);
        start.split_whitespace().chain(words).collect()
    }
}

/// Every scenario.
pub fn all() -> Vec<Scenario> {
    let groups = [
        ("apparmor", apparmor::scenarios()),
        ("counts", counts::scenarios()),
        ("drops", drops::scenarios()),
        ("drops", drops::of_32_bits()),
        ("fail_on", fail_on::scenarios()),
        ("fates", fates::scenarios()),
        ("sets", sets::scenarios()),
        ("threads", threads::scenarios()),
        ("tree", tree::scenarios()),
    ];
    let mut all = Vec::new();
    for (group, scenarios) in groups {
        all.extend(
            scenarios
                .into_iter()
                .map(|scenario| Scenario { group, ..scenario }),
        );
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// For trying the expectations against reports that `suite --keep` kept:
    /// `TESTBED_REPORTS=DIR cargo test -p testbed distinguish -- --nocapture`.
    #[test]
    fn expectations_distinguish_the_scenarios() {
        let Some(directory) = std::env::var_os("TESTBED_REPORTS") else {
            return;
        };
        let directory = std::path::Path::new(&directory);
        let read = |scenario: &Scenario| {
            let path = directory.join(format!("{}.json", scenario.name));
            let text = std::fs::read_to_string(path).ok()?;
            crate::checks::expect::read(&text).ok()
        };
        let all = all();
        let played = all
            .iter()
            .filter_map(|scenario| Some((read(scenario)?, scenario)));
        for (report, of) in played {
            for scenario in &all {
                let failures =
                    crate::checks::expect::failures(&report, &scenario.expectations).unwrap();
                if scenario.name == of.name {
                    assert!(failures.is_empty(), "{}: {failures:?}", of.name);
                } else if failures.is_empty() {
                    println!("PLEASED {} BY {}", scenario.name, of.name);
                }
            }
        }
    }

    #[test]
    fn names_are_unique_and_expectations_make_sense() {
        let mut names = HashSet::new();
        for scenario in all() {
            assert!(
                names.insert(scenario.name),
                "{} is there twice",
                scenario.name
            );
            let document = serde_json::Value::Null;
            crate::checks::expect::failures(&document, &scenario.expectations).unwrap();
            crate::checks::expect::failures(&document, &scenario.counted(0)).unwrap();
            assert!(!scenario.words()[0].starts_with('@'), "{}", scenario.name);
        }
    }
}
