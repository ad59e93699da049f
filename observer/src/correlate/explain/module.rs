//! What to change in the policy of a security module to give a process a
//! capability. A plain function over the content of a record or an event.

use super::words::shown;
use crate::config::Release;

/// Ubuntu's profile for programs that make a user namespace without their own.
const OF_NAMESPACES: &str = "unprivileged_userns";

/// Ubuntu's profile for what bwrap starts: it denies every capability
/// (`bwrap-userns-restrict`, apparmor 4.0).
const OF_BWRAP: &str = "unpriv_bwrap";

/// Where a profile lives, a clause to follow its name; nothing for the root namespace.
pub fn namespace(namespace: Option<&str>) -> String {
    match namespace {
        None | Some("root" | "") => String::new(),
        Some(name) => format!(" in policy namespace {name:?}"),
    }
}

/// What to change in `AppArmor`'s policy, a sentence or two.
pub fn apparmor(
    capability: &str,
    profile: Option<&str>,
    within: Option<&str>,
    comm: &str,
    release: Release,
) -> String {
    let rule = format!("\"capability {capability},\"");
    let program = if comm.is_empty() {
        "the program".into()
    } else {
        shown(comm)
    };
    let Some(profile) = profile else {
        return format!(
            "If {program} needs {capability}, allow {rule} in its profile (aa-status \
            lists the profiles)."
        );
    };
    let parts: Vec<_> = profile.split("//&").collect();
    if parts
        .iter()
        .any(|part| part.trim_start_matches(':').contains(OF_NAMESPACES))
    {
        return own_profile(capability, comm, release);
    }
    if parts.iter().any(|part| part.contains(OF_BWRAP)) {
        return below_bwrap(capability);
    }
    if parts.len() > 1 {
        let mut names: Vec<_> = parts.iter().map(|part| format!("{part:?}")).collect();
        names.sort_unstable();
        names.dedup();
        return format!(
            "The label is a stack, and each profile in it must allow {capability}: {}. If \
             {program} needs it, add {rule} to each profile that lacks the rule.",
            names.join(" and ")
        );
    }
    let place = namespace(within);
    let inside = if place.is_empty() {
        ""
    } else {
        " Load such a profile from within the container that owns the namespace."
    };
    // Profiles that a program writes: an edit would not last.
    let how = if let Some(rest) = profile.strip_prefix("snap.") {
        let snap = shown(rest.split('.').next().unwrap_or(rest));
        Some(format!(
            "connect an interface that allows it (`snap connections {snap}` lists them, `snap \
             connect {snap}:INTERFACE` connects one): snapd writes profile {profile:?} itself"
        ))
    } else if is_of_runtime(profile) {
        Some(format!(
            "run the container with a profile that allows it (--security-opt apparmor=NAME): the \
             runtime writes profile {profile:?} itself"
        ))
    } else {
        profile.strip_prefix("lxd-").map(|rest| {
            let instance = rest.split(['_', '<']).next().unwrap_or(rest);
            format!(
                "set raw.apparmor of the instance (lxc config set {} raw.apparmor 'capability \
                 {capability},'): LXD writes profile {profile:?} itself",
                shown(instance)
            )
        })
    };
    match how {
        Some(how) => format!("If {program} needs {capability}, {how}{place}.{inside}"),
        None => format!(
            "If {program} needs {capability}, allow {rule} in profile {profile:?}{place} (its \
             file in \
             /etc/apparmor.d, or the file in local/ that it includes), then load the profile: \
             apparmor_parser -r FILE.{inside}"
        ),
    }
}

