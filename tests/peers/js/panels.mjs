// Draws the panels of a dashboard from the answers that Prometheus gave:
//   panels.mjs FOLDER NAME      reads FOLDER/answers.json, writes FOLDER/NAME.png, and
//                               FOLDER/NAME-WIDTH-THEME.png for 390 and 1,440 pixels, dark and light
// It is our drawing in Chromium, not Grafana's, and its corner says so. Colours and the
// order of panels on a narrow screen are Grafana's. Exits 1 where text is cut or too pale.
import { createRequire } from "node:module";
import { copyFileSync, readFileSync } from "node:fs";

const require = createRequire(`${process.env.MODULES}/package.json`);
const { chromium } = require("playwright-core");
const [folder, name] = process.argv.slice(2);
const dashboard = JSON.parse(readFileSync(new URL(`../../../dashboards/grafana/dashboards/${name}.json`, import.meta.url)));
const answers = JSON.parse(readFileSync(`${folder}/answers.json`))[name];
// Grafana's named colours by theme; each series takes the next where nothing fixes one.
const THEMES = {
  light: { red: "#E02F44", orange: "#FF780A", yellow: "#F2CC0C", green: "#56A64B", blue: "#3274D9", purple: "#A352CC", ground: "#f4f5f5", card: "#ffffff", text: "#24292e", dim: "#5a6067", line: "#dddddd" },
  dark: { red: "#F2495C", orange: "#FF9830", yellow: "#FADE2A", green: "#73BF69", blue: "#5794F2", purple: "#B877D9", ground: "#111217", card: "#181b1f", text: "#ccccdc", dim: "#9fa7b3", line: "#3a3e45" },
};
const PALETTE = ["green", "yellow", "blue", "orange", "red", "purple"];
/** Narrower than this Grafana puts one panel below the other. */
const STACKED = 769;
const ROW = 34;

