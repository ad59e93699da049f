//! Keys of what the kernel side counts.

use observer_ebpf as abi;

use crate::{
    caps::CapSet,
    observation::{BreachKey, Comm, Row, Total},
    words::{Audited, Broken, Call, Layer, Reason, Via},
};

impl From<&abi::RowKey> for Row {
    fn from(key: &abi::RowKey) -> Self {
        let abi::RowKey {
            owner,
            cgroup,
            exe_inode,
            profile,
            comm,
            capability,
            layer,
            reason,
            audited,
            via,
            own_credentials,
            reserved: _,
        } = *key;
        Self {
            owner: (&owner).into(),
            cgroup,
            exe_inode,
            profile,
            comm: Comm(comm),
            capability,
            layer: Layer::from_byte(layer),
            reason: Reason::from_byte(reason),
            audited: Audited::from_byte(audited),
            via: Via::from_byte(via),
            own_credentials: own_credentials == 1,
        }
    }
}

impl From<&Row> for abi::RowKey {
    fn from(row: &Row) -> Self {
        let Row {
            owner,
            cgroup,
            exe_inode,
            profile,
            comm,
            capability,
            layer,
            reason,
            audited,
            via,
            own_credentials,
        } = *row;
        Self {
            owner: (&owner).into(),
            cgroup,
            exe_inode,
            profile,
            comm: comm.0,
            capability,
            layer: layer as u8,
            reason: reason as u8,
            audited: audited as u8,
            via: via as u8,
            own_credentials: u8::from(own_credentials),
            reserved: [0; 2],
        }
    }
}

impl From<&abi::TotalKey> for Total {
    fn from(key: &abi::TotalKey) -> Self {
        Self {
            owner: (&key.owner).into(),
            capability: key.capability,
            layer: Layer::from_byte(key.layer),
            audited: Audited::from_byte(key.audited),
        }
    }
}

impl From<&abi::BreachKey> for BreachKey {
    fn from(key: &abi::BreachKey) -> Self {
        let abi::BreachKey {
            owner,
            cgroup,
            exe_inode,
            missing,
            comm,
            call,
            rule,
            errno,
            reserved: _,
        } = *key;
        Self {
            owner: (&owner).into(),
            cgroup,
            exe_inode,
            missing: CapSet(missing),
            comm: Comm(comm),
            call: Call::from_byte(call),
            rule: Broken::from_byte(rule),
            errno,
        }
    }
}

impl From<&BreachKey> for abi::BreachKey {
    fn from(key: &BreachKey) -> Self {
        let BreachKey {
            owner,
            cgroup,
            exe_inode,
            missing,
            comm,
            call,
            rule,
            errno,
        } = *key;
        Self {
            owner: (&owner).into(),
            cgroup,
            exe_inode,
            missing: missing.0,
            comm: comm.0,
            call: call as u8,
            rule: rule as u8,
            errno,
            reserved: 0,
        }
    }
}
