//! The rooms of the house, by what their files name of one another.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Where the kernel's structs are turned into observations.
const BORDER: &str = "sources/bpf/";

/// What other files name of the crate that is shared with the kernel side: its words,
/// and its decisions, which are plain functions. No struct that the programs write is
/// among it, but for the entry of a process that ran before the hooks, which the same
/// decisions make.
const PLAIN: [(&str, &str); 6] = [
    (
        "words.rs",
        "pub use observer_ebpf::{Audited, Broken, Call, Layer, Loss, Note, Reason, Role, Via};",
    ),
    (
        "words.rs",
        "pub const NAME_LEN: usize = observer_ebpf::NAME_LEN;",
    ),
    (
        "correlate/episode/skipped.rs",
        "use observer_ebpf::decide::{Ran, ran};",
    ),
    (
        "commands/probe/file.rs",
        "use observer_ebpf::decide::rules::{self, FileSets, Sets};",
    ),
    ("commands/version.rs", "let abi = observer_ebpf::ABI;"),
    ("sources/adopt.rs", "use observer_ebpf::{Task, decide};"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every source file, by its path below `src`, without its tests.
fn files() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), &mut found);
    assert!(found.len() > 100);
    let is_test = |path: &Path| {
        let folder = path.parent();
        path.ends_with("tests.rs") || folder.is_some_and(|folder| folder.ends_with("tests"))
    };
    let files = found.into_iter().filter(|path| !is_test(path));
    let files = files.map(|path| {
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\n").next().unwrap().to_owned();
        let name = path.strip_prefix(root()).unwrap();
        (name.to_str().unwrap().to_owned(), code)
    });
    files.collect()
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

