// The tables of the page, drawn anew from the JSON; columns as the server draws them.

import { badge, byId, clean, dim, el, episodePath, name, optional, shortVersion, tag, time } from "./dom.js";

export const VERDICTS = ["fatal", "degraded", "pending", "harmless", "ok"];
const EPISODE_ROWS = 100;
const DENIAL_ROWS = 200;
const GROUP_ROWS = 100;

const td = (...children) => el("td", {}, ...children);
const number = (value, kind = "") => el("td", { class: `number ${kind}` }, value);
const empty = (columns, sentence) => el("tr", {}, el("td", { colspan: columns, class: "empty" }, sentence));

/** Puts rows into a table, without losing the keyboard's place in it. */
function fill(id, rows) {
  const body = byId(id).tBodies[0];
  const focused = body.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  body.replaceChildren(...rows);
  if (focused) body.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

const verdictLink = (id, verdict) => el("a", { class: "plain", href: episodePath(id), "data-episode": id }, badge(verdict));

export function headline(id, news) {
  const block = byId(id);
  block.className = `headline ${news.level}`;
  const [title, detail] = block.children;
  for (const [element, text] of [[title, news.title], [detail, news.detail]]) {
    if (element.textContent !== clean(text)) element.textContent = clean(text);
  }
}

/** What is missed now; the banner hides while that is nothing. */
export function sight(lapses, now) {
  byId("sight").hidden = lapses.length === 0;
  const lines = lapses.map((lapse) =>
    el("li", {}, el("code", {}, lapse.reason), ` (${lapse.count}, began `, time(now, lapse.since), `): ${lapse.what}. ${lapse.remedy}.`),
  );
  byId("sight").querySelector("ul").replaceChildren(...lines);
}

export function groups(list, now) {
  const rows = list.slice(0, GROUP_ROWS).map((group) => {
    const { supervisor, version, live, last, verdicts, refused_by: refusedBy } = group;
    return el(
      "tr",
      {},
      el("th", { scope: "row" }, name(supervisor), group.inferred ? [" ", tag("no rule")] : []),
      ...VERDICTS.map((verdict) => number(verdicts[verdict] ?? 0, verdicts[verdict] ? verdict : "zero")),
      td(...(last ? [verdictLink(last.id, last.verdict), " ", time(now, last.time)] : [optional(null)])),
      td(
        ...(refusedBy.length === 0 ? [optional(null)] : []),
        ...refusedBy.map((refusal) =>
          el("span", { class: "refusal" }, el("b", {}, refusal.layer), refusal.profile ? " profile " : null, refusal.profile ? name(refusal.profile) : null, " "),
        ),
      ),
      td(version ? el("span", { title: clean(version) }, name(shortVersion(version))) : optional(null)),
      number(live),
      number(group.workload_refused, group.workload_refused ? "" : "zero"),
    );
  });
  fill("groups", rows.length ? rows : [empty(11, "No supervisor yet.")]);
}

/** Live workloads with capabilities left raised; the section hides where there are none. */
export function workloads(list, now) {
  byId("workloads-card").hidden = list.length === 0;
  const rows = list.slice(0, GROUP_ROWS).map((one) => {
    const { container } = one;
    return el(
      "tr",
      {},
      el("th", { scope: "row" }, name(one.comm), " ", dim(one.pid)),
      td(optional(one.supervisor), one.version ? [" ", dim(shortVersion(one.version), one.version)] : []),
      td(container ? name(container.name ?? container.id) : optional(null), container?.image ? [" ", dim(container.image)] : []),
      td(el("span", { title: one.residual.join(", ") }, firstFew(one.residual))),
      td(one.found),
      td(time(now, one.since)),
    );
  });
  fill("workloads", rows);
}

/** Calls that rules of the kernel refused; the section hides where there are none. */
export function refusals(list, now) {
  byId("refusals-card").hidden = list.length === 0 && !byId("refusals-unseen");
  byId("refusals-list").hidden = list.length === 0;
  const rows = list.slice(-GROUP_ROWS).reverse().map((one) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, one.call),
      td(one.rule),
      td(optional(one.supervisor)),
      td(one.count),
      td(one.explanation),
      td(time(now, one.last)),
    ));
  fill("refusals", rows);
}

