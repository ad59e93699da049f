// Makes the page live: reads the JSON, follows the events, filters.

import { chart } from "./chart.js";
import { start as startDetail } from "./detail.js";
import { byId, clean, el, fetchJson } from "./dom.js";
import { Feed } from "./feed.js";
import * as tables from "./tables.js";

const REFRESH = 10000;
const SOON = 400;
const LEAST = 2000;
/** A page that takes long to read and draw does so less often, but not seldom. */
const REST = 10;
const MOST = 30000;
/** Findings of each kind with which the live feed begins. */
const RECENT = 10;

const known = { episodes: [], denials: [], now: Date.now(), readAt: Date.now(), took: 0 };
const filters = ["supervisor", "layer", "verdict"];
let chosenSpan = false;
let reading = false;
let again = false;
let timer = null;
let feed = null;

const chosen = (filter) => byId(`filter-${filter}`).value;
const present = () => known.now + (Date.now() - known.readAt);

/** Whether an episode, a denial or an event fits the filters. */
function fits(one, filter) {
  const wanted = chosen(filter);
  if (wanted === "") return true;
  if (filter === "verdict" && one.verdict === undefined) return false;
  return (one[filter] ?? "none") === wanted;
}

const fitsAll = (one) => filters.every((filter) => fits(one, filter));
/** Denials have no verdict: the filter by verdict leaves them alone. */
const fitsDenial = (one) => fits(one, "supervisor") && fits(one, "layer");
const fitsEvent = (event) => {
  if (event.kind === "loss") return true;
  return event.kind === "episode" ? fitsAll(event) : fits(event, "supervisor") && fits(event, "layer") && chosen("verdict") === "";
};

/** Offers what is there to choose, and keeps what is chosen. */
function offer(filter, values) {
  const select = byId(`filter-${filter}`);
  const wanted = [...new Set(values)].sort();
  const offered = [...select.options].slice(1).map((option) => option.value);
  const kept = select.value;
  if (kept && !wanted.includes(kept)) wanted.push(kept);
  if (wanted.join("\n") === offered.join("\n")) return;
  select.replaceChildren(select.options[0], ...wanted.map((value) => {
    const option = el("option", {}, value);
    option.value = value;
    return option;
  }));
  select.value = kept;
}

function draw() {
  const now = present();
  const episodes = known.episodes.filter(fitsAll);
  const denials = known.denials.filter(fitsDenial);
  tables.episodes(episodes, now, known.episodes.length);
  tables.denials(denials, now, known.denials.length);
  chooseSpan(now);
  chart(episodes, now, Number(byId("span").value));
  const count = `${episodes.length} of ${known.episodes.length} episodes, ${denials.length} of ${known.denials.length} denials`;
  if (byId("filter-count").textContent !== count) byId("filter-count").textContent = count;
}

/** The smallest span that holds every episode, until the reader chooses one. */
function chooseSpan(now) {
  if (chosenSpan) return;
  const oldest = Math.min(now, ...known.episodes.slice(0, 1).map((one) => Date.parse(one.time)));
  const spans = [...byId("span").options];
  const option = spans.find((one) => Number(one.value) * 1000 > now - oldest) ?? spans.at(-1);
  byId("span").value = option.value;
}

/** The newest findings of those that the live feed would show. */
function recent() {
  const newest = (list, when) => list.toSorted((left, right) => Date.parse(when(right)) - Date.parse(when(left))).slice(0, RECENT);
  const failed = known.episodes.filter((one) => one.verdict !== "ok" && one.verdict !== "harmless");
  const unwanted = known.denials.filter((one) => !one.expected && one.audited !== "no");
  return [
    ...newest(failed, (one) => one.time).map((one) => ({ kind: "episode", ...one })),
    ...newest(unwanted, (one) => one.last).map((one) => ({ kind: "denial", time: one.last, ...one })),
  ];
}

async function read() {
  if (reading) {
    again = true;
    return;
  }
  reading = true;
  const begun = performance.now();
  try {
    // One after the other, over one connection: a browser has six for all its pages.
    const answers = [];
    for (const path of ["status", "supervisors?limit=0", "workloads?limit=100", "rule_refusals?limit=100", "episodes?limit=500", "denials?limit=500"]) {
      answers.push(await fetchJson(`/api/v1/${path}`));
      if (answers.length === 1) Object.assign(known, { now: Date.parse(answers[0].now), readAt: Date.now() });
    }
    const [status, supervisors, workloads, refusals, episodes, denials] = answers;
    Object.assign(known, { episodes: episodes.episodes, denials: denials.denials });
    const rows = [...known.episodes, ...known.denials];
    offer("supervisor", [...rows.map((row) => row.supervisor ?? "none"), ...supervisors.groups.map((group) => group.supervisor)]);
    offer("layer", rows.map((row) => row.layer ?? "none"));
    tables.headline("findings", status.findings);
    tables.headline("agent", status.agent);
    tables.sight(status.lapses, known.now);
    tables.groups(supervisors.groups, known.now);
    tables.workloads(workloads.workloads, known.now);
    tables.refusals(refusals.rule_refusals, known.now);
    tables.agent(status);
    if (!feed.begun) feed.begin(recent());
    draw();
    known.took = performance.now() - begun;
  } catch (error) {
    live("off", `not reachable: ${error.message}`);
  } finally {
    reading = false;
    if (again) {
      again = false;
      soon();
    }
  }
}

/** Reads once after a burst of events, and in a storm every two seconds at most. */
function soon() {
  const delay = Math.max(SOON, known.readAt + Math.max(LEAST, Math.min(MOST, REST * known.took)) - Date.now());
  timer ??= setTimeout(() => {
    timer = null;
    if (!document.hidden) read();
  }, delay);
}

function live(state, words) {
  const place = byId("live");
  place.hidden = false;
  place.className = `live ${state}`;
  place.textContent = clean(words);
}

/** Follows the events while the page is seen: a hidden one would keep one of the few
 *  connections that the browser has for all pages of this address. */
function follow() {
  let source = null;
  let hiddenAt = null;
  const connect = () => {
    source = new EventSource("/api/v1/events?brief=true");
    source.addEventListener("open", () => {
      live("on", "live");
      read();
    });
    source.addEventListener("error", () => live("off", "connection lost, trying again"));
    for (const kind of ["episode", "denial", "audit", "supervisor", "rule_refusal", "loss"]) {
      source.addEventListener(kind, (message) => {
        feed.push(JSON.parse(message.data));
        soon();
      });
    }
  };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden && source) {
      source.close();
      source = null;
      hiddenAt = present();
      live("off", "not followed while hidden");
    } else if (!document.hidden && !source) {
      if (hiddenAt) feed.gap(hiddenAt, present());
      connect();
      soon();
    }
  });
  if (!document.hidden) connect();
}

function start() {
  live("", "connecting");
  byId("filters").hidden = false;
  document.querySelector(".span-choice").hidden = false;
  for (const filter of filters) byId(`filter-${filter}`).addEventListener("change", draw);
  byId("filter-clear").addEventListener("click", () => {
    for (const filter of filters) byId(`filter-${filter}`).value = "";
    draw();
  });
  byId("span").addEventListener("change", () => {
    chosenSpan = true;
    draw();
  });
  setInterval(soon, REFRESH);
  startDetail();
  feed = new Feed(fitsEvent);
  follow();
  read();
}

start();
