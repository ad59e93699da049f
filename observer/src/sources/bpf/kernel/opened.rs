//! Loading the object, attaching its programs and taking its maps.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use aya::{Btf as AyaBtf, Ebpf, EbpfLoader, Pod};
use aya_log::EbpfLogger;
use observer_ebpf::{Config, Offsets};

use super::{Kernel, Maps, Rings};
use crate::{
    config::Rules,
    memory,
    sources::bpf::{
        attach::{self, Types},
        breaches::Breaches,
        btf::Btf,
        error::KernelError,
        host::{allow_locked_memory, warn_of_memory_limit},
        kept::{self, Live, Losses, Setting},
        lanes::Lanes,
        made::MadeCgroups,
        maps::take,
        marks::Marks,
        object::{Attach, definitions},
        offsets,
        pins::{About, Pins, Plan},
        programs::Programs,
        prototype::Prototypes,
        rows::Rows,
        storm::Storm,
        written::write_rules,
    },
    time::monotonic,
};

impl Maps {
    fn take(ebpf: &mut Ebpf, losses: Losses) -> Result<Self, KernelError> {
        Ok(Self {
            totals: take(ebpf, "TOTALS")?,
            overflow: take(ebpf, "OVERFLOW")?,
            losses,
            profiles: take(ebpf, "PROFILES")?,
            episodes: take(ebpf, "EPISODES")?,
            members: take(ebpf, "MEMBERS")?,
            notes: take(ebpf, "NOTES")?,
            tasks: take(ebpf, "TASKS")?,
        })
    }
}

impl Rings {
    fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        Ok(Self {
            denials: take(ebpf, "DENIALS")?,
            states: take(ebpf, "STATES")?,
        })
    }
}

fn marks(ebpf: &mut Ebpf) -> Result<Marks, KernelError> {
    Marks::map(take(ebpf, "MARKS")?).map_err(unmapped("MARKS"))
}

fn made(ebpf: &mut Ebpf) -> Result<Arc<MadeCgroups>, KernelError> {
    let made = MadeCgroups::map(take(ebpf, "CGROUPS")?);
    made.map(Arc::new).map_err(unmapped("CGROUPS"))
}

fn unmapped(name: &'static str) -> impl Fn(std::io::Error) -> KernelError {
    move |source| KernelError::Mapping { name, source }
}

/// What was read of the running kernel's types, which take some twenty megabytes: they
/// are given back before aya reads them its own way.
struct Host {
    offsets: Offsets,
    config: Config,
    prototypes: Prototypes,
}

impl Host {
    fn look() -> Result<Self, KernelError> {
        let btf = Btf::vmlinux()?;
        let host = Self {
            offsets: offsets::resolve(&btf),
            config: offsets::config(&btf),
            prototypes: Prototypes::of(&btf),
        };
        drop(btf);
        memory::give_back();
        Ok(host)
    }

    fn config(&self, probe_read: bool, turn: u32) -> Config {
        Config {
            probe_read: u32::from(probe_read),
            turn,
            ..self.config
        }
    }
}

