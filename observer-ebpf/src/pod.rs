//! Lets aya copy the types of the ABI to and from maps.

use aya::Pod;

use crate::{
    Agent, Breach, BreachKey, Config, Count, Episode, EpisodeEvent, MadeCgroup, Member, Offsets,
    RowKey, Rule, Share, Task, TotalKey,
};

macro_rules! pod {
    ($($name:ty),*) => {
        // SAFETY: `repr(C)`, without padding (sizes are asserted where the type
        // stands), made of integers and arrays of integers alone.
        $(unsafe impl Pod for $name {})*
    };
}

pod!(
    Agent,
    Breach,
    BreachKey,
    Config,
    Count,
    Episode,
    EpisodeEvent,
    MadeCgroup,
    Member,
    Offsets,
    RowKey,
    Rule,
    Share,
    Task,
    TotalKey
);
