//! Words that sentences share.

use std::borrow::Cow;

use crate::finding::Container;

/// Text that others chose: as it is where it is plain, else quoted and
/// escaped, so that it can't pass for a part of the sentence.
pub fn shown(text: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:/@+".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("{text:?}"))
    }
}

/// Who it was, and where.
pub fn who(
    supervisor: Option<&str>,
    role: Option<&str>,
    comm: &str,
    pid: Option<u32>,
    container: Option<&Container>,
) -> String {
    let pid = pid.map_or(String::new(), |pid| format!(" (pid {pid})"));
    let place = container.map_or(String::new(), place);
    let comm = shown(comm);
    match (supervisor, role) {
        (Some(supervisor), Some("workload")) => {
            format!("{comm}{pid}, a workload of supervisor {supervisor}{place},")
        }
        (Some(supervisor), _) => format!("Supervisor {supervisor}, process {comm}{pid}{place},"),
        (None, _) => format!("Process {comm}{pid}{place}"),
    }
}

fn place(container: &Container) -> String {
    if container.is_unit() {
        return format!(" in unit {}", shown(&container.id));
    }
    let name = container.name.as_deref();
    let name = name.unwrap_or_else(|| container.id.get(..12).unwrap_or(&container.id));
    let pod = container.pod.as_ref().map_or(String::new(), |pod| {
        let namespace = pod.namespace.as_deref().unwrap_or("-");
        let name = pod.name.as_deref().or(pod.uid.as_deref()).unwrap_or("-");
        format!(" of pod {}/{}", shown(namespace), shown(name))
    });
    let image = container.image.as_deref().or(container.digest.as_deref());
    let image = image.map_or(String::new(), |image| format!(" (image {})", shown(image)));
    format!(
        " in {} container {}{pod}{image}",
        container.runtime,
        shown(name)
    )
}

/// Some names; of many the first three, and how many more.
pub fn list(names: &[String]) -> String {
    const SHOWN: usize = 3;
    match names.len() {
        0 => "nothing".to_owned(),
        count if count <= SHOWN + 1 => names.join(", "),
        count => format!("{} and {} more", names[..SHOWN].join(", "), count - SHOWN),
    }
}

/// A duration in the unit that suits it.
pub fn duration(seconds: f64) -> String {
    if seconds < 0.001 {
        format!("{:.0} µs", seconds * 1e6)
    } else if seconds < 1.0 {
        format!("{:.1} ms", seconds * 1e3)
    } else {
        format!("{seconds:.1} s")
    }
}

/// How a container, or whatever a process runs in, is given a capability.
pub fn give(capability: &str, container: Option<&Container>) -> String {
    let capability = capability.to_ascii_uppercase();
    let Some(container) = container else {
        return format!(
            "Give it CAP_{capability} (in a container: --cap-add {capability}; \
             under systemd: AmbientCapabilities=)"
        );
    };
    if container.is_unit() {
        return format!(
            "Give it CAP_{capability} (AmbientCapabilities= and CapabilityBoundingSet= of {})",
            shown(&container.id)
        );
    }
    let how = match container.runtime.as_str() {
        _ if container.pod.is_some() => {
            format!("securityContext.capabilities.add: [{capability}]")
        }
        "podman" => format!("podman run --cap-add {capability}"),
        "docker" => format!("docker run --cap-add {capability}"),
        "systemd-nspawn" => format!("systemd-nspawn --capability=CAP_{capability}"),
        _ => format!("capabilities.add: [{capability}]"),
    };
    format!("Add {capability} to the container's capabilities ({how})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_stay_within_their_quotes() {
        assert_eq!(shown("web-1"), "web-1");
        assert_eq!(
            shown("a, which AppArmor refused"),
            "\"a, which AppArmor refused\""
        );
        assert_eq!(shown("a\"\n\u{1b}[31m"), "\"a\\\"\\n\\u{1b}[31m\"");
        assert_eq!(shown(""), "\"\"");
        assert_eq!(shown("\u{202e}x"), "\"\\u{202e}x\"");
    }

    #[test]
    fn many_names_are_counted() {
        let names = |count: usize| vec!["x".to_owned(); count];
        assert_eq!(list(&names(0)), "nothing");
        assert_eq!(list(&names(4)), "x, x, x, x");
        assert_eq!(list(&names(41)), "x, x, x and 38 more");
    }
}