/// A profile for a program that makes user namespaces. It has its own name, so
/// that it replaces none of the distribution's; switching the restriction off comes
/// last.
fn own_profile(capability: &str, comm: &str, release: Release) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let name = if !comm.is_empty() && comm.bytes().all(plain) {
        comm
    } else {
        "PROGRAM"
    };
    let fix = if comm == "bwrap" {
        of_distribution(capability, release)
    } else {
        "Fix".to_owned()
    };
    format!(
        "The program has no profile that allows user namespaces, so AppArmor refuses every \
         capability in the one that it created. {fix}: create /etc/apparmor.d/local-{name} with \
         \"abi <abi/4.0>, include \
         <tunables/global> profile local-{name} /PATH/{name} flags=(unconfined) {{ userns, }}\", \
         where /PATH/{name} is the real path of the executed file (readlink -f FILE), and load it: \
         apparmor_parser -r /etc/apparmor.d/local-{name}. This allows user namespaces, and {capability} inside them. Last resort: sysctl \
         kernel.apparmor_restrict_unprivileged_userns=0, which lifts the restriction for every \
         program of every user."
    )
}

/// What to do first about bwrap: the distribution has a profile for /usr/bin/bwrap,
/// loaded by default or not. What bwrap starts has no capability under it.
fn of_distribution(capability: &str, release: Release) -> String {
    const LOAD: &str = "apt install apparmor-profiles, copy \
        /usr/share/apparmor/extra-profiles/bwrap-userns-restrict to /etc/apparmor.d and load it with \
        apparmor_parser -r";
    let (year, month) = Release::WITH_BWRAP;
    let otherwise = format!(
        "Fix for another file, or if a program that bwrap starts needs \
        {capability}"
    );
    match release {
        Release::Ubuntu(of, at) if (of, at) >= Release::WITH_BWRAP => format!(
            "Ubuntu {of}.{at:02} loads a profile for /usr/bin/bwrap. This is probably another \
             copy of bwrap (some programs bring their own), or the profile is not loaded \
             (apparmor_parser -r /etc/apparmor.d/bwrap-userns-restrict). Fix for another file"
        ),
        Release::Ubuntu(of, at) => format!(
            "Fix for /usr/bin/bwrap: load Ubuntu's own profile for it ({LOAD}); Ubuntu \
             {of}.{at:02} does not load it by default. {otherwise}"
        ),
        Release::Other => format!(
            "Fix for /usr/bin/bwrap on Ubuntu: load Ubuntu's own profile for it ({LOAD}); from \
             {year}.{month:02} on Ubuntu loads it by default. {otherwise}"
        ),
    }
}

/// What bwrap starts under Ubuntu's profile. A rule in it would hold for every
/// program's sandbox, so a copy of bwrap comes first.
fn below_bwrap(capability: &str) -> String {
    format!(
        "The distribution's profile for bwrap (bwrap-userns-restrict) refuses every capability to \
         programs that bwrap starts. If the program needs {capability}: start it with a copy of bwrap \
         at its own path, with its own profile (\"profile local-bwrap /PATH/bwrap flags=(unconfined) \
         {{ userns, }}\"); the distribution's profile stays as it is."
    )
}

fn is_of_runtime(profile: &str) -> bool {
    profile == "docker-default"
        || profile == "cri-containerd.apparmor.d"
        || profile.starts_with("containers-default-")
        || profile.starts_with("crio-default")
}

