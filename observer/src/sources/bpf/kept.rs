//! Attaching, and what outlives the agent: pins are made, taken as they are, or taken
//! over by other programs.

use std::{sync::Mutex, thread::sleep};

use aya::maps::{Array, Map, MapData, MapError, PerCpuArray, PerCpuHashMap};
use observer_ebpf::{
    Hook, Loss, TotalKey,
    decide::turn::{AFTER, BEFORE},
};

use super::{
    attach::{self, Types},
    error::KernelError,
    host::{IN_FLIGHT, active_lsms},
    link::Attached,
    maps::skip,
    mechanism::HookStatus,
    object::Attach,
    pins::{About, Away, Pins, Plan, Watched},
    programs::Programs,
    storm::{self, Storm},
    written::{verdict_word, write_hooks},
};
use crate::time::{Stamp, monotonic};

/// What outlives this agent.
pub struct Kept {
    pub(super) pins: Pins,
    pub(super) about: About,
    pub(super) since: Stamp,
    pub(super) watched: Mutex<Array<MapData, Watched>>,
    pub(super) away: Option<Away>,
}

/// What is attached.
pub struct Live {
    /// What came of every hook.
    pub hooks: Vec<HookStatus>,
    /// What detaches it.
    pub links: Vec<Attached>,
    /// What outlives the agent.
    pub kept: Option<Kept>,
}

/// What to attach, and how.
pub struct Setting<'a> {
    /// The kernel's types.
    pub types: Types<'a>,
    /// How to attach.
    pub attach: &'a Attach,
    /// Whether the programs may read any memory of the kernel's.
    pub probe_read: bool,
    /// The turn of the programs.
    pub turn: u32,
}

/// What the kernel side lost.
pub struct Losses(pub PerCpuArray<MapData, u64>);

impl Losses {
    /// How often something was lost.
    pub fn get(&self, loss: Loss) -> u64 {
        let counts = self.0.get(&(loss as u32), 0);
        counts.map_or(0, |counts| counts.iter().sum())
    }

    /// The same of everything, by [`Loss`].
    pub fn all(&self) -> [u64; Loss::ALL.len()] {
        Loss::ALL.map(|loss| self.get(loss))
    }
}

/// Attaches the programs, which end with the agent.
pub fn attach(ebpf: &mut Programs, setting: &Setting<'_>) -> Live {
    let (hooks, links) = anew(ebpf, setting);
    Live {
        hooks,
        links,
        kept: None,
    }
}

/// Attaches programs that outlive the agent, or goes on with those that do; `about`
/// is what is to be said of them.
///
/// # Errors
/// When what is pinned can't be used, or what is to be pinned can't.
pub fn attach_pinned(
    ebpf: &mut Programs,
    setting: &Setting<'_>,
    (pins, plan, about): (Pins, Plan, About),
    losses: &Losses,
) -> Result<Live, KernelError> {
    let (hooks, links, kept) = match plan {
        Plan::Adopt(_) => {
            let mut links = pins.adopt(ebpf)?;
            let (mut hooks, unpinned) = (about.hooks.clone(), &about.unpinned);
            attach::attach_again(ebpf, setting.types, unpinned, &mut hooks, &mut links);
            (hooks, links, Kept::take(pins, about, losses)?)
        }
        Plan::Fresh => {
            let mut about = about;
            let (hooks, links) = anew(ebpf, setting);
            let links = keep(&pins, &mut about, &hooks, links, ebpf);
            pins.settle(&about)?;
            (hooks, links, Kept::take(pins, about, losses)?)
        }
        Plan::TakeOver(before, _) => {
            let mut about = about;
            let (hooks, links) = take_over(ebpf, setting, &pins, (&mut about, &before))?;
            tracing::info!(
                "took over from the programs of capwatch {}, which were attached since {}",
                before.version,
                before.since
            );
            (hooks, links, Kept::take(pins, about, losses)?)
        }
    };
    Ok(Live {
        hooks,
        links,
        kept: Some(kept),
    })
}