#[test]
fn structs_of_the_kernel_side_end_at_the_border() {
    let mut wrong = Vec::new();
    let mut named = 0;
    for (file, code) in files() {
        if file.starts_with(BORDER) {
            continue;
        }
        for line in code.lines().filter(|line| !is_comment(line)) {
            if !line.contains("observer_ebpf") {
                continue;
            }
            if PLAIN.contains(&(file.as_str(), line.trim())) {
                named += 1;
            } else {
                wrong.push(format!("{file}: {}", line.trim()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "these name what the programs write; see src/observation and src/words.rs:\n{}",
        wrong.join("\n")
    );
    assert_eq!(named, PLAIN.len(), "an exception that nobody needs");
}

/// The rooms, the lowest first: a file may name what is in a room below its own, or in
/// its own.
const ROOMS: [&str; 24] = [
    "audit",
    "caps",
    "words",
    "open",
    "time",
    "clean",
    "memory",
    "manager",
    "host",
    "sight",
    "finding",
    "config",
    "observation",
    "privileges",
    "sandbox",
    "sources",
    "who",
    "correlate",
    "ledger",
    "state",
    "outputs",
    "agent",
    "commands",
    "lib",
];

/// One path of a `use` declaration, and the name that it gets.
type Named = (String, String);

/// Every path of a use tree.
fn expand(tree: &str) -> Vec<Named> {
    let tree = tree.trim();
    let Some(open) = tree.find('{') else {
        let (path, name) = tree.split_once(" as ").unwrap_or_else(|| {
            let last = tree.rsplit("::").next().unwrap();
            (tree, last)
        });
        return vec![(path.trim().to_owned(), name.trim().to_owned())];
    };
    let (before, within) = (&tree[..open], &tree[open + 1..tree.rfind('}').unwrap()]);
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for character in within.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().unwrap().push(character);
    }
    let parts = parts.iter().map(|part| part.trim());
    let parts = parts.filter(|part| !part.is_empty());
    let named = parts.flat_map(|part| match part.strip_prefix("self") {
        Some("") => expand(before.trim_end_matches(':')),
        Some(rest) if rest.starts_with(" as ") => {
            expand(&format!("{}{rest}", before.trim_end_matches(':')))
        }
        _ => expand(part)
            .into_iter()
            .map(|(path, name)| (format!("{before}{path}"), name))
            .collect(),
    });
    named.collect()
}

/// What the `use` declarations of a file name.
fn used(code: &str) -> Vec<Named> {
    let mut named = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find("use ") {
        let line = rest[..at].rsplit('\n').next().unwrap().trim();
        let declares = line.is_empty() || line == "pub" || line.starts_with("pub(");
        rest = &rest[at + 4..];
        if declares && let Some(end) = rest.find(';') {
            let tree = rest[..end].split_whitespace().collect::<Vec<_>>().join(" ");
            named.extend(expand(&tree.replace("{ ", "{").replace(" }", "}")));
        }
    }
    named
}

/// Paths from the crate's root, or from here, that stand amid the code.
fn amid(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for word in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(word) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            let end = code[at..].find(|c| !is_part(c)).unwrap_or(code.len() - at);
            paths.push(code[at..at + end].trim_end_matches(':').to_owned());
        }
    }
    paths
}

/// Names from the crate's root down.
type Module = Vec<String>;

/// The modules by their paths, each with its code.
struct House {
    modules: BTreeMap<Module, String>,
    /// What each module names, by the name that it has there.
    names: BTreeMap<Module, BTreeMap<String, Module>>,
}

impl House {
    fn read() -> Self {
        let mut modules = BTreeMap::new();
        for (file, code) in files() {
            let path = file.trim_end_matches(".rs");
            let mut path: Module = path.split('/').map(str::to_owned).collect();
            if path.last().is_some_and(|last| last == "mod") {
                path.pop();
            }
            if path == ["lib"] {
                path.clear();
            }
            let code: Vec<_> = code.lines().filter(|line| !is_comment(line)).collect();
            modules.insert(path, code.join("\n"));
        }
        let mut house = Self {
            modules,
            names: BTreeMap::new(),
        };
        let names = house.modules.iter().map(|(module, code)| {
            let named = used(code).into_iter();
            let named = named.filter_map(|(path, name)| Some((name, house.place(module, &path)?)));
            (module.clone(), named.collect())
        });
        house.names = names.collect();
        house
    }

    /// A path from the crate's root; none where it leads out of the crate.
    fn place(&self, module: &Module, path: &str) -> Option<Module> {
        let mut parts: Vec<_> = path
            .split("::")
            .map(|part| part.trim().to_owned())
            .collect();
        let mut base = module.clone();
        match parts[0].as_str() {
            "crate" => {
                base.clear();
                parts.remove(0);
            }
            "super" | "self" => {
                while parts
                    .first()
                    .is_some_and(|part| part == "super" || part == "self")
                {
                    if parts.remove(0) == "super" {
                        base.pop();
                    }
                }
            }
            child => {
                base.push(child.to_owned());
                if !self.modules.contains_key(&base) {
                    return None;
                }
                base.pop();
            }
        }
        base.extend(parts);
        Some(base)
    }

    /// The module that defines what a path means, wherever others show it.
    fn home(&self, path: &Module, depth: usize) -> Option<Module> {
        let module = (0..=path.len())
            .rev()
            .map(|length| path[..length].to_vec())
            .find(|module| self.modules.contains_key(module))?;
        let shown = path.get(module.len());
        let shown = shown.and_then(|name| self.names.get(&module)?.get(name));
        match shown {
            Some(shown) if depth < 8 => {
                let mut on = shown.clone();
                on.extend_from_slice(&path[module.len() + 1..]);
                self.home(&on, depth + 1)
            }
            _ => Some(module),
        }
    }

    /// Which module names which other one.
    fn imports(&self) -> BTreeSet<(Module, Module)> {
        let mut imports = BTreeSet::new();
        for (module, code) in &self.modules {
            let used = used(code).into_iter().map(|(path, _)| path);
            for path in used.chain(amid(code)) {
                let place = self.place(module, &path);
                let home = place.and_then(|place| self.home(&place, 0));
                if let Some(home) = home.filter(|home| home != module) {
                    imports.insert((module.clone(), home));
                }
            }
        }
        imports
    }
}

#[test]
fn every_import_points_to_a_room_below() {
    let place = |module: &Module| {
        let room = module.first().map_or("lib", String::as_str);
        let place = ROOMS.iter().position(|known| *known == room);
        place.unwrap_or_else(|| panic!("{room} has no place in ROOMS"))
    };
    let house = House::read();
    let imports = house.imports();
    assert!(imports.len() > 500, "{}", imports.len());
    let wrong: Vec<_> = imports
        .iter()
        .filter(|(from, _)| !from.is_empty() && from.as_slice() != ["main"])
        .filter(|(from, to)| !to.is_empty() && place(to) > place(from))
        .map(|(from, to)| format!("{} names {}", from.join("::"), to.join("::")))
        .collect();
    assert!(
        wrong.is_empty(),
        "these name what is in a room above theirs:\n{}",
        wrong.join("\n")
    );
}

/// A folder is one thing with one door, `mod.rs`, whose parts may name the whole. Beside
/// that no part may lead back to itself over its neighbours.
#[test]
fn no_folder_has_a_circle_among_its_parts() {
    let imports = House::read().imports();
    let mut folders: BTreeMap<Module, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for (from, to) in &imports {
        let common = from.iter().zip(to).take_while(|(a, b)| a == b).count();
        if let (Some(part), Some(other)) = (from.get(common), to.get(common)) {
            let parts = folders.entry(from[..common].to_vec()).or_default();
            parts.entry(part.clone()).or_default().insert(other.clone());
        }
    }
    assert!(folders.len() > 20, "{}", folders.len());
    let mut circles = Vec::new();
    for (folder, parts) in &folders {
        for part in parts.keys() {
            let mut reached: BTreeSet<&String> = BTreeSet::new();
            let mut next: Vec<&String> = parts[part].iter().collect();
            while let Some(one) = next.pop() {
                if reached.insert(one) {
                    next.extend(parts.get(one).into_iter().flatten());
                }
            }
            if reached.contains(part) {
                circles.push(format!("{}: {part}", folder.join("::")));
            }
        }
    }
    assert!(
        circles.is_empty(),
        "these lead back to themselves:\n{}",
        circles.join("\n")
    );
}