export function fate(episode) {
  const { fate: word, exit } = episode;
  if (exit?.signal != null) return `${word}, signal ${exit.signal}`;
  return exit?.code != null ? `${word}, code ${exit.code}` : word;
}

function firstFew(names) {
  const shown = names.slice(0, 3).join(", ");
  return names.length > 3 ? `${shown} and ${names.length - 3} more` : shown;
}

export function episodes(list, now, known) {
  const rows = list
    .slice(-EPISODE_ROWS)
    .reverse()
    .map((one) =>
      el(
        "tr",
        {},
        td(verdictLink(one.id, one.verdict)),
        td(time(now, one.time)),
        td(optional(one.supervisor), one.role === "workload" ? [" ", tag("workload")] : [], one.inferred ? [" ", tag("no rule")] : [], one.version ? [" ", dim(shortVersion(one.version), one.version)] : []),
        td(name(one.comm), " ", dim(one.pid)),
        td(optional(one.layer), one.profile ? [" ", dim(one.profile)] : []),
        number(one.drops),
        number(one.refused_raised + one.refused_lowered),
        td(one.residual.length ? firstFew(one.residual) : optional(null)),
        td(fate(one)),
      ),
    );
  const sentence = known ? "No episodes match the filters." : "No bounding-set drops yet.";
  fill("episodes", rows.length ? rows : [empty(9, sentence)]);
}

export function denials(list, now, known) {
  const sorted = list.toSorted((left, right) => left.expected - right.expected || !left.supervisor - !right.supervisor || Date.parse(right.last) - Date.parse(left.last));
  const rows = sorted.slice(0, DENIAL_ROWS).map((one) =>
    el(
      "tr",
      { class: one.expected ? "expected" : null },
      td(time(now, one.last)),
      td(el("b", {}, one.capability), one.expected ? [" ", tag("expected")] : []),
      td(name(one.layer), (one.profile ?? one.reason) ? [" ", dim(one.profile ?? one.reason)] : []),
      td(optional(one.supervisor), one.role === "workload" ? [" ", tag("workload")] : []),
      td(name(one.comm), one.exe && one.exe !== one.comm ? [" ", dim(one.exe)] : []),
      td(one.audited),
      number(`${one.exact ? "" : "~"}${one.count}`),
      el("td", { class: "sentence" }, one.explanation),
    ),
  );
  const sentence = known ? "No denials match the filters." : "No capability denials yet.";
  fill("denials", rows.length ? rows : [empty(8, sentence)]);
}

const state = (up, yes, no, reason, missed = !up) => td(badge(up ? yes : no, up ? "ok" : missed ? "down" : "idle"), reason ? [" ", el("span", { class: "reason" }, reason)] : []);

export function agent(status) {
  fill(
    "hooks",
    status.hooks.length
      ? status.hooks.map((hook) => el("tr", {}, el("th", { scope: "row" }, el("code", {}, hook.hook)), td(optional(hook.mechanism)), state(hook.attached, "attached", hook.needed ? "not attached" : "not needed", hook.reason, hook.needed)))
      : [empty(3, "No hook was requested.")],
  );
  fill(
    "sources",
    status.sources.length
      ? status.sources.map((source) => el("tr", {}, el("th", { scope: "row" }, source.name), state(source.up, "connected", "down", source.reason), number(source.records), number(source.lost)))
      : [empty(4, "No source was requested.")],
  );
  byId("lost").replaceChildren(...Object.entries(status.lost).map(([reason, count]) => el("div", {}, el("dt", {}, `Lost: ${reason}`), el("dd", {}, count))));
  const { state: kept, lapses } = status.sandbox;
  const reason = (text) => el("span", { class: "reason" }, text);
  byId("sandbox").replaceChildren(
    badge(kept, { whole: "ok", partial: "down", off: "idle" }[kept]),
    ...(kept === "off" ? [" ", reason("the agent keeps every capability that it started with")] : []),
    ...lapses.flatMap((lapse) => [" ", reason(`${lapse.part} (${lapse.why}): ${lapse.what}; ${lapse.remedy}`)]),
  );
}
