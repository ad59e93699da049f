#!/usr/bin/env node
// Writes dashboards/*.json from src/; with --check says whether they differ.
import { readFileSync, writeFileSync } from "node:fs";

let differ = false;
for (const name of ["overview", "denials", "health"]) {
  const { default: dashboard } = await import(`./src/${name}.mjs`);
  const path = new URL(`dashboards/${name}.json`, import.meta.url);
  const text = `${JSON.stringify(dashboard, null, 2)}\n`;
  if (!process.argv.includes("--check")) writeFileSync(path, text);
  else if (readFileSync(path, "utf8") !== text) {
    console.error(`${name}.json differs from src/${name}.mjs: run dashboards/grafana/build.mjs`);
    differ = true;
  }
}
process.exitCode = differ ? 1 : 0;
