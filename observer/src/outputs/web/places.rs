//! Places for connections: a bounded number, each peer with a share.
//!
//! Nobody waits for a place: a newcomer takes that of the connection that has
//! waited for longest, from its own address first. Thus neither thousands of idle
//! connections nor slow ones keep a probe or a scrape out, whatever their owner
//! to: a newcomer asks at once, and by then it is the youngest.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use crate::memory;

/// All places.
#[derive(Clone, Debug)]
pub struct Places {
    inner: Arc<Mutex<Inner>>,
    most: usize,
    share: usize,
}

#[derive(Debug, Default)]
struct Inner {
    taken: HashMap<u64, Taken>,
    peers: HashMap<IpAddr, usize>,
    /// Counts connections and what they do: the lower, the longer ago.
    clock: u64,
}

#[derive(Debug)]
struct Taken {
    peer: IpAddr,
    /// When its state changed last.
    since: u64,
    answering: bool,
    /// Dropped to end the connection.
    _hold: oneshot::Sender<()>,
}

/// The place of one connection; given back when it goes.
#[derive(Debug)]
pub struct Place {
    id: u64,
    places: Places,
}

impl Places {
    /// So many places, of which one address has a share.
    pub fn new(most: usize, share: usize) -> Self {
        Self {
            inner: Arc::default(),
            most: most.max(1),
            share: share.clamp(1, most.max(1)),
        }
    }

    /// Takes a place, from another connection where none is free. The receiver
    /// reports when it is taken away.
    pub fn take(&self, peer: IpAddr) -> (Place, oneshot::Receiver<()>) {
        // An IPv4 address is the same peer on a socket of either family.
        let peer = peer.to_canonical();
        let (hold, lost) = oneshot::channel();
        let mut inner = self.inner();
        let of_peer = inner.peers.get(&peer).copied().unwrap_or_default();
        if of_peer >= self.share {
            inner.evict(peer);
        } else if inner.taken.len() >= self.most
            && let Some(greediest) = inner.greediest()
        {
            inner.evict(greediest);
        }
        let id = inner.tick();
        *inner.peers.entry(peer).or_default() += 1;
        inner.taken.insert(
            id,
            Taken {
                peer,
                since: id,
                answering: false,
                _hold: hold,
            },
        );
        let place = Place {
            id,
            places: self.clone(),
        };
        (place, lost)
    }

    /// Ends the connection that has waited for longest, where descriptors ran out.
    pub fn make_room(&self) {
        let mut inner = self.inner();
        if let Some(greediest) = inner.greediest() {
            inner.evict(greediest);
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    const fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// The address with the most connections.
    fn greediest(&self) -> Option<IpAddr> {
        let peers = self.peers.iter();
        let greediest = peers.max_by_key(|(peer, count)| (**count, **peer));
        greediest.map(|(peer, _)| *peer)
    }

    /// Takes the place of a peer's connection that waits for longest; of one that
    /// is being answered only where none waits.
    fn evict(&mut self, peer: IpAddr) {
        let own = self.taken.iter().filter(|(_, taken)| taken.peer == peer);
        let longest = own.min_by_key(|(_, taken)| (taken.answering, taken.since));
        if let Some(id) = longest.map(|(id, _)| *id) {
            self.give_back(id);
        }
    }

    fn give_back(&mut self, id: u64) {
        let Some(taken) = self.taken.remove(&id) else {
            return;
        };
        if let Some(count) = self.peers.get_mut(&taken.peer) {
            *count -= 1;
            if *count == 0 {
                self.peers.remove(&taken.peer);
            }
        }
        // After a storm.
        memory::trim(&mut self.taken);
    }
}

impl Place {
    /// Notes whether the connection is being answered now.
    pub fn answers(&self, answering: bool) {
        let mut inner = self.places.inner();
        let now = inner.tick();
        if let Some(taken) = inner.taken.get_mut(&self.id) {
            taken.answering = answering;
            taken.since = now;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.inner().give_back(self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::sync::oneshot::error::TryRecvError;

    use super::*;

    const ONE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

    fn lives(lost: &mut oneshot::Receiver<()>) -> bool {
        lost.try_recv() == Err(TryRecvError::Empty)
    }

    #[test]
    fn a_greedy_peer_takes_its_own_places_alone() {
        let places = Places::new(8, 4);
        let mut others: Vec<_> = (0..2).map(|_| places.take(OTHER)).collect();
        let mut own: Vec<_> = (0..100).map(|_| places.take(ONE)).collect();
        assert!(others.iter_mut().all(|(_, lost)| lives(lost)));
        let living = own
            .iter_mut()
            .filter_map(|(_, lost)| lives(lost).then_some(()));
        assert_eq!(living.count(), 4);
        assert!(lives(&mut own[99].1), "the youngest has a place");
        drop(own);
        assert_eq!(places.inner().taken.len(), 2);
        assert_eq!(places.inner().peers.len(), 1);
    }

    #[test]
    fn who_is_answered_stays_while_another_waits() {
        let places = Places::new(8, 2);
        let (answered, mut lost) = places.take(ONE);
        answered.answers(true);
        let (_idle, mut idle) = places.take(ONE);
        let (_new, mut new) = places.take(ONE);
        assert!(lives(&mut lost) && !lives(&mut idle) && lives(&mut new));
    }

    #[test]
    fn when_all_are_taken_the_peer_with_the_most_gives_one() {
        let places = Places::new(4, 3);
        let mut own: Vec<_> = (0..3).map(|_| places.take(ONE)).collect();
        let mut first = places.take(OTHER);
        let mut second = places.take(OTHER);
        assert!(lives(&mut first.1) && lives(&mut second.1));
        assert!(!lives(&mut own[0].1) && lives(&mut own[1].1));
        assert_eq!(places.inner().taken.len(), 4);
    }

    #[test]
    fn both_forms_of_an_address_are_one_peer() {
        let places = Places::new(8, 1);
        let mapped = IpAddr::V6(Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped());
        let (_place, mut lost) = places.take(ONE);
        let _other = places.take(mapped);
        assert!(!lives(&mut lost));
    }
}
