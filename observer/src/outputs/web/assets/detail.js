// One episode in a dialog, from the JSON; without scripts the link leads to its own page.

import { badge, clean, dim, el, fetchJson, name } from "./dom.js";
import { fate } from "./tables.js";

const link = (what, value) => el("li", {}, dim(what), " ", name(value));
const fact = (term, value) => el("div", {}, el("dt", {}, term), el("dd", {}, name(value)));

function chain({ container, supervisor, chain: links = [], ppid, comm, pid, layer, ...rest }) {
  return el(
    "ol",
    { class: "chain", "aria-label": "Chain" },
    container ? link("container", container.name ?? container.id) : null,
    supervisor ? link("supervisor", supervisor) : null,
    // Down to the process itself, which is the last; where they are not known, its parent.
    ...(links.length > 1 ? links.slice(0, -1).map((one) => link("process", `${one.comm} ${one.pid}`)) : [link("parent", `pid ${ppid}`)]),
    link("process", `${comm} ${pid}`),
    layer ? link("refused by", layer) : null,
    link("fate", fate(rest)),
  );
}

function facts(episode) {
  const { container, user_namespace: namespace } = episode;
  const rows = [
    ["Time", episode.time],
    ["Role", episode.role ?? "not supervised"],
    ["Version", episode.version ?? "unknown"],
    container && ["Container", `${container.runtime} ${container.id}`],
    container && ["Container name", container.name ?? "unknown"],
    container && ["Image", container.image ?? "unknown"],
    ["Layer", episode.layer ?? "nothing was refused"],
    episode.profile && ["Profile", episode.profile],
    ["Drops", episode.drops],
    ["Refused while in set", episode.refused_raised],
    ["Refused while already absent", episode.refused_lowered],
    ["Unknown to the kernel", episode.unknown_capability],
    episode.first_refused && ["First refused", episode.first_refused],
    ["Still in set", episode.residual.join(", ") || "nothing"],
    ["Bounding set before", episode.bounding_before],
    ["Bounding set after", episode.bounding_after],
    ["Effective set", episode.effective],
    ["User namespace", `${namespace.inode}, level ${namespace.level}`],
    ["Retried", episode.retried ? "yes" : "no"],
    ["Duration", `${episode.duration_seconds.toFixed(6)} s`],
    ["Id", episode.id],
  ];
  return el("dl", { class: "facts" }, ...rows.filter(Boolean).map(([term, value]) => fact(term, value)));
}

function article(episode) {
  return el(
    "article",
    { class: "card detail" },
    el("h2", { id: "detail-title", tabindex: "-1" }, badge(episode.verdict), " ", name(episode.supervisor ?? episode.comm)),
    el("p", { class: "explanation" }, episode.explanation),
    chain(episode),
    ...(episode.not_the_cause ?? []).map((sentence) => el("p", { class: "hint" }, sentence)),
    facts(episode),
  );
}

const dialog = el("dialog", { "aria-labelledby": "detail-title" });

async function open(id) {
  const close = el("button", { type: "button" }, "Close");
  close.addEventListener("click", () => dialog.close());
  const bar = el("div", { class: "dialog-bar" }, close);
  try {
    dialog.replaceChildren(bar, article(await fetchJson(`/api/v1/episodes/${encodeURIComponent(id)}`)));
  } catch (error) {
    dialog.replaceChildren(bar, el("p", { class: "card", id: "detail-title" }, clean(error.message)));
  }
  if (!dialog.open) dialog.showModal();
}

/** Lets links to episodes open the dialog; with a modifier they stay links. */
export function start() {
  document.body.append(dialog);
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.addEventListener("click", (event) => {
    const anchor = event.target.closest?.('a[href^="/episodes/"]');
    if (!anchor || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    open(decodeURIComponent(anchor.getAttribute("href").slice("/episodes/".length)));
  });
}
