//! Where observations come from: the kernel's hooks, the audit log, a recorded stream.

pub mod adopt;
pub mod audit;
pub mod bpf;
pub mod proc;
pub mod recorded;

use std::{future::Future, io};

/// What an agent listens to: the rings of the programs, the audit log.
///
/// [`proc`] is none: nothing arrives there to be waited for. It answers what others ask
/// about one process.
pub trait Source {
    /// What it hands on.
    type Event;

    /// Waits until there is something, and hands on a batch of it; never returns where
    /// nothing can come.
    ///
    /// # Errors
    /// When it can be listened to no more.
    fn next(
        &mut self,
        hand: impl FnMut(Self::Event) + Send,
    ) -> impl Future<Output = io::Result<()>> + Send;

    /// Hands on a batch of what is there now, without waiting; whether there was any.
    fn rest(&mut self, hand: impl FnMut(Self::Event)) -> bool;
}

/// How much a source hands on before others get their turn.
const BATCH: usize = 256;
