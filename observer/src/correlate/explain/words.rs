//! Words that sentences share.

use std::borrow::Cow;

use crate::finding::Container;

/// Text that others chose: as it is where it is plain, else quoted and
/// escaped, so it can't pass for a part of the sentence.
pub fn shown(text: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:/@+".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("{text:?}"))
    }
}

/// The role of a supervisor's own process that another supervisor's workload runs:
/// it is a workload to that one alone.
pub const NESTED: &str = "nested";

/// The role of a process that a launcher started, which is not what a supervisor's
/// workload is: the launcher confines nothing, or is gone by then.
pub const LAUNCHED: &str = "launched";

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
        (Some(launcher), Some(LAUNCHED)) => {
            format!("Process {comm}{pid}, launched by {launcher}{place},")
        }
        (Some(supervisor), Some(NESTED)) => {
            format!(
                "Supervisor {supervisor}, below another supervisor, process \
                {comm}{pid}{place},"
            )
        }
        (Some(supervisor), _) => format!("Supervisor {supervisor}, process {comm}{pid}{place},"),
        (None, _) => format!("Process {comm}{pid}{place}"),
    }
}

fn place(container: &Container) -> String {
    if container.is_unit() {
        let whose = container.vouched_by();
        let whose = whose.map_or(String::new(), |uid| format!(" of uid {uid}"));
        return format!(" in unit {}{whose}", shown(&container.id));
    }
    let name = container.name.as_deref();
    let name = name.unwrap_or_else(|| container.id.get(..12).unwrap_or(&container.id));
    let pod = container.pod.as_ref().map_or(String::new(), |pod| {
        let namespace = pod.namespace.as_deref().unwrap_or("-");
        let name = pod.name.as_deref().or(pod.uid.as_deref()).unwrap_or("-");
        format!(" of pod {}/{}", shown(namespace), shown(name))
    });
    let image = container.image.as_deref().or(container.digest.as_deref());
    if let Some(builder) = &container.build {
        let runtime = &container.runtime;
        let base = image.map_or(String::new(), |image| format!(" from {}", shown(image)));
        return format!(
            " in a step of an image build{base} ({builder}, {runtime} container {})",
            shown(name)
        );
    }
    let image = image.map_or(String::new(), |image| format!(" (image {})", shown(image)));
    let whose = container.vouched_by();
    let whose = whose.map_or(String::new(), |uid| format!(" of uid {uid}"));
    let within = container.within.as_deref();
    let within = within.map(|id| shown(id.get(..12).unwrap_or(id)));
    let within = within.map_or(String::new(), |id| format!(" within container {id}"));
    format!(
        " in {} container {}{pod}{image}{whose}{within}",
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
