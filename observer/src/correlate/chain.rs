//! The processes from a supervisor down to the one that a finding is about.

use crate::{finding::Link, observation::Owner};

/// The chain, topmost first: from the supervisor where it is among the
/// ancestors that were reported, else from the topmost one of them.
pub fn chain(ancestors: &[Link], owner: &Owner, pid: u32, comm: String) -> Vec<Link> {
    let mut links = vec![Link { pid, comm }];
    for ancestor in ancestors {
        if links.last().is_some_and(|last| last.pid == owner.tgid) {
            break;
        }
        links.push(ancestor.clone());
    }
    links.reverse();
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pids(owner: u32) -> Vec<u32> {
        let ancestors = [30, 20, 10].map(|pid| Link {
            pid,
            comm: "a".to_owned(),
        });
        let owner = Owner {
            tgid: owner,
            ..Owner::default()
        };
        let links = chain(&ancestors, &owner, 40, "child".to_owned());
        assert_eq!(links.last().unwrap().comm, "child");
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
}