/// Attaches these programs beside those of another version, hands over, and detaches
/// the others.
fn take_over(
    ebpf: &mut Programs,
    setting: &Setting<'_>,
    pins: &Pins,
    (about, before): (&mut About, &About),
) -> Result<(Vec<HookStatus>, Vec<Attached>), KernelError> {
    let (hooks, links) = anew(ebpf, setting);
    let mut links = keep(pins, about, &hooks, links, ebpf);
    if verdict_word(ebpf, before.turn) == Hook::BY_KPROBE && storm::was_calm(&before.hooks) {
        links = Storm::new(links, about.turn, true).inherit(ebpf, pins);
    }
    // A call that began before they were attached has returned by now; and so have
    // those of each step before the next one.
    sleep(IN_FLIGHT);
    pins.set_turn(before.turn | BEFORE)?;
    sleep(IN_FLIGHT);
    pins.set_turn(about.turn | AFTER)?;
    pins.settle(about)?;
    sleep(IN_FLIGHT);
    pins.set_turn(about.turn)?;
    // The others may be amid a check still, and count it.
    sleep(IN_FLIGHT);
    for (program, misses) in pins.skipped(before.turn) {
        *about.skipped.entry(program).or_default() += misses;
    }
    pins.settle(about)?;
    pins.retire()?;
    Ok((hooks, links))
}

/// Pins what was attached; names what this kernel can't pin.
fn keep(
    pins: &Pins,
    about: &mut About,
    hooks: &[HookStatus],
    links: Vec<Attached>,
    ebpf: &mut Programs,
) -> Vec<Attached> {
    about.hooks = hooks.to_vec();
    let mut kept = Vec::new();
    for link in links {
        let (link, why) = pins.keep(ebpf, link);
        if let Some(why) = why {
            tracing::warn!("not pinned, so it ends with this agent: {why}");
            about.unpinned.push(link.program.clone());
        }
        kept.push(link);
    }
    kept
}

fn anew(ebpf: &mut Programs, setting: &Setting<'_>) -> (Vec<HookStatus>, Vec<Attached>) {
    let Setting {
        types,
        attach,
        probe_read,
        turn,
    } = setting;
    let lsms = active_lsms();
    let (mut hooks, links) = attach::attach(ebpf, *types, attach.hooks, &lsms, |ebpf, by| {
        if let Err(error) = write_hooks(ebpf, by, *turn) {
            tracing::error!("{error}");
        }
    });
    if !probe_read {
        let unread = |status: &&mut HookStatus| status.watches_rules() && !status.attached;
        for status in hooks.iter_mut().filter(unread) {
            status.needed = false;
        }
        for status in hooks.iter_mut().filter(|status| status.attached) {
            let lost = "lockdown forbids bpf_probe_read_kernel: profile names and long \
                        executable names are missing";
            let reason = status
                .reason
                .take()
                .map_or(String::new(), |r| format!("{r}; "));
            status.reason = Some(reason + lost);
        }
    }
    (hooks, links)
}

impl Kept {
    /// Of what is pinned.
    fn take(pins: Pins, about: About, losses: &Losses) -> Result<Self, KernelError> {
        let before = pins.watched().unwrap_or_default();
        let (now, since) = (monotonic(), Stamp::now());
        Ok(Self {
            away: Away::new(&before, now, since, &losses.all()),
            watched: Mutex::new(pins.watch()?),
            pins,
            about,
            since,
        })
    }

    /// What versions before counted that found no row.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn former_totals(&self) -> Result<Vec<(TotalKey, u64)>, KernelError> {
        let error = |name| move |source| KernelError::Map { name, source };
        let mut totals = Vec::new();
        for place in self.pins.former(&self.about, "TOTALS") {
            let read = || -> Result<PerCpuHashMap<MapData, TotalKey, u64>, MapError> {
                Map::PerCpuHashMap(MapData::from_pin(&place)?).try_into()
            };
            let map = read().map_err(error("TOTALS"))?;
            let counted = map.iter().filter_map(|entry| skip("TOTALS", entry));
            totals.extend(counted.map(|(key, counts)| (key, counts.iter().sum())));
        }
        for place in self.pins.former(&self.about, "OVERFLOW") {
            let read = || -> Result<PerCpuArray<MapData, u64>, MapError> {
                Map::PerCpuArray(MapData::from_pin(&place)?).try_into()
            };
            let map = read().map_err(error("OVERFLOW"))?;
            for index in 0..TotalKey::OVERFLOW_LEN {
                let count: u64 = map.get(&index, 0).map_or(0, |counts| counts.iter().sum());
                if count > 0 {
                    totals.push((TotalKey::from_overflow_index(index), count));
                }
            }
        }
        Ok(totals)
    }
}