impl Kernel {
    /// Loads the programs and attaches what this host can have.
    ///
    /// # Errors
    /// When nothing can be had: no BTF, or no privilege to load.
    pub fn open(
        attach: &Attach,
        rules: &Rules,
        pins: Option<Pins>,
    ) -> Result<(Self, Rings), KernelError> {
        let object = attach.object()?;
        allow_locked_memory();
        warn_of_memory_limit();
        let host = Host::look()?;
        let aya_btf = AyaBtf::from_sys_fs()?;
        let types = Types {
            aya: &aya_btf,
            prototypes: &host.prototypes,
        };
        let mut pins = pins;
        let layout = attach.layout(&object);
        let plan = match &mut pins {
            Some(pins) => pins.plan(&layout, &definitions(&object), rules)?,
            None => Plan::Fresh,
        };
        let places = pins.as_ref().map_or_else(Vec::new, |pins| pins.maps(&plan));
        let about = plan.about();
        let mut probe_read = about.is_none_or(|about| about.probe_read);
        let turn = turn(&plan);
        let load = |probe_read| {
            let config = host.config(probe_read, turn);
            let ring = attach.state_ring;
            load(&object, ring, &aya_btf, &host.offsets, &config, &places)
        };
        let mut ebpf = load(probe_read)?;
        if about.is_none()
            && let Err(error) = attach::load_tree(&mut ebpf, types)
        {
            // lockdown=confidentiality refuses bpf_probe_read_kernel; direct loads remain.
            tracing::info!("loading again without bpf_probe_read_kernel: {error}");
            probe_read = false;
            ebpf = load(probe_read)?;
        }
        let is_adopted = matches!(plan, Plan::Adopt(_));
        let about = match &plan {
            Plan::Fresh => About::new(layout, probe_read),
            Plan::Adopt(about) => about.clone(),
            Plan::TakeOver(about, rows) => about.next(layout, probe_read, *rows),
        };
        if let Some(pins) = &mut pins {
            // Before they are taken out of the object.
            pins.keep_maps(&ebpf, &about, is_adopted)?;
            // Before anything is counted under their numbers.
            pins.keep_rule_names(rules)?;
        }
        write_rules(&mut ebpf, rules)?;
        let losses = Losses(take(&mut ebpf, "LOSSES")?);
        let breaches = Breaches::open(&mut ebpf)?;
        let mut rows = Rows::open(&mut ebpf, plan.has_rows())?;
        let setting = Setting {
            types,
            attach,
            probe_read,
            turn,
        };
        let Live { hooks, links, kept } = match pins {
            None => kept::attach(&mut ebpf, &setting),
            Some(pins) => kept::attach_pinned(&mut ebpf, &setting, (pins, plan, about), &losses)?,
        };
        let mut former = Vec::new();
        if let Some(kept) = &kept {
            former = kept.former_totals()?;
            rows.add_former(&kept.pins, &kept.about)?;
        }
        let rings = Rings::take(&mut ebpf)?;
        let maps = Maps::take(&mut ebpf, losses)?;
        let (marks, made) = (marks(&mut ebpf)?, made(&mut ebpf)?);
        // Only an object that was built with diagnostics has their map.
        let diagnostics = EbpfLogger::init(&mut ebpf).ok();
        let lanes = Lanes::new(&links);
        let mut storm = Storm::new(links, turn, kept.is_some());
        let mut hooks = hooks;
        if kept.is_some() {
            storm.resume(&mut ebpf, &mut hooks);
        }
        let instance = kept
            .as_ref()
            .map_or_else(monotonic, |kept| kept.about.instance);
        Ok((
            Self {
                ebpf,
                hooks,
                former,
                maps,
                marks,
                made,
                rows: Mutex::new(rows),
                breaches: Mutex::new(breaches),
                lanes: Mutex::new(lanes),
                storm: Mutex::new(storm),
                diagnostics: Mutex::new(diagnostics),
                kept,
                instance,
            },
            rings,
        ))
    }

    /// Looks through the programs of an agent that runs and has these pins. Its rings
    /// and whatever it hands out are its own. None where it attached otherwise than
    /// this would.
    ///
    /// # Errors
    /// When what is pinned can't be used.
    pub fn join(attach: &Attach, pins: &Pins) -> Result<Option<Self>, KernelError> {
        let object = attach.object()?;
        let about = pins.about();
        let fits = |about: &About| about.layout == attach.layout(&object);
        let Some(about) = about.filter(|about| fits(about) && pins.is_held()) else {
            return Ok(None);
        };
        let (host, aya_btf) = (Host::look()?, AyaBtf::from_sys_fs()?);
        let config = host.config(about.probe_read, about.turn);
        let (hooks, instance) = (about.hooks.clone(), about.instance);
        let places = pins.maps(&Plan::Adopt(about));
        let ring = attach.state_ring;
        let mut ebpf = load(&object, ring, &aya_btf, &host.offsets, &config, &places)?;
        let links = pins.adopt(&mut ebpf)?;
        let losses = Losses(take(&mut ebpf, "LOSSES")?);
        let (rows, breaches) = (Rows::join(&mut ebpf)?, Breaches::open(&mut ebpf)?);
        let maps = Maps::take(&mut ebpf, losses)?;
        let (marks, made) = (marks(&mut ebpf)?, made(&mut ebpf)?);
        Ok(Some(Self {
            ebpf,
            hooks,
            maps,
            former: Vec::new(),
            marks,
            made,
            rows: Mutex::new(rows),
            breaches: Mutex::new(breaches),
            lanes: Mutex::new(Lanes::new(&links)),
            // Who runs them follows them.
            storm: Mutex::new(Storm::new(Vec::new(), 0, true)),
            diagnostics: Mutex::default(),
            kept: None,
            instance,
        }))
    }
}

/// The number that programs of this plan count under.
const fn turn(plan: &Plan) -> u32 {
    match plan {
        Plan::Fresh => 0,
        Plan::Adopt(about) => about.turn,
        Plan::TakeOver(about, _) => about.turn + 1,
    }
}

fn load(
    object: &[u8],
    state_ring: Option<u32>,
    btf: &AyaBtf,
    offsets: &Offsets,
    config: &Config,
    places: &[(String, PathBuf)],
) -> Result<Programs, KernelError> {
    let mut loader = EbpfLoader::new();
    for (name, place) in places {
        loader.map_pin_path(name, place.as_path());
    }
    loader
        .btf(Some(btf))
        .override_global("OFFSETS", offsets, true)
        .override_global("CONFIG", config, true);
    if let Some(bytes) = state_ring {
        loader.map_max_entries("STATES", bytes);
    }
    loader
        .load(object)
        .map(Programs::from)
        .map_err(|error| KernelError::Load(Box::new(error)))
}

// The programs read these as they are.
const fn assert_pod<T: Pod>() {}
const _: () = assert_pod::<Offsets>();
