//! What is pinned, for the next agent.

use std::{
    io::{self, Write},
    path::Path,
};

use serde::Serialize;

use crate::{
    clean::clean,
    sources::bpf::{Pins, PinsError},
    time::{Stamp, optional},
};

/// What is pinned below a folder.
#[derive(Debug, Serialize)]
pub struct Pinned {
    folder: String,
    /// Why it can't be used.
    problem: Option<String>,
    /// Whether an agent has it now.
    held: bool,
    /// Whether doctor used its programs, and attached none.
    used: bool,
    /// The process that has it, or had it last.
    pid: Option<u32>,
    /// Since when that agent had it.
    held_since: Option<Stamp>,
    /// The version that attached it.
    version: Option<String>,
    /// Since when it is attached.
    #[serde(with = "optional")]
    since: Stamp,
    links: Vec<String>,
    programs: usize,
    maps: usize,
    /// Runs that the kernel skipped.
    misses: u64,
    /// Programs that this kernel can't pin, which end with their agent.
    unpinned: Vec<String>,
}

impl Pinned {
    /// What is there; none where nothing is pinned. `used` is whether doctor used its
    /// programs.
    pub fn look(path: &Path, used: bool) -> Option<Self> {
        let folder = path.display().to_string();
        let pins = match Pins::at(path) {
            Ok(pins) if pins.is_empty() => return None,
            Ok(pins) => pins,
            // Without the folder nothing is pinned.
            Err(_) if !path.exists() => return None,
            Err(error) => return Some(Self::problem(folder, &error)),
        };
        let (about, watched) = (pins.about(), pins.watched());
        let watched = watched.filter(|watched| watched.pid != 0);
        let (maps, programs) = pins.counts();
        let problem = about
            .is_none()
            .then(|| "incomplete: the next agent replaces them".to_owned());
        Some(Self {
            folder,
            problem,
            held: pins.is_held(),
            used,
            pid: watched.map(|watched| watched.pid),
            held_since: watched.map(|watched| Stamp(watched.since)),
            version: about.as_ref().map(|about| about.version.clone()),
            since: about.as_ref().map(|about| about.since).unwrap_or_default(),
            links: pins.links(),
            programs,
            maps,
            misses: pins.misses(),
            unpinned: about.map(|about| about.unpinned).unwrap_or_default(),
        })
    }

    fn problem(folder: String, error: &PinsError) -> Self {
        Self {
            folder,
            problem: Some(error.to_string()),
            held: false,
            used: false,
            pid: None,
            held_since: None,
            version: None,
            since: Stamp::default(),
            links: Vec::new(),
            programs: 0,
            maps: 0,
            misses: 0,
            unpinned: Vec::new(),
        }
    }

    /// Writes it for a person.
    pub fn show(&self, out: &mut impl Write) -> io::Result<()> {
        let folder = clean(&self.folder);
        if let Some(problem) = &self.problem {
            return writeln!(out, "pinned        {folder}: {}", clean(problem));
        }
        let version = self.version.as_deref().unwrap_or("unknown");
        writeln!(
            out,
            "pinned        {folder}: {} links, {} programs, {} maps since {} by capwatch {}; {} \
             runs missed",
            self.links.len(),
            self.programs,
            self.maps,
            self.since,
            clean(version),
            self.misses
        )?;
        match (self.held, self.pid, self.held_since) {
            (true, Some(pid), Some(since)) => {
                writeln!(out, "pinned        held by pid {pid} since {since}")?;
            }
            (true, ..) => writeln!(out, "pinned        held by a process that is starting")?,
            (false, ..) => writeln!(
                out,
                "pinned        no agent runs: the kernel keeps counting"
            )?,
        }
        if self.used {
            writeln!(
                out,
                "pinned        the hooks belong to that agent; doctor attached none"
            )?;
        }
        if !self.unpinned.is_empty() {
            writeln!(
                out,
                "pinned        without an agent these do not run, because this kernel cannot pin \
                 them: {}",
                clean(&self.unpinned.join(", "))
            )?;
        }
        Ok(())
    }
}
