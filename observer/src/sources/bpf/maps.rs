//! Taking maps of the object, and reading them.

use aya::{
    Ebpf,
    maps::{Map, MapError},
};

use super::error::KernelError;

/// An entry that vanished while the map was walked is no error.
pub(super) fn skip<T>(map: &str, entry: Result<T, MapError>) -> Option<T> {
    match entry {
        Ok(entry) => Some(entry),
        Err(MapError::KeyNotFound) => None,
        Err(error) => {
            tracing::warn!("cannot read the BPF map {map}: {error}");
            None
        }
    }
}

/// A part of a map must not pass for all of it.
pub(super) fn all(map: &str, walked: std::io::Result<()>) -> Option<()> {
    walked
        .inspect_err(|error| tracing::warn!("cannot read the BPF map {map}: {error}"))
        .ok()
}

/// A map, which its reader has from now on.
pub(super) fn take<T>(ebpf: &mut Ebpf, name: &'static str) -> Result<T, KernelError>
where
    T: TryFrom<Map, Error = MapError>,
{
    typed(ebpf.take_map(name), name)
}

/// A map that stays with the object.
pub(super) fn writable<'a, T>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<T, KernelError>
where
    T: TryFrom<&'a mut Map, Error = MapError>,
{
    typed(ebpf.map_mut(name), name)
}

fn typed<M, T>(map: Option<M>, name: &'static str) -> Result<T, KernelError>
where
    T: TryFrom<M, Error = MapError>,
{
    let map = map.ok_or_else(|| MapError::InvalidName {
        name: name.to_owned(),
    });
    map.and_then(T::try_from)
        .map_err(|source| KernelError::Map { name, source })
}
