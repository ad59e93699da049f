// Samples of an agent's metrics as OpenMetrics that promtool can import:
//   openmetrics.mjs SAMPLES     (lines `at SECONDS`, each followed by a scrape)
// Times are moved: the last is now; job and instance are what a scrape would add.
import { readFileSync } from "node:fs";

const OWN = 'job="capwatch",instance="vm:11400"';
const scrapes = readFileSync(process.argv[2], "utf8").split(/^at (\d+)\n/mu).slice(1);
const times = scrapes.filter((_, index) => index % 2 === 0).map(Number);
const shift = Math.floor(Date.now() / 1000) - times.at(-1);
const out = [];
for (const [index, time] of times.entries()) {
  const at = time + shift;
  for (const line of scrapes[2 * index + 1].split("\n")) {
    const sample = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/u.exec(line);
    if (!sample) continue;
    const [, name, labels, value] = sample;
    out.push(`${name}{${[labels, OWN].filter(Boolean).join(",")}} ${value} ${at}`);
  }
  out.push(`up{${OWN}} 1 ${at}`);
}
console.log([...out, "# EOF"].join("\n"));