const escape = (text) => String(text).replace(/[&<>"']/gu, (character) => `&#${character.codePointAt(0)};`);
const legend = (format, labels) => format.replace(/\{\{(\w+)\}\}/gu, (_, label) => labels[label] ?? "");

function number(value, unit) {
  if (unit === "percentunit") return `${(value * 100).toFixed(1)} %`;
  if (unit === "s") return value >= 60 ? `${(value / 60).toFixed(1)} min` : `${value.toPrecision(3)} s`;
  if (unit === "bytes") return `${(value / 1048576).toFixed(1)} MiB`;
  const short = Number.isInteger(value) ? String(value) : value.toFixed(value < 10 ? 2 : value < 1000 ? 1 : 0);
  return unit?.startsWith("suffix:") ? `${short} ${unit.slice("suffix:".length)}` : short;
}

/** Black or white, whichever is easier to read on a colour: as Grafana chooses it. */
function ink(colour) {
  const parts = [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16) / 255);
  const [red, green, blue] = parts.map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000000" : "#ffffff";
}

const painted = (theme, name) => `background:${theme[name]};color:${ink(theme[name])}`;

/** The colour that a panel's overrides fix for a name. */
function fixed(panel, label) {
  const rule = panel.fieldConfig.overrides.find(({ matcher }) => matcher.id === "byRegexp" && new RegExp(matcher.options.slice(1, -1), "u").test(label));
  return rule?.properties[0].value.fixedColor;
}

function stat(theme, panel, { result }) {
  const { unit, thresholds } = panel.fieldConfig.defaults;
  const value = result.length ? Number(result[0].value[1]) : 0;
  const step = thresholds.steps.findLast((one) => one.value === null || value >= one.value);
  return `<div class="stat" style="${painted(theme, step.color)}">${escape(number(value, unit))}</div>`;
}

function table(theme, panel, { result }) {
  const names = panel.transformations[0].options.renameByName;
  const columns = Object.keys(names);
  const unit = panel.fieldConfig.defaults.unit;
  const cell = (row, column) => (column === "Value" ? number(Number(row.value[1]), unit) : (row.metric[column] ?? ""));
  const [{ displayName, desc }] = panel.options.sortBy;
  const sorted = columns.find((column) => names[column] === displayName);
  const key = (row) => (sorted === "Value" ? Number(row.value[1]) : cell(row, sorted));
  result = result.toSorted((left, right) => (key(left) > key(right) ? 1 : -1) * (desc ? -1 : 1));
  const mapped = panel.fieldConfig.overrides.flatMap(({ properties }) => properties).find(({ id }) => id === "mappings")?.value[0].options ?? {};
  const paint = (column, text) => (column === "verdict" && mapped[text] ? ` class="paint" style="${painted(theme, mapped[text].color)}"` : "");
  const body = result.slice(0, 7).map((row) => `<tr>${columns.map((column) => `<td${paint(column, cell(row, column))}>${escape(cell(row, column))}</td>`).join("")}</tr>`);
  if (result.length === 0) return '<p class="none">no data</p>';
  return `<table><tr>${columns.map((column) => `<th>${escape(names[column])}</th>`).join("")}</tr>${body.join("")}</table>`;
}

function timeseries(theme, panel, lines, width, height) {
  const { unit, custom } = panel.fieldConfig.defaults;
  const bars = custom.drawStyle === "bars";
  const times = lines.flatMap(({ values }) => values.map(([time]) => time));
  if (times.length === 0) return '<p class="none">no data</p>';
  const [from, to] = [Math.min(...times), Math.max(...times)];
  const stacked = new Map();
  for (const { values } of lines) for (const [time, value] of values) stacked.set(time, (stacked.get(time) ?? 0) + Number(value));
  const top = Math.max(...(bars ? stacked.values() : lines.flatMap(({ values }) => values.map(([, value]) => Number(value)))), 1e-9);
  // The axis is as wide as its longest number.
  const longest = Math.max(...[0, top / 2, top].map((value) => number(value, unit).length));
  const box = { left: 12 + longest * 6.6, right: width - 8, low: height - 22, high: 6 };
  const x = (time) => box.left + ((time - from) / Math.max(1, to - from)) * (box.right - box.left);
  const y = (value) => box.low - (value / top) * (box.low - box.high);
  const below = new Map();
  const colour = (label, index) => theme[fixed(panel, label) ?? PALETTE[index % PALETTE.length]];
  const marks = lines.map(({ label, values }, index) => {
    const fill = colour(label, index);
    if (!bars) return `<polyline fill="none" stroke="${fill}" stroke-width="1.5" points="${values.map(([time, value]) => `${x(time).toFixed(1)},${y(Number(value)).toFixed(1)}`).join(" ")}"/>`;
    return values.filter(([, value]) => Number(value) > 0).map(([time, value]) => {
      const base = below.get(time) ?? 0;
      below.set(time, base + Number(value));
      return `<rect x="${(x(time) - 2).toFixed(1)}" width="4" y="${y(base + Number(value)).toFixed(1)}" height="${(y(base) - y(base + Number(value))).toFixed(1)}" fill="${fill}"/>`;
    }).join("");
  });
  const grid = [0, 0.5, 1].map((share) => `<line x1="${box.left}" x2="${box.right}" y1="${y(top * share)}" y2="${y(top * share)}" stroke="${theme.line}"/><text x="${box.left - 6}" y="${y(top * share) + 4}" text-anchor="end">${escape(number(top * share, unit))}</text>`);
  const clock = (time) => new Date(time * 1000).toISOString().slice(11, 19);
  const axis = `<text x="${box.left}" y="${height - 6}">${clock(from)}</text><text x="${box.right}" y="${height - 6}" text-anchor="end">${clock(to)} UTC</text>`;
  const key = lines.slice(0, 5).map(({ label }, index) => `<span><i style="background:${colour(label, index)}"></i>${escape(label)}</span>`).join("");
  return `<svg width="${width}" height="${height}">${grid.join("")}${marks.join("")}${axis}</svg><div class="key">${key}</div>`;
}

/** What is up or down, by its last value. */
function state(theme, lines) {
  const last = ({ values }) => Number(values.at(-1)[1]);
  return `<table>${lines.map((line) => `<tr><td>${escape(line.label)}</td><td class="paint" style="${painted(theme, last(line) ? "green" : "red")}">${last(line) ? "up" : "down"}</td></tr>`).join("")}</table>`;
}

/** Where a panel is: on the grid, or below the one before it on a narrow screen. */
function placed(width) {
  let next = 0;
  return dashboard.panels.map((panel) => {
    const { x, y, w, h } = panel.gridPos;
    if (width >= STACKED) return { panel, left: (x * (width - 16)) / 24, top: y * ROW, width: (w * (width - 16)) / 24 - 8, height: h * ROW - 8 };
    const at = { panel, left: 0, top: next, width: width - 16, height: h * ROW - 8 };
    next += h * ROW;
    return at;
  });
}

function draw(theme, { panel, left, top, width, height }) {
  const place = `left:${left}px;top:${top + HEAD}px;width:${width}px;height:${height}px`;
  if (panel.type === "row") return `<h2 style="${place}">${escape(panel.title)}</h2>`;
  const mine = answers.filter(({ title }) => title === panel.title);
  const lines = mine.flatMap(({ result }, index) => result.map(({ metric, values = [] }) => ({ label: legend(panel.targets[index].legendFormat, metric), values: values.filter(([, value]) => Number.isFinite(Number(value))) })));
  const drawn = { gauge: () => stat(theme, panel, mine[0]), "state-timeline": () => state(theme, lines), stat: () => stat(theme, panel, mine[0]), table: () => table(theme, panel, mine[0]), timeseries: () => timeseries(theme, panel, lines, width - 26, height - 86) };
  return `<section style="${place}"><h3>${escape(panel.title)}</h3>${drawn[panel.type]?.() ?? ""}</section>`;
}

const HEAD = 58;

function sheet(theme, width) {
  const places = placed(width);
  const height = Math.max(...places.map((place) => place.top + place.height)) + HEAD + 8;
  const style = `body{margin:0;font:13px system-ui,"Liberation Sans","DejaVu Sans",sans-serif;background:${theme.ground};color:${theme.text};position:relative;height:${height}px}
  h1{font-size:18px;margin:0;padding:10px 12px}h1 small{display:inline-block;font-weight:400;font-size:12px;color:${theme.dim};margin-left:4px}
  h2,section{position:absolute;box-sizing:border-box;margin-left:8px}h2{font-size:13px;margin-top:6px}
  section{background:${theme.card};border:1px solid ${theme.line};border-radius:3px;padding:8px 12px;overflow:auto}h3{font-size:13px;margin:0 0 8px;white-space:nowrap;overflow:hidden}
  .stat{position:absolute;inset:36px 8px 8px;display:grid;place-items:center;font-size:30px;border-radius:3px;white-space:nowrap}
  table{width:100%;border-collapse:collapse}th,td{text-align:left;padding:5px 8px;border-bottom:1px solid ${theme.line};font-size:12px}
  svg text{font-size:11px;fill:${theme.dim}}.key span{margin-right:14px;overflow-wrap:anywhere}.key i{display:inline-block;width:10px;height:10px;margin-right:5px}.none{color:${theme.dim}}`;
  return { height, html: `<style>${style}</style><h1>${escape(dashboard.title)} <small>drawn by tests/peers/js/panels.mjs from Prometheus's answers, not by Grafana</small></h1>${places.map((place) => draw(theme, place)).join("")}` };
}

/** Runs in the page: titles, values and painted cells that are cut, or too pale to read. */
function unreadable() {
  const light = (colour) => {
    const [red, green, blue] = colour.match(/\d+/gu).map((part) => Number(part) / 255).map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const ground = (element) => {
    const colour = getComputedStyle(element).backgroundColor;
    return /, 0\)$/u.test(colour) && element.parentElement ? ground(element.parentElement) : colour;
  };
  const problems = [];
  for (const element of window.document.querySelectorAll("h1,h2,h3,.stat,th,td,.none,.key span")) {
    const text = element.textContent;
    if (element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).display !== "inline") problems.push(`cut: ${text}`);
    const [one, other] = [light(getComputedStyle(element).color), light(ground(element))].toSorted((left, right) => right - left);
    const contrast = (one + 0.05) / (other + 0.05);
    if (contrast < 4.5) problems.push(`contrast ${contrast.toFixed(1)}: ${text}`);
  }
  return problems;
}

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
const problems = [];
for (const [shade, theme] of Object.entries(THEMES)) {
  for (const width of [390, 1440]) {
    const { height, html } = sheet(theme, width);
    const page = await browser.newPage({ viewport: { width, height } });
    await page.setContent(html);
    await page.screenshot({ path: `${folder}/${name}-${width}-${shade}.png` });
    problems.push(...(await page.evaluate(unreadable)).map((problem) => `${width} ${shade}: ${problem}`));
    await page.close();
  }
}
copyFileSync(`${folder}/${name}-1440-light.png`, `${folder}/${name}.png`);
await browser.close();
for (const problem of problems) console.error(`${name}, ${problem}`);
process.exitCode = problems.length > 0 ? 1 : 0;
