//! The finding of a row of denials.

use std::sync::Arc;

use super::explain;
use crate::{
    caps,
    config::Rules,
    finding::{Container, Denial, Link, Scope},
    observation::Row,
    time::Stamp,
    words::{Reason, Role},
};

/// How often, and from when to when.
#[derive(Clone, Copy, Debug)]
pub struct Tally {
    /// Denials.
    pub count: u64,
    /// The first.
    pub first: Stamp,
    /// The last.
    pub last: Stamp,
}

/// What is known of a row beyond its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// Process id of the one that was reported last.
    pub pid: u32,
    /// Basename of the executable.
    pub exe: String,
    /// Inode number of the namespace that the capability was asked for; 0 where it is not known.
    pub target: u32,
    /// The profile's policy namespace.
    pub namespace: Option<String>,
    /// Name of the profile.
    pub profile: Option<String>,
    /// The container it happened in.
    pub container: Option<Arc<Container>>,
    /// The processes from the supervisor down.
    pub chain: Vec<Link>,
}

/// The name of a rule; `None` for number 0.
pub fn name(rules: &Rules, id: u16) -> Option<String> {
    rules.get(id).map(|rule| rule.name.to_string())
}

/// The word for a role; `None` for a process that nobody owns.
pub fn role(role: Role) -> Option<String> {
    match role {
        Role::None => None,
        role => Some(role.as_str().to_owned()),
    }
}

/// The finding of a row.
pub fn denial(
    key: &Row,
    tally: Tally,
    scope: Scope,
    detail: Option<&Detail>,
    rules: &Rules,
) -> Denial {
    let number = u32::from(key.capability);
    let layer = key.layer;
    let expectation = rules.expected(key.owner.rule, number, layer);
    let profile = detail.and_then(|detail| detail.profile.clone());
    let exe = detail.map(|detail| detail.exe.clone());
    let mut denial = Denial {
        scope,
        supervisor: name(rules, key.owner.rule),
        role: role(key.owner.role),
        container: detail.and_then(|detail| detail.container.clone()),
        comm: key.comm.to_string(),
        exe: exe.filter(|exe| !exe.is_empty()),
        pid: detail.map(|detail| detail.pid),
        chain: detail.map_or_else(Vec::new, |detail| detail.chain.clone()),
        capability: caps::name(number).into_owned(),
        number,
        layer: layer.as_str().to_owned(),
        reason: match key.reason {
            Reason::None => None,
            reason => Some(reason.as_str().to_owned()),
        },
        profile,
        namespace: detail.and_then(|detail| detail.namespace.clone()),
        target_namespace: detail
            .map(|detail| detail.target)
            .filter(|inode| *inode != 0),
        audited: key.audited.as_str().to_owned(),
        expected: expectation.is_some(),
        own_credentials: key.own_credentials,
        via: key.via.as_str().to_owned(),
        count: tally.count,
        exact: true,
        logged: None,
        leftover: None,
        first: tally.first,
        last: tally.last,
        explanation: String::new(),
    };
    let rule = rules.get(key.owner.rule);
    denial.explanation = explain::denial(&denial, expectation, rule, rules.release());
    denial
}
