// Draws the panels of a dashboard from the answers that Prometheus gave:
//   panels.mjs FOLDER NAME      reads FOLDER/answers.json, writes FOLDER/NAME.png
// It is a drawing of ours in Chromium, not Grafana's, and says so in its corner.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const require = createRequire(`${process.env.MODULES}/package.json`);
const { chromium } = require("playwright-core");
const [folder, name] = process.argv.slice(2);
const dashboard = JSON.parse(readFileSync(new URL(`../../../dashboards/grafana/dashboards/${name}.json`, import.meta.url)));
const answers = JSON.parse(readFileSync(`${folder}/answers.json`))[name];
const COLOURS = ["#3274d9", "#e0823d", "#37872d", "#8f3bb8", "#c4162a", "#1f9aa8", "#b7a000"];
const NAMED = { fatal: "#c4162a", degraded: "#e0823d", pending: "#8f3bb8", harmless: "#3274d9", ok: "#37872d", red: "#c4162a", orange: "#c2570c", green: "#2f7a28", blue: "#2f62b3", purple: "#8f3bb8" };
const CELL = { width: 60, height: 34 };

const escape = (text) => String(text).replace(/[&<>"']/gu, (character) => `&#${character.codePointAt(0)};`);
const legend = (format, labels) => format.replace(/\{\{(\w+)\}\}/gu, (_, label) => labels[label] ?? "");

function number(value, unit) {
  if (unit === "percentunit") return `${(value * 100).toFixed(1)} %`;
  if (unit === "s") return value >= 60 ? `${(value / 60).toFixed(1)} min` : `${value.toPrecision(3)} s`;
  if (unit === "bytes") return `${(value / 1048576).toFixed(1)} MiB`;
  const short = Number.isInteger(value) ? String(value) : value.toFixed(value < 10 ? 2 : 1);
  return unit === "ops" ? `${short} ops/s` : short;
}

function stat(panel, { result }) {
  const { unit, thresholds } = panel.fieldConfig.defaults;
  const value = result.length ? Number(result[0].value[1]) : 0;
  const step = thresholds.steps.findLast((one) => one.value === null || value >= one.value);
  return `<div class="stat" style="background:${NAMED[step.color]}">${number(value, unit)}</div>`;
}

function table(panel, { result }) {
  const names = panel.transformations[0].options.renameByName;
  const columns = Object.keys(names);
  const unit = panel.fieldConfig.defaults.unit;
  const cell = (row, column) => (column === "Value" ? number(Number(row.value[1]), unit) : (row.metric[column] ?? ""));
  const sortBy = panel.options.sortBy?.[0]?.displayName;
  const sorted = columns.find((column) => names[column] === sortBy);
  if (sorted) result = result.toSorted((left, right) => cell(left, sorted).localeCompare(cell(right, sorted)));
  const paint = (column, text) => (column === "verdict" && NAMED[text] ? ` class="paint" style="background:${NAMED[text]}"` : "");
  const body = result.slice(0, 7).map((row) => `<tr>${columns.map((column) => `<td${paint(column, cell(row, column))}>${escape(cell(row, column))}</td>`).join("")}</tr>`);
  return `<table><tr>${columns.map((column) => `<th>${escape(names[column])}</th>`).join("")}</tr>${body.join("")}</table>`;
}

function timeseries(panel, lines, width, height) {
  const { unit, custom } = panel.fieldConfig.defaults;
  const bars = custom.drawStyle === "bars";
  const times = lines.flatMap(({ values }) => values.map(([time]) => time));
  if (times.length === 0) return '<p class="none">no data</p>';
  const [from, to] = [Math.min(...times), Math.max(...times)];
  const stacked = new Map();
  for (const { values } of lines) for (const [time, value] of values) stacked.set(time, (stacked.get(time) ?? 0) + Number(value));
  const top = Math.max(...(bars ? stacked.values() : lines.flatMap(({ values }) => values.map(([, value]) => Number(value)))), 1e-9);
  const box = { left: 62, right: width - 8, low: height - 22, high: 6 };
  const x = (time) => box.left + ((time - from) / Math.max(1, to - from)) * (box.right - box.left);
  const y = (value) => box.low - (value / top) * (box.low - box.high);
  const below = new Map();
  const colour = (label, index) => Object.entries(NAMED).find(([word]) => new RegExp(`\\b${word}\\b`, "u").test(label))?.[1] ?? COLOURS[index % COLOURS.length];
  const marks = lines.map(({ label, values }, index) => {
    const fill = colour(label, index);
    if (!bars) return `<polyline fill="none" stroke="${fill}" stroke-width="1.5" points="${values.map(([time, value]) => `${x(time).toFixed(1)},${y(Number(value)).toFixed(1)}`).join(" ")}"/>`;
    return values.filter(([, value]) => Number(value) > 0).map(([time, value]) => {
      const base = below.get(time) ?? 0;
      below.set(time, base + Number(value));
      return `<rect x="${(x(time) - 2).toFixed(1)}" width="4" y="${y(base + Number(value)).toFixed(1)}" height="${(y(base) - y(base + Number(value))).toFixed(1)}" fill="${fill}"/>`;
    }).join("");
  });
  const grid = [0, 0.5, 1].map((share) => `<line x1="${box.left}" x2="${box.right}" y1="${y(top * share)}" y2="${y(top * share)}" stroke="#ddd"/><text x="${box.left - 6}" y="${y(top * share) + 4}" text-anchor="end">${escape(number(top * share, unit))}</text>`);
  const clock = (time) => new Date(time * 1000).toISOString().slice(11, 19);
  const axis = `<text x="${box.left}" y="${height - 6}">${clock(from)}</text><text x="${box.right}" y="${height - 6}" text-anchor="end">${clock(to)} UTC</text>`;
  const key = lines.slice(0, 5).map(({ label }, index) => `<span><i style="background:${colour(label, index)}"></i>${escape(label)}</span>`).join("");
  return `<svg width="${width}" height="${height}">${grid.join("")}${marks.join("")}${axis}</svg><div class="key">${key}</div>`;
}

/** Rows of what is up or down, as last told. */
function state(lines) {
  const last = ({ values }) => Number(values.at(-1)[1]);
  return `<table>${lines.map((line) => `<tr><td>${escape(line.label)}</td><td class="paint" style="background:${last(line) ? NAMED.green : NAMED.red}">${last(line) ? "up" : "down"}</td></tr>`).join("")}</table>`;
}

function draw(panel) {
  const { x, y, w, h } = panel.gridPos;
  const place = `left:${x * CELL.width}px;top:${y * CELL.height + 46}px;width:${w * CELL.width - 10}px;height:${h * CELL.height - 10}px`;
  if (panel.type === "row") return `<h2 style="${place}">${escape(panel.title)}</h2>`;
  const mine = answers.filter(({ title }) => title === panel.title);
  const lines = mine.flatMap(({ result }, index) => result.map(({ metric, values = [] }) => ({ label: legend(panel.targets[index].legendFormat, metric), values: values.filter(([, value]) => Number.isFinite(Number(value))) })));
  const drawn = { gauge: () => stat(panel, mine[0]), "state-timeline": () => state(lines), stat: () => stat(panel, mine[0]), table: () => table(panel, mine[0]), timeseries: () => timeseries(panel, lines, w * CELL.width - 34, h * CELL.height - 84) };
  return `<section style="${place}"><h3>${escape(panel.title)}</h3>${drawn[panel.type]?.() ?? ""}</section>`;
}

const height = Math.max(...dashboard.panels.map(({ gridPos }) => gridPos.y + gridPos.h)) * CELL.height + 54;
const style = `body{margin:0;font:13px system-ui,"Liberation Sans","DejaVu Sans",sans-serif;background:#f4f5f5;color:#24292e;position:relative;height:${height}px}
  h1{font-size:18px;margin:0;padding:12px}h1 small{font-weight:400;font-size:12px;color:#666;margin-left:12px}
  h2,section{position:absolute;box-sizing:border-box;margin-left:8px}h2{font-size:13px;margin-top:8px}
  section{background:#fff;border:1px solid #ddd;border-radius:3px;padding:8px 12px;overflow:hidden}h3{font-size:13px;margin:0 0 8px}
  .stat{position:absolute;inset:36px 8px 8px;display:grid;place-items:center;color:#fff;font-size:30px;border-radius:3px}
  table{width:100%;border-collapse:collapse}th,td{text-align:left;padding:5px 8px;border-bottom:1px solid #eee;font-size:12px}
  svg text{font-size:11px;fill:#666}.key span{margin-right:14px;white-space:nowrap}.key i{display:inline-block;width:10px;height:10px;margin-right:5px}.none{color:#888}td.paint{color:#fff}`;
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
const page = await browser.newPage({ viewport: { width: 24 * CELL.width + 8, height } });
await page.setContent(`<style>${style}</style><h1>${escape(dashboard.title)}<small>drawn by tests/peers/js/panels.mjs from Prometheus's answers, not by Grafana</small></h1>${dashboard.panels.map(draw).join("")}`);
await page.screenshot({ path: `${folder}/${name}.png` });
await browser.close();
