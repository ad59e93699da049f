//! The BPF object as another version of capwatch would bring it.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use object::{File, Object as _, ObjectSection as _, ObjectSymbol as _};

#[cfg(target_arch = "x86_64")]
const BUILT_IN: &[u8] = include_bytes!("../../../observer/bpf/capwatch.x86_64.bpf.o");
#[cfg(target_arch = "aarch64")]
const BUILT_IN: &[u8] = include_bytes!("../../../observer/bpf/capwatch.aarch64.bpf.o");

/// Where the entries stand in `struct bpf_map_def`.
const ENTRIES: u64 = 12;

/// Write the BPF object of another version: as it is now, but for its digest
#[derive(clap::Args)]
pub struct Args {
    /// Where to
    file: PathBuf,
    /// Give this map another size, too
    #[arg(long, requires = "entries")]
    map: Option<String>,
    /// Its entries
    #[arg(long, requires = "map")]
    entries: Option<u32>,
}

/// Writes it.
///
/// # Errors
/// When there is no such map, or the file can't be written.
pub fn main(args: &Args) -> Result<()> {
    let map = args.map.as_deref().zip(args.entries);
    let mut file = std::fs::File::create(&args.file)?;
    Ok(file.write_all(&other(map)?)?)
}

/// The object with a map of another size, where one is named.
///
/// # Errors
/// When there is no such map.
pub fn other(map: Option<(&str, u32)>) -> Result<Vec<u8>> {
    let mut bytes = BUILT_IN.to_vec();
    if let Some((map, entries)) = map {
        let file = File::parse(BUILT_IN)?;
        let symbol = file.symbols().find(|one| one.name() == Ok(map));
        let symbol = symbol.with_context(|| format!("no map {map}"))?;
        let section = file.section_by_name("maps").context("no maps")?;
        let start = section.file_range().context("no bytes")?.0;
        let place = usize::try_from(start + symbol.address() + ENTRIES)?;
        bytes[place..place + 4].copy_from_slice(&entries.to_le_bytes());
    }
    // What comes after the last section is nobody's, but in the digest.
    bytes.extend_from_slice(b"another version");
    Ok(bytes)
}
