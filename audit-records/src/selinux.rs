//! `SELinux` access-vector records of the four capability classes.
//!
//! `avc:  denied  { setpcap } for  pid=189 comm="capw" capability=8
//! scontext=u:r:t:s0 tcontext=u:r:t:s0 tclass=cap_userns permissive=0`
//! (`avc_audit_pre_callback` and `_post_callback`, `security/selinux/avc.c`, 6.12).

use std::borrow::Cow;

use super::apparmor::capability;
use super::fields::Fields;
use super::line::Filled;
use super::outcome::{Foreign, Malformed};
use super::record::{Lsm, Record, Verdict};
use crate::caps::{self, CapSet};

/// The classes of `cred_has_capability` (`security/selinux/hooks.c`, 6.12):
/// numbers below 32 and above, in the initial user namespace and in others.
const CLASSES: [&[u8]; 4] = [b"capability", b"capability2", b"cap_userns", b"cap2_userns"];

pub(super) fn parse<'a>(body: &'a [u8], interpreted: bool, record: &mut Record<'a>) -> Filled {
    let Some(Vector {
        granted,
        permissions,
        rest,
    }) = vector(body)?
    else {
        return Ok(Err(Foreign::OtherAvc));
    };
    record.lsm = Some(Lsm::SeLinux);
    let mut permissive = false;
    let mut fields = Fields::new(rest, interpreted);
    while let Some((key, value)) = fields.next()? {
        match key {
            b"pid" if record.pid.is_none() => record.pid = value.process("pid")?,
            b"comm" if record.comm.is_none() => record.comm = value.text(),
            b"capability" if record.capability.is_none() => record.capability = capability(value)?,
            b"scontext" => record.source_context = value.text(),
            b"tclass" => record.class = value.text(),
            b"permissive" => permissive = value.raw() == b"1",
            _ => {}
        }
    }
    // Copied logs lose the class, or a part of it (`tcl ass=capability`): only
    // checks of capabilities have a `capability=`.
    let is_capability = match record.class.as_deref() {
        Some(class) if CLASSES.contains(&class) => true,
        Some(torn) => {
            record.capability.is_some() && CLASSES.iter().any(|class| class.starts_with(torn))
        }
        None => record.capability.is_some(),
    };
    if !is_capability {
        // `{ create }` of this class is asked for a new user namespace, since 6.2
        // (`selinux_userns_create`, `security/selinux/hooks.c`).
        if record.class.as_deref() == Some(b"user_namespace") {
            record.operation = Some(Cow::Borrowed(b"userns_create"));
            record.profile = record.source_context.as_ref().and_then(domain);
            record.verdict = Some(verdict(granted, permissive));
            return Ok(Ok(()));
        }
        return Ok(Err(Foreign::OtherAvc));
    }
    let ends_in_it = rest
        .rsplit(|&byte| byte == b' ')
        .next()
        .is_some_and(|word| word.starts_with(b"capability="));
    if ends_in_it {
        return Err(Malformed::CutShort("the context behind the capability"));
    }
    record.profile = record.source_context.as_ref().and_then(domain);
    record.verdict = Some(verdict(granted, permissive));
    name_capabilities(record, permissions)?;
    Ok(Ok(()))
}

const fn verdict(granted: bool, permissive: bool) -> Verdict {
    match (granted, permissive) {
        (true, _) => Verdict::Audit,
        (false, true) => Verdict::Allowed,
        (false, false) => Verdict::Denied,
    }
}

/// What was asked for, and the answer.
struct Vector<'a> {
    granted: bool,
    permissions: &'a [u8],
    rest: &'a [u8],
}

/// `avc:  denied  { read write } for …` in its parts.
/// Nothing for other texts of the access vector cache, such as policy reloads.
fn vector(body: &[u8]) -> Result<Option<Vector<'_>>, Malformed> {
    let Some(after) = body.strip_prefix(b"avc:") else {
        return Ok(None);
    };
    let after = after.trim_ascii_start();
    let (granted, after) = if let Some(rest) = after.strip_prefix(b"denied") {
        (false, rest)
    } else if let Some(rest) = after.strip_prefix(b"granted") {
        (true, rest)
    } else if memchr::memchr(b'{', after).is_some() {
        return Err(Malformed::UnknownVerdict);
    } else {
        return Ok(None);
    };
    let inside = after
        .trim_ascii_start()
        .strip_prefix(b"{")
        .ok_or(Malformed::NoPermission)?;
    let close = memchr::memchr(b'}', inside).ok_or(Malformed::NoPermission)?;
    Ok(Some(Vector {
        granted,
        permissions: inside[..close].trim_ascii(),
        rest: &inside[close + 1..],
    }))
}

/// The type of a context: the third of `user:role:type[:level]`.
fn domain<'a>(context: &Cow<'a, [u8]>) -> Option<Cow<'a, [u8]>> {
    match context {
        Cow::Borrowed(text) => text.split(|&byte| byte == b':').nth(2).map(Cow::Borrowed),
        Cow::Owned(text) => text
            .split(|&byte| byte == b':')
            .nth(2)
            .map(|kind| Cow::Owned(kind.to_vec())),
    }
}

/// `capability=` gives the number of the one check that was made; the
/// permissions name it too, and further ones where a record was merged.
fn name_capabilities<'a>(record: &mut Record<'a>, permissions: &'a [u8]) -> Result<(), Malformed> {
    if permissions.is_empty() {
        return Err(Malformed::NoPermission);
    }
    let mut all = CapSet::EMPTY;
    for permission in permissions.split(|&byte| byte == b' ') {
        if let Some(number) = caps::number(permission) {
            all.insert(number);
            record.capability.get_or_insert(number);
        }
    }
    match record.capability {
        Some(first) => record.also = all.difference(std::iter::once(first).collect()),
        None => record.capability_name = Some(Cow::Borrowed(permissions)),
    }
    Ok(())
}
