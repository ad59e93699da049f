// Building elements. Text is only ever set as text: nothing here reads markup.

/** Control characters and those that turn the order of text, as in html.rs. */
const UNSEEN = /[\p{Cc}\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/gu;

export const clean = (value) => String(value).replace(UNSEEN, "\ufffd");

/** An element with attributes and children; children that are no nodes are text. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) {
      element.setAttribute(name, value);
    }
  }
  for (const child of children.flat()) {
    if (child !== null && child !== undefined) {
      element.append(child instanceof Node ? child : clean(child));
    }
  }
  return element;
}

/** A name that someone else chose, kept apart from the text around it. */
export const name = (value) => el("bdi", {}, value);

export const optional = (value) => (value ? name(value) : el("span", { class: "none" }, "–"));

export const dim = (value, title = null) => el("span", { class: "dim", title: title && clean(title) }, name(value));

export const tag = (value) => el("span", { class: "tag" }, value);

export const badge = (word, kind = word) => el("span", { class: `badge ${kind}` }, word);

export const byId = (id) => document.getElementById(id);

export const episodePath = (id) => `/episodes/${encodeURIComponent(id)}`;

/** How long ago, in one unit, as summary.rs says it. */
export function ago(now, then) {
  const seconds = Math.max(0, Math.floor((now - then) / 1000));
  if (seconds < 60) return "just now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} days ago`;
}

export function time(now, stamp) {
  return el("time", { datetime: stamp, title: stamp }, ago(now, Date.parse(stamp)));
}

/** A version without the registry's path and most of a digest. */
export function shortVersion(version) {
  const last = version.slice(version.lastIndexOf("/") + 1);
  return last.replace(/sha256:(.{12}).*/u, "sha256:$1");
}

export async function fetchJson(path) {
  const response = await fetch(path, { headers: { accept: "application/json" } });
  const body = await response.json();
  if (!response.ok) throw new Error(body.error ?? response.statusText);
  return body;
}
