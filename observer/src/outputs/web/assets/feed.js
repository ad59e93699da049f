// The live feed: events as lines, the newest first; drawn at most four times a second.

import { badge, byId, clean, el, episodePath, name } from "./dom.js";

const LINES = 100;
const SPEAK_EVERY = 5000;
const DRAW_EVERY = 250;

const clock = (stamp) => el("time", { datetime: stamp, title: stamp }, stamp.slice(11, 19));

/** What failed, in short; its page says why and what to change. */
const refused = ({ id, supervisor, comm, pid, first_refused: first, layer, profile, residual }) => [
  el("b", {}, name(supervisor ?? comm)),
  supervisor && supervisor !== comm ? [" ", name(comm)] : [],
  ` (pid ${pid}) was refused to drop `,
  el("b", {}, first),
  residual.length > 1 ? ` and ${residual.length - 1} more` : "",
  " by ",
  el("b", {}, layer ?? "an unknown layer"),
  profile ? [", profile ", name(profile)] : [],
  ". ",
  el("a", { href: episodePath(id) }, "Why"),
];

const sentences = {
  episode: (event) => [badge(event.verdict), event.first_refused ? refused(event) : [event.explanation]],
  denial: (event) => [badge("denial"), [event.explanation, event.count > 1 ? ` ${event.count} times so far.` : ""]],
  audit: (event) => [badge("audit"), [name(event.comm ?? "unknown"), ` ${event.verdict ?? "record"} ${event.capability ?? ""} `, event.profile ? ["profile ", name(event.profile)] : [], event.result === "audit_only" ? " (no event seen)" : ""]],
  supervisor: (event) => [badge("supervisor", "harmless"), [name(event.supervisor), ` ${event.change}, pid ${event.pid}`, event.version ? [", ", name(event.version)] : []]],
  gap: (event) => [badge("gap", "harmless"), [`Not followed from ${event.from.slice(11, 19)} on, while this page was hidden; the tables have what happened.`]],
  rule_refusal: (event) => [badge("rule"), [event.explanation, event.count > 1 ? ` ${event.count} times.` : ""]],
  loss: (event) => [badge("loss"), [`${event.count} events lost in ${event.stage}: ${event.reason}`]],
};

/** The line of an event; none for kinds that this page does not know. */
function line(event) {
  const sentence = Object.hasOwn(sentences, event.kind) ? sentences[event.kind] : null;
  if (!sentence) return null;
  const [mark, words] = sentence(event);
  return el("li", {}, clock(event.time), mark, el("p", {}, ...words.flat(2)));
}

export class Feed {
  #list = byId("feed");
  #waiting = [];
  #leftOut = 0;
  #drawing = false;
  #drawnAt = 0;
  #paused = false;
  #wanted;
  #spokenAt = 0;
  #firstAt = null;
  /** Whether it shows what was found before. */
  begun = false;

  /** `wanted` says whether an event fits the filters. */
  constructor(wanted) {
    this.#wanted = wanted;
    const pause = byId("pause");
    pause.hidden = false;
    byId("feed-empty").hidden = false;
    pause.addEventListener("click", () => {
      this.#paused = !this.#paused;
      pause.setAttribute("aria-pressed", String(this.#paused));
      pause.textContent = this.#paused ? "Resume" : "Pause";
      this.#schedule();
    });
  }

  /** Shows what was found before the page was opened, below all that it followed itself. */
  begin(found) {
    this.begun = true;
    const fitting = found.filter((event) => this.#wanted(event) && (this.#firstAt === null || event.time < this.#firstAt));
    const lines = fitting.toSorted((left, right) => Date.parse(right.time) - Date.parse(left.time)).map(line);
    if (lines.length === 0) return;
    byId("feed-empty").hidden = true;
    this.#list.hidden = false;
    this.#list.append(...lines);
  }

  push(event) {
    this.#firstAt ??= event.time;
    if (event.kind === "loss" && event.reason === "brief") {
      this.#leftOut += event.count;
      this.#schedule();
      return;
    }
    if (!this.#wanted(event)) return;
    this.#wait(event);
    this.#speak(event);
  }

  /** Says that nothing was followed between two times (milliseconds since 1970). */
  gap(from, to) {
    this.#wait({ kind: "gap", time: new Date(to).toISOString(), from: new Date(from).toISOString() });
  }

  #wait(event) {
    this.#waiting.push(event);
    if (this.#waiting.length > LINES) this.#waiting.shift();
    this.#schedule();
  }

  #schedule() {
    if (this.#drawing || this.#paused) return;
    this.#drawing = true;
    const delay = Math.max(0, this.#drawnAt + DRAW_EVERY - Date.now());
    setTimeout(() => requestAnimationFrame(() => this.#draw()), delay);
  }

  #draw() {
    this.#drawing = false;
    if (this.#paused) return;
    this.#drawnAt = Date.now();
    if (this.#leftOut > 0) {
      byId("feed-more").hidden = false;
      byId("feed-more").textContent = `${this.#leftOut} more came than can be read, and are left out of this list.`;
    }
    const lines = this.#waiting.splice(0).map(line).filter(Boolean).reverse();
    if (lines.length === 0) return;
    byId("feed-empty").hidden = true;
    this.#list.hidden = false;
    this.#list.prepend(...lines);
    while (this.#list.children.length > LINES) this.#list.lastChild.remove();
  }

  /** Only what alarms is spoken, and not too often. */
  #speak(event) {
    const alarming = event.kind === "loss" || ["fatal", "degraded", "pending"].includes(event.verdict);
    if (!alarming || Date.now() - this.#spokenAt < SPEAK_EVERY) return;
    this.#spokenAt = Date.now();
    byId("spoken").textContent = clean(event.kind === "loss" ? `${event.count} events were lost` : `${event.verdict}: ${event.explanation}`);
  }
}
