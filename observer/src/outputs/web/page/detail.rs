//! One episode in full.

use super::super::view::TimedEpisode;
use super::html::Html;
use crate::finding::Episode;

/// The article of `/episodes/ID`.
pub fn article(html: &mut Html, timed: &TimedEpisode) {
    let TimedEpisode { time, episode } = timed;
    html.raw("<article class=\"card detail\"><h1>")
        .verdict(episode.verdict)
        .raw(" ");
    html.name(episode.supervisor.as_deref().unwrap_or(&episode.comm));
    html.raw("</h1><p class=\"explanation\">")
        .text(&episode.explanation)
        .raw("</p>");
    chain(html, episode);
    for sentence in &episode.not_the_cause {
        html.raw("<p class=\"hint\">").text(sentence).raw("</p>");
    }
    html.raw("<dl class=\"facts\">");
    fact(html, "Time", time);
    fact(
        html,
        "Role",
        episode.role.as_deref().unwrap_or("not supervised"),
    );
    fact(
        html,
        "Version",
        episode.version.as_deref().unwrap_or("unknown"),
    );
    if let Some(container) = &episode.container {
        fact(
            html,
            "Container",
            format_args!("{} {}", container.runtime, container.id),
        );
        fact(
            html,
            "Container name",
            container.name.as_deref().unwrap_or("unknown"),
        );
        fact(
            html,
            "Image",
            container.image.as_deref().unwrap_or("unknown"),
        );
    }
    fact(
        html,
        "Layer",
        episode.layer.as_deref().unwrap_or("nothing was refused"),
    );
    if let Some(profile) = &episode.profile {
        fact(html, "Profile", profile);
    }
    fact(html, "Drops", episode.drops);
    fact(html, "Refused while in set", episode.refused_raised);
    fact(
        html,
        "Refused while already absent",
        episode.refused_lowered,
    );
    fact(html, "Unknown to the kernel", episode.unknown_capability);
    if let Some(first) = &episode.first_refused {
        fact(html, "First refused", first);
    }
    fact(html, "Still in set", list(&episode.residual));
    fact(html, "Bounding set before", &episode.bounding_before);
    fact(html, "Bounding set after", &episode.bounding_after);
    fact(html, "Effective set", &episode.effective);
    let namespace = episode.user_namespace;
    fact(
        html,
        "User namespace",
        format_args!("{}, level {}", namespace.inode, namespace.level),
    );
    fact(html, "Retried", if episode.retried { "yes" } else { "no" });
    fact(
        html,
        "Duration",
        format_args!("{:.6} s", episode.duration_seconds),
    );
    fact(html, "Id", &episode.id);
    html.raw("</dl><p><a href=\"/api/v1/episodes/");
    html.segment(&episode.id)
        .raw("\">The same as JSON</a></p></article>");
}

/// From the container down to what became of the process.
fn chain(html: &mut Html, episode: &Episode) {
    html.raw("<ol class=\"chain\" aria-label=\"Chain\">");
    if let Some(container) = &episode.container {
        link(
            html,
            "container",
            container.name.as_deref().unwrap_or(&container.id),
        );
    }
    if let Some(supervisor) = &episode.supervisor {
        link(html, "supervisor", supervisor);
    }
    // Down to the process itself, which is the last; where they are not known, its parent.
    match episode.chain.split_last() {
        Some((_, above)) if !above.is_empty() => {
            for one in above {
                link(html, "process", format_args!("{} {}", one.comm, one.pid));
            }
        }
        _ => link(html, "parent", format_args!("pid {}", episode.ppid)),
    }
    link(
        html,
        "process",
        format_args!("{} {}", episode.comm, episode.pid),
    );
    if let Some(layer) = &episode.layer {
        link(html, "refused by", layer);
    }
    link(html, "fate", episode.ending());
    html.raw("</ol>");
}

fn link(html: &mut Html, what: &'static str, name: impl std::fmt::Display) {
    html.raw("<li><span class=\"dim\">")
        .raw(what)
        .raw("</span> ");
    html.name(name).raw("</li>");
}

fn fact(html: &mut Html, term: &'static str, value: impl std::fmt::Display) {
    html.raw("<div><dt>").raw(term).raw("</dt><dd>");
    html.name(value).raw("</dd></div>");
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        "nothing".to_owned()
    } else {
        names.join(", ")
    }
}
