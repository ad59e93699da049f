//! The processes from a supervisor down to the one that a finding is about.

use observer_ebpf::{Ancestor, Owner};

use crate::{finding::Link, sources::bpf::text};

/// The chain, topmost first: from the supervisor where it is among the
/// ancestors that were told, else from the topmost one of them.
pub fn chain(ancestors: &[Ancestor], owner: &Owner, pid: u32, comm: &[u8]) -> Vec<Link> {
    let mut links = vec![Link {
        pid,
        comm: text(comm),
    }];
    let above = ancestors.iter().take_while(|ancestor| ancestor.pid != 0);
    for ancestor in above {
        if links.last().is_some_and(|last| last.pid == owner.tgid) {
            break;
        }
        links.push(Link {
            pid: ancestor.pid,
            comm: text(&ancestor.comm),
        });
    }
    links.reverse();
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pids(owner: u32) -> Vec<u32> {
        let mut ancestors = [Ancestor::default(); 8];
        for (slot, pid) in ancestors.iter_mut().zip([30, 20, 10]) {
            slot.pid = pid;
            slot.comm[..2].copy_from_slice(b"a\xff");
        }
        let owner = Owner {
            tgid: owner,
            ..Owner::default()
        };
        let links = chain(&ancestors, &owner, 40, b"child\n\0junk");
        assert_eq!(links.last().unwrap().comm, "child\n");
        links.iter().map(|link| link.pid).collect()
    }

    #[test]
    fn it_begins_at_the_supervisor() {
        assert_eq!(pids(20), [20, 30, 40]);
        assert_eq!(pids(40), [40]);
        assert_eq!(pids(0), [10, 20, 30, 40], "nobody owns it");
        assert_eq!(
            pids(7),
            [10, 20, 30, 40],
            "a double fork: the supervisor is gone"
        );
    }

    #[test]
    fn a_name_without_an_end_is_whole() {
        let links = chain(&[], &Owner::default(), 1, &[b'x'; 16]);
        assert_eq!(links[0].comm, "x".repeat(16));
    }
}
