//! The domain of an episode that `SELinux` refused: the hooks can't read it, its
//! access-vector record names it.

use std::collections::VecDeque;

use crate::{
    audit::{Lsm, Record},
    caps,
    observation::EpisodeSeen,
    time::Stamp,
    words::Layer,
};

/// Records that are remembered, and episodes that wait.
const MAX_KEPT: usize = 256;
/// How long an episode waits for its record: kauditd takes some milliseconds,
/// longer under emulation.
const HOLD_NS: u64 = 400_000_000;
/// How far a record's stamp may lie before the episode's first drop: a tick.
const BEFORE_NS: u64 = 12_000_000;

/// A refusal of SETPCAP as a record reports it.
struct Logged {
    pid: u32,
    time: u64,
    domain: String,
}

/// Records and episodes that wait for one another.
#[derive(Default)]
pub struct Domains {
    logged: VecDeque<Logged>,
    waiting: VecDeque<EpisodeSeen>,
}

impl Domains {
    /// Takes in a record; gives the episodes that waited for it.
    pub fn record(&mut self, record: &Record<'_>) -> Vec<EpisodeSeen> {
        let is_refusal = record.lsm == Some(Lsm::SeLinux)
            && record.is_capability_denial()
            && record.capability == Some(caps::SETPCAP);
        let (true, Some(pid), Some(domain), Some(epoch)) = (
            is_refusal,
            record.pid,
            record.profile.as_deref(),
            record.epoch,
        ) else {
            return Vec::new();
        };
        if self.logged.len() == MAX_KEPT {
            self.logged.pop_front();
        }
        self.logged.push_back(Logged {
            pid,
            time: epoch.nanos(),
            domain: String::from_utf8_lossy(domain).into_owned(),
        });
        let waiting = std::mem::take(&mut self.waiting);
        let (named, waiting) = waiting
            .into_iter()
            .map(|seen| self.name(seen))
            .partition(|seen| seen.profile.is_some());
        self.waiting = waiting;
        let named: VecDeque<_> = named;
        named.into()
    }

    /// Takes in an episode; gives it back at once unless its record is to come.
    pub fn episode(&mut self, seen: EpisodeSeen) -> Option<EpisodeSeen> {
        // One that is open is reported again.
        if seen.episode.layer != Layer::Selinux || seen.end.is_none() {
            return Some(seen);
        }
        let seen = self.name(seen);
        if seen.profile.is_some() || self.waiting.len() == MAX_KEPT {
            return Some(seen);
        }
        self.waiting.push_back(seen);
        None
    }

    /// Episodes that have waited for too long.
    pub fn expire(&mut self, now: Stamp) -> Vec<EpisodeSeen> {
        let mut given_up = Vec::new();
        while let Some(seen) = self
            .waiting
            .pop_front_if(|seen| now.since(seen.until) > HOLD_NS)
        {
            given_up.push(seen);
        }
        given_up
    }

    /// Whether anything waits.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Every episode that waits.
    pub fn finish(&mut self) -> Vec<EpisodeSeen> {
        self.waiting.drain(..).collect()
    }

    /// Whether an episode younger than so many nanoseconds waits.
    pub fn waits(&self, now: Stamp, younger: u64) -> bool {
        self.waiting
            .iter()
            .any(|seen| now.since(seen.until) < younger)
    }

    fn name(&self, mut seen: EpisodeSeen) -> EpisodeSeen {
        let mut logged = self.logged.iter().rev();
        let of_it = logged.find(|logged| {
            logged.pid == seen.episode.tgid
                && logged.time + BEFORE_NS >= seen.first.0
                && logged.time <= seen.until.0
        });
        if seen.profile.is_none() {
            seen.profile = of_it.map(|logged| logged.domain.clone());
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        audit::{Parsed, parse_line},
        caps::CapSet,
        observation::{Episode, EpisodeEnd, Left},
    };

    const BASE_MS: u64 = 1_795_482_188_000;

    fn stamp(ms: u64) -> Stamp {
        Stamp((BASE_MS + ms) * 1_000_000)
    }

    fn episode(tgid: u32, layer: Layer) -> EpisodeSeen {
        EpisodeSeen {
            first: stamp(145),
            until: stamp(150),
            episode: Episode {
                tgid,
                layer,
                before: CapSet(1),
                after: CapSet(1),
                ppid: 1,
                drops: 1,
                refused_raised: 1,
                first_refused: Some(0),
                ..Episode::default()
            },
            end: Some(EpisodeEnd {
                time: 0,
                after: CapSet(1),
                left: Left::Exec,
                status: 0,
                namespace: 0,
                open: false,
            }),
            profile: None,
            container: None,
            version: None,
            exe_uid: None,
            scope: crate::finding::Scope::Host,
        }
    }

    fn record(pid: u32, capability: &str) -> Record<'static> {
        let line = format!(
            "audit: type=1400 audit(1795482188.145:3): avc:  denied  {{ {capability} }} for  pid={pid} \
             comm=\"x\" scontext=u:r:confined_t:s0 tcontext=u:r:confined_t:s0 \
             tclass=capability permissive=0"
        );
        match parse_line(line.as_bytes()) {
            Parsed::Record(record) => record.into_owned(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn episode_and_record_meet_in_either_order() {
        let mut domains = Domains::default();
        assert!(domains.episode(episode(7, Layer::Selinux)).is_none());
        assert!(domains.record(&record(8, "setpcap")).is_empty());
        assert!(domains.record(&record(7, "chown")).is_empty());
        let named = domains.record(&record(7, "setpcap"));
        assert_eq!(named[0].profile.as_deref(), Some("confined_t"));

        let known = domains.episode(episode(8, Layer::Selinux)).unwrap();
        assert_eq!(known.profile.as_deref(), Some("confined_t"));
        assert!(domains.finish().is_empty());
    }

    #[test]
    fn no_episode_waits_for_ever_nor_without_need() {
        let mut domains = Domains::default();
        let other = domains.episode(episode(7, Layer::Commoncap));
        assert!(other.unwrap().profile.is_none());
        let open = EpisodeSeen {
            end: None,
            ..episode(7, Layer::Selinux)
        };
        assert!(domains.episode(open).is_some());
        assert!(domains.episode(episode(7, Layer::Selinux)).is_none());
        assert!(domains.waits(stamp(160), 400_000_000));
        assert!(domains.expire(stamp(500)).is_empty());
        assert_eq!(domains.expire(stamp(551)).len(), 1);
        for pid in 0..1_000 {
            domains.episode(episode(pid, Layer::Selinux));
        }
        assert_eq!(domains.finish().len(), MAX_KEPT);
    }
}
