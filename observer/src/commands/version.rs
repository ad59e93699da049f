//! What `--version` says: version, commit, and which BPF programs are inside.

/// The commit that a release was made of; a plain build has none, so no commit
/// makes everything compile again.
const COMMIT: Option<&str> = option_env!("CAPWATCH_COMMIT");

/// What the committed objects were made of.
const TOOLCHAIN: &str = include_str!("../../bpf/TOOLCHAIN");

/// Digits of the digest that are shown.
const SHOWN: usize = 12;

/// Version, commit and programs, a line each. Where two agents name the same programs,
/// maps and records are the same.
pub fn long() -> String {
    let commit = COMMIT.unwrap_or("unknown (built from source)");
    let version = env!("CARGO_PKG_VERSION");
    let abi = observer_ebpf::ABI;
    format!(
        "{version}\ncommit {commit}\nprograms {}, ABI {abi}",
        programs()
    )
}

/// The digest of the programs' sources.
fn programs() -> &'static str {
    let mut lines = TOOLCHAIN.lines();
    let digest = lines.find_map(|line| line.strip_prefix("sources: "));
    digest
        .and_then(|digest| digest.get(..SHOWN))
        .unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_commit_and_programs_have_a_line_each() {
        let text = long();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[1].starts_with("commit "), "{text}");
        let programs = lines[2].strip_prefix("programs ").unwrap();
        let (programs, abi) = programs.split_once(", ABI ").unwrap();
        assert_eq!(abi, observer_ebpf::ABI.to_string());
        assert!(programs.len() == SHOWN && programs.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
