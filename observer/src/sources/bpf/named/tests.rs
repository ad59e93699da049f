use super::*;
use crate::{
    observation::{BreachKey, Row},
    words::{Audited, Broken, Call, Via},
};

#[test]
fn a_key_comes_back_as_the_kernel_has_it() {
    let owner = abi::Owner {
        start: 1,
        tgid: 2,
        rule: 3,
        role: Role::Workload as u8,
        in_tree: 1,
    };
    let key = abi::RowKey {
        owner,
        cgroup: 4,
        exe_inode: 5,
        profile: 6,
        comm: [b'\xff'; 16],
        capability: 7,
        layer: Layer::Selinux as u8,
        reason: Reason::Namespace as u8,
        audited: Audited::No as u8,
        via: Via::Direct as u8,
        own_credentials: 1,
        reserved: [0; 2],
    };
    assert_eq!(abi::RowKey::from(&Row::from(&key)), key);
    let key = abi::BreachKey {
        owner,
        cgroup: 4,
        exe_inode: 5,
        missing: 6,
        comm: [b'x'; 16],
        call: Call::Capset as u8,
        rule: Broken::Locked as u8,
        errno: 1,
        reserved: 0,
    };
    assert_eq!(abi::BreachKey::from(&BreachKey::from(&key)), key);
}

#[test]
fn names_end_at_a_zero_and_one_without_an_end_is_whole() {
    assert_eq!(text(b"child\n\0junk"), "child\n");
    assert_eq!(text(&[b'x'; 16]), "x".repeat(16));
    assert_eq!(named(&[0; 64]), None);
}

#[test]
fn the_processes_above_end_where_none_was_reported() {
    let mut ancestors = [abi::Ancestor::default(); 8];
    ancestors[0].pid = 30;
    ancestors[0].comm[..2].copy_from_slice(b"a\xff");
    ancestors[2].pid = 10;
    let links = links(&ancestors);
    assert_eq!(links.len(), 1);
    assert_eq!((links[0].pid, links[0].comm.as_str()), (30, "a\u{fffd}"));
}

#[test]
fn numbers_that_stand_for_nothing_are_none() {
    let raw = abi::Episode {
        layer: 99,
        ..abi::Episode::BLANK
    };
    let episode = Episode::from(&raw);
    assert_eq!((episode.layer, episode.first_refused), (Layer::None, None));
    let raw = abi::Episode {
        layer: Layer::Selinux as u32,
        first_refused: 1,
        refused: std::array::from_fn(|n| u8::from(n == 0)),
        ..raw
    };
    let episode = Episode::from(&raw);
    assert_eq!(
        (episode.layer, episode.first_refused),
        (Layer::Selinux, Some(0))
    );
    assert_eq!(episode.refused, CapSet(1));
}
