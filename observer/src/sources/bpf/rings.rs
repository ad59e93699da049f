//! What comes through the rings, as observations.

use std::{io, ptr};

use aya::maps::{MapData, RingBuf};
use observer_ebpf::{self as abi, EventKind};
use tokio::io::{Interest, unix::AsyncFd};

use super::kernel::Rings;
use crate::{
    observation::{ArgvEvent, BreachEvent, DenialEvent, EpisodeEvent, ProcessEvent, WorkloadEvent},
    sources::{BATCH, Source},
};

/// An event as the programs reported it.
#[derive(Clone, Debug)]
pub enum KernelEvent {
    /// The detail of a denial.
    Denial(Box<DenialEvent>),
    /// A closed episode.
    Episode(Box<EpisodeEvent>),
    /// A supervisor came or went.
    Process(Box<ProcessEvent>),
    /// The words of conmon, before its own event.
    Argv(Box<ArgvEvent>),
    /// A supervisor's process became its workload, before its episode closes.
    Workload(Box<WorkloadEvent>),
    /// A rule refused a call.
    Breach(Box<BreachEvent>),
}

/// Reads both rings.
pub struct RingReader {
    denials: AsyncFd<RingBuf<MapData>>,
    states: AsyncFd<RingBuf<MapData>>,
    keep: Option<Keep>,
    /// The first state, where it was read to be compared.
    first: Option<KernelEvent>,
}

/// Takes each state before the ring forgets it.
pub type Keep = Box<dyn FnMut(&[u8]) + Send>;

impl RingReader {
    /// A reader of these rings, within a tokio runtime.
    ///
    /// # Errors
    /// When the runtime can't poll them.
    pub fn new(rings: Rings) -> io::Result<Self> {
        Ok(Self {
            denials: watch(rings.denials)?,
            states: watch(rings.states)?,
            keep: None,
            first: None,
        })
    }

    /// Has each state be kept before the ring forgets it.
    pub fn keep(&mut self, keep: Keep) {
        self.keep = Some(keep);
    }

    /// Leaves the first state out where it is this one: an agent before was killed
    /// after it had kept it, and before the ring forgot it.
    pub fn skip(&mut self, last: &[u8]) {
        let Some(item) = self.states.get_mut().next() else {
            return;
        };
        if *item != *last {
            if let Some(keep) = &mut self.keep {
                keep(&item);
            }
            self.first = decode(&item);
        }
    }
}

impl Source for RingReader {
    type Event = KernelEvent;

    /// States come before denials.
    async fn next(&mut self, mut hand: impl FnMut(KernelEvent) + Send) -> io::Result<()> {
        tokio::select! {
            biased;
            guard = self.states.readable_mut() => drain(guard?, self.keep.as_mut(), &mut hand),
            guard = self.denials.readable_mut() => drain(guard?, None, &mut hand),
        }
        Ok(())
    }

    fn rest(&mut self, mut hand: impl FnMut(KernelEvent)) -> bool {
        let mut room = BATCH;
        if let Some(first) = self.first.take() {
            room -= 1;
            hand(first);
        }
        let rings = [
            (&mut self.states, self.keep.as_mut()),
            (&mut self.denials, None),
        ];
        for (ring, mut keep) in rings {
            while room > 0
                && let Some(item) = ring.get_mut().next()
            {
                room -= 1;
                if let Some(keep) = &mut keep {
                    keep(&item);
                }
                decode(&item).into_iter().for_each(&mut hand);
            }
        }
        room < BATCH
    }
}

fn watch(ring: RingBuf<MapData>) -> io::Result<AsyncFd<RingBuf<MapData>>> {
    // SAFETY: the ring owns its descriptor, gives no other one, and stays
    // within the AsyncFd until it is dropped.
    unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) }
        .map_err(|error| error.into_parts().1)
}

fn drain(
    mut guard: tokio::io::unix::AsyncFdReadyMutGuard<'_, RingBuf<MapData>>,
    mut keep: Option<&mut Keep>,
    hand: &mut impl FnMut(KernelEvent),
) {
    for _ in 0..BATCH {
        let Some(item) = guard.get_inner_mut().next() else {
            guard.clear_ready();
            return;
        };
        if let Some(keep) = &mut keep {
            keep(&item);
        }
        decode(&item).into_iter().for_each(&mut *hand);
    }
}

/// Decodes an event; one of an unknown kind is none of this version's.
pub fn decode(bytes: &[u8]) -> Option<KernelEvent> {
    let kind = u32::from_ne_bytes(*bytes.first_chunk::<4>()?);
    match kind {
        kind if kind == EventKind::Denial as u32 => {
            read::<abi::DenialEvent, _>(bytes).map(KernelEvent::Denial)
        }
        kind if kind == EventKind::Episode as u32 => {
            read::<abi::EpisodeEvent, _>(bytes).map(KernelEvent::Episode)
        }
        kind if kind == EventKind::Process as u32 => {
            read::<abi::ProcessEvent, _>(bytes).map(KernelEvent::Process)
        }
        kind if kind == EventKind::Argv as u32 => {
            read::<abi::ArgvEvent, _>(bytes).map(KernelEvent::Argv)
        }
        kind if kind == EventKind::Workload as u32 => {
            read::<abi::WorkloadEvent, _>(bytes).map(KernelEvent::Workload)
        }
        kind if kind == EventKind::Breach as u32 => {
            read::<abi::BreachEvent, _>(bytes).map(KernelEvent::Breach)
        }
        _ => None,
    }
}

fn read<T: Plain, Named: for<'a> From<&'a T>>(bytes: &[u8]) -> Option<Box<Named>> {
    if bytes.len() < size_of::<T>() {
        return None;
    }
    // SAFETY: the bytes are as many as the type's, and every pattern of them is a value.
    let written: T = unsafe { ptr::read_unaligned(bytes.as_ptr().cast()) };
    Some(Box::new(Named::from(&written)))
}

/// # Safety
/// Every pattern of bytes must be a value.
unsafe trait Plain {}
// SAFETY: integers and arrays of integers alone.
unsafe impl Plain for abi::DenialEvent {}
// SAFETY: integers and arrays of integers alone.
unsafe impl Plain for abi::EpisodeEvent {}
// SAFETY: integers and arrays of integers alone.
unsafe impl Plain for abi::ProcessEvent {}
// SAFETY: integers and arrays of integers alone.
unsafe impl Plain for abi::ArgvEvent {}
// SAFETY: integers and arrays of integers alone.
unsafe impl Plain for abi::WorkloadEvent {}
// SAFETY: integers and arrays of integers alone.
unsafe impl Plain for abi::BreachEvent {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_or_unknown_event_is_left_alone() {
        assert!(decode(&[1, 0]).is_none());
        assert!(decode(&(EventKind::Denial as u32).to_ne_bytes()).is_none());
        assert!(decode(&[99; 512]).is_none());
    }
}