/// What to change in `SELinux`'s policy. It has domains (types), no profiles.
pub fn selinux(capability: &str, number: u32, domain: Option<&str>) -> String {
    let overrides = matches!(capability, "dac_override" | "dac_read_search");
    // Mostly a file of another user, which its owner and mode settle.
    let first = if overrides {
        "First check the file's owner and mode (ls -l FILE): SELinux logs this capability mostly \
         when they do not allow the program's user. "
    } else {
        ""
    };
    let Some(domain) = domain else {
        return format!(
            "{first}If the program needs it, load a module that allows only this for its domain \
             (ausearch -m AVC -ts recent | audit2allow shows the rule)."
        );
    };
    let class = if number < 32 {
        "capability"
    } else {
        "capability2"
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let rule = if domain.bytes().all(plain) {
        format!("\"allow {domain} self:{class} {capability};\"")
    } else {
        "the rule that audit2allow shows".to_owned()
    };
    let container = if domain.starts_with("container") {
        " Or run the container with another type: --security-opt label=type:TYPE."
    } else {
        ""
    };
    format!(
        "{first}If the program needs it, load a module with only {rule} (audit2allow -M writes \
         modules, semodule -i loads them; the class is cap_userns or cap2_userns if the record \
         says so).{container}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_s_place_and_maker_decide_on_the_remedy() {
        let of =
            |profile, within| apparmor("net_admin", Some(profile), within, "x", Release::Other);
        let plain = of("swtpm", None);
        assert!(
            plain.contains("\"capability net_admin,\" in profile \"swtpm\" ("),
            "{plain}"
        );
        let within = of("web", Some("root//lxd-a_<var-lib-lxd>"));
        assert!(
            within.contains("in policy namespace \"root//lxd-a_<var-lib-lxd>\""),
            "{within}"
        );
        assert!(of("snap.hello.hello", None).contains("snap connections hello"));
        assert!(of("docker-default", None).contains("--security-opt apparmor=NAME"));
        assert!(of("lxd-web_</var/lib/lxd>", None).contains("lxc config set web raw.apparmor"));
        let below = of("unpriv_bwrap//&bwrap//&unpriv_bwrap", None);
        assert!(below.contains("a copy of bwrap"), "{below}");
        let stack = of("a//&b//&a", None);
        assert!(stack.contains("\"a\" and \"b\""), "{stack}");
    }

    #[test]
    fn switching_the_restriction_off_comes_last_and_names_come_from_nobody() {
        let text = apparmor(
            "setgid",
            Some("unprivileged_userns"),
            None,
            "my-box",
            Release::Other,
        );
        let (profile, sysctl) = (
            text.find("profile local-my-box /PATH/my-box"),
            text.find("sysctl"),
        );
        assert!(profile.is_some() && profile < sysctl, "{text}");
        let text = apparmor(
            "setgid",
            Some("a//&unprivileged_userns"),
            None,
            "x { all, }",
            Release::Other,
        );
        assert!(
            text.contains("local-PROGRAM") && !text.contains("all, }"),
            "{text}"
        );
    }

    #[test]
    fn bwrap_has_the_profile_that_its_release_brings() {
        let of = |release| {
            apparmor(
                "setpcap",
                Some("unprivileged_userns"),
                None,
                "bwrap",
                release,
            )
        };
        let noble = of(Release::Ubuntu(24, 4));
        let place = |text: &str, part: &str| text.find(part).unwrap_or_else(|| panic!("{text}"));
        let load = place(&noble, "load Ubuntu's own profile for it (apt install");
        place(&noble, "Ubuntu 24.04 does not load it by default");
        assert!(load < place(&noble, "local-bwrap"), "{noble}");
        let plucky = of(Release::Ubuntu(25, 4));
        assert!(!plucky.contains("apt install"), "{plucky}");
        assert!(
            plucky.contains("probably another copy of bwrap"),
            "{plucky}"
        );
        let other = of(Release::Other);
        let load = place(&other, "load Ubuntu's own profile for it (apt install");
        let since = place(&other, "from 25.04 on Ubuntu loads it by default");
        assert!(load < since, "{other}");
    }

    #[test]
    fn a_domain_has_a_rule_of_the_capability_s_class() {
        let text = selinux("bpf", 39, Some("web_t"));
        assert!(
            text.contains("\"allow web_t self:capability2 bpf;\""),
            "{text}"
        );
        assert!(selinux("dac_override", 1, Some("web_t")).starts_with("First check"));
        assert!(!selinux("chown", 0, Some("a_t; allow x")).contains("allow x"));
        assert!(selinux("chown", 0, Some("container_t")).contains("label=type:TYPE"));
    }
}
