//! Programs that have a daemon do the work: what they ask for does not descend
//! from them.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    io,
    os::unix::ffi::OsStrExt,
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::{Builder, JoinHandle},
    time::Duration,
};

use crate::{finding::Made, open};

/// Clients, by basename, and words of which one must stand among theirs; none
/// where they always ask a daemon.
const CLIENTS: [(&str, &[&str]); 19] = [
    ("docker", &[]),
    ("docker-compose", &[]),
    ("podman-remote", &[]),
    ("podman", &["--remote", "-r", "--url", "--connection", "-c"]),
    ("ctr", &[]),
    ("nerdctl", &[]),
    ("crictl", &[]),
    ("buildctl", &[]),
    ("systemd-run", &[]),
    (
        "systemctl",
        &["start", "restart", "try-restart", "reload-or-restart"],
    ),
    ("machinectl", &[]),
    ("portablectl", &[]),
    ("lxc", &[]),
    ("incus", &[]),
    ("kubectl", &[]),
    ("oc", &[]),
    ("helm", &[]),
    ("virsh", &[]),
    ("at", &[]),
];
/// Words after which those of Podman's own options don't come.
const VERBS: [&str; 10] = [
    "run",
    "create",
    "start",
    "exec",
    "build",
    "play",
    "kube",
    "container",
    "pod",
    "compose",
];
/// A word with which the client does the work itself.
const ITSELF: [(&str, &str); 1] = [("systemd-run", "--scope")];
/// Programs that run the words after theirs.
const WRAPPERS: [&str; 13] = [
    "sudo", "doas", "env", "timeout", "nice", "nohup", "time", "stdbuf", "setsid", "ionice",
    "chroot", "setpriv", "nsenter",
];
/// How often it is looked at what runs.
const LOOK: Duration = Duration::from_millis(200);
/// Bytes of a process's words that are looked at: options come first.
const MAX_WORDS: usize = 4_096;
/// Containers and units from which on no more are looked for.
const MAX_MADE: usize = 256;
/// Processes of a tree that are looked at, at one time.
const MAX_LOOKED: usize = 64;

/// The clients that were recognised.
#[derive(Debug, Default)]
pub struct Clients {
    found: BTreeSet<&'static str>,
}

impl Clients {
    /// Those that a command's own words name.
    fn of_command(command: &[OsString]) -> Self {
        let words: Vec<_> = command
            .iter()
            .map(|word| String::from_utf8_lossy(word.as_bytes()).into_owned())
            .collect();
        let mut clients = Self::default();
        clients.take(&words);
        clients
    }

    /// Looks at a process and its descendants: a script may be what asks.
    fn look(&mut self, pid: u32) {
        let mut tree = vec![pid];
        let mut at = 0;
        while let Some(pid) = tree.get(at).copied() {
            at += 1;
            let children = open::text(format!("/proc/{pid}/task/{pid}/children"));
            let children = children.unwrap_or_default();
            let children = children
                .split_whitespace()
                .filter_map(|pid| pid.parse::<u32>().ok());
            tree.extend(children.take(MAX_LOOKED.saturating_sub(tree.len())));
            let Ok(words) = open::bytes(format!("/proc/{pid}/cmdline")) else {
                continue;
            };
            let words = &words[..words.len().min(MAX_WORDS)];
            let words: Vec<_> = words
                .split(|byte| *byte == 0)
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .collect();
            self.take(&words);
        }
    }

    /// Their names, sorted.
    pub fn names(&self) -> Vec<String> {
        self.found.iter().map(|name| (*name).to_owned()).collect()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    fn take(&mut self, words: &[String]) {
        let mut rest = words;
        while let Some((first, more)) = rest.split_first() {
            let name = basename(first);
            if let Some(client) = client(name, more) {
                self.found.insert(client);
                return;
            }
            if !WRAPPERS.contains(&name) {
                return;
            }
            // Past the wrapper's own options, assignments and numbers.
            let own = |word: &&String| {
                let is_number = word.starts_with(|first: char| first.is_ascii_digit());
                word.starts_with('-') || word.contains('=') || is_number
            };
            let own = more.iter().take_while(own).count();
            rest = &more[own..];
        }
    }
}

/// Looks for clients below a process while it runs, and for what their daemons make,
/// on its own thread: the agent has better to do, and what it asks the kernel
/// for costs its programs runs.
pub struct Lookout {
    stop: Sender<()>,
    thread: JoinHandle<Seen>,
}

/// What was found while a command ran.
#[derive(Debug, Default)]
pub struct Seen {
    /// The clients.
    pub clients: Clients,
    /// What lived beside the command at one time or another, once there was one.
    pub made: BTreeSet<Made>,
}

impl Seen {
    /// The clients that a command's own words name.
    pub fn of_command(command: &[OsString]) -> Self {
        Self {
            clients: Clients::of_command(command),
            ..Self::default()
        }
    }
}

impl Lookout {
    /// Looks below this process from now on; `living` has what lives beside it.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(
        known: Clients,
        pid: u32,
        living: impl Fn() -> Vec<Made> + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = channel();
        let look = move || {
            let mut seen = Seen {
                clients: known,
                made: BTreeSet::new(),
            };
            while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                if seen.clients.is_empty() {
                    seen.clients.look(pid);
                } else if seen.made.len() < MAX_MADE {
                    seen.made.extend(living());
                }
            }
            seen
        };
        let thread = Builder::new().name("clients".to_owned()).spawn(look)?;
        Ok(Self { stop, thread })
    }

    /// What was found.
    pub fn end(self) -> Seen {
        // It may have ended already.
        let _ = self.stop.send(());
        self.thread.join().unwrap_or_default()
    }
}

fn basename(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

fn client(name: &str, words: &[String]) -> Option<&'static str> {
    let (client, needed) = CLIENTS.iter().find(|(client, _)| *client == name)?;
    let own = |word: &&String| name != "podman" || !VERBS.contains(&word.as_str());
    let has = |wanted: &str| {
        words.iter().take_while(own).any(|word| {
            word == wanted
                || word
                    .strip_prefix(wanted)
                    .is_some_and(|rest| rest.starts_with('='))
        })
    };
    let by_word = needed.is_empty() || needed.iter().any(|word| has(word));
    let itself = ITSELF.iter().any(|(of, word)| *of == name && has(word));
    // Which engine it talks to may stand in its environment, which is not read.
    (by_word && !itself).then_some(*client)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(words: &str) -> Vec<String> {
        let words: Vec<_> = words.split_whitespace().map(OsString::from).collect();
        Clients::of_command(&words).names()
    }

    #[test]
    fn clients_of_daemons_are_known_by_their_words() {
        for (words, client) in [
            ("docker run --rm x", "docker"),
            ("/usr/bin/podman --remote run x", "podman"),
            ("podman --url=unix:///x run", "podman"),
            ("sudo -n env A=1 ctr run x y", "ctr"),
            ("timeout 5 systemd-run --wait true", "systemd-run"),
            ("systemctl restart x", "systemctl"),
            ("nsenter -t 7 -a systemd-run true", "systemd-run"),
            ("kubectl apply -f x", "kubectl"),
        ] {
            assert_eq!(found(words), [client], "{words}");
        }
        for words in [
            "podman run x sh -c true",
            "systemd-run --scope true",
            "systemctl status x",
            "grep docker file",
            "sudo grep docker file",
            "",
        ] {
            assert!(found(words).is_empty(), "{words}");
        }
    }
}
