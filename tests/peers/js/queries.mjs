// Puts every query of the dashboards and rules to a Prometheus:
//   queries.mjs URL FOLDER      (MADE in the environment: verdicts that were made, one a line)
// Prints one result a dashboard and kind; leaves the answers in FOLDER/answers.json.
import { readFileSync, writeFileSync } from "node:fs";

const [url, folder] = process.argv.slice(2);
const root = new URL("../../../dashboards/", import.meta.url);
const made = new Set((process.env.MADE ?? "").split("\n").filter(Boolean));
const RANGE = 300;
let failed = false;

function report(name, problems) {
  if (problems.length === 0) return console.log(`ok queries: ${name}`);
  failed = true;
  console.log(`not ok queries: ${name}: ${problems.join(" | ")}`);
}

async function ask(path, parameters) {
  const response = await fetch(`${url}/api/v1/${path}`, { method: "POST", body: new URLSearchParams(parameters) });
  const answer = await response.json();
  if (answer.status !== "success") throw new Error(answer.error);
  return answer.data;
}

const values = {
  $job: ".+",
  $instance: ".+",
  $supervisor: ".+",
  $__rate_interval: "15s",
  $__range_s: String(RANGE),
  $__range: `${RANGE}s`,
  $__interval: "5s",
};

function resolve(expr) {
  const filled = expr.replace(/\$\{?(__range_s|__range|__rate_interval|__interval|job|instance|supervisor)\b\}?/gu, (_, name) => values[`$${name}`]);
  if (filled.includes("$")) throw new Error(`a variable is left in ${filled}`);
  return filled;
}

async function run(expr, instant) {
  const now = Math.floor(Date.now() / 1000);
  const query = resolve(expr);
  const data = instant ? await ask("query", { query, time: now }) : await ask("query_range", { query, start: now - RANGE, end: now, step: 5 });
  return data.result;
}

async function labels(name, selector) {
  const query = selector ? `?${new URLSearchParams({ "match[]": selector })}` : "";
  const answer = await (await fetch(`${url}/api/v1/label/${name}/values${query}`)).json();
  if (answer.status !== "success") throw new Error(answer.error);
  return answer.data;
}

const known = new Set(await labels("__name__"));

// Metrics with labels show from their first denial on, and an LSM that is not
// there refuses nothing: those of LSMs may be absent then, and that is said.
const lsms = process.env.LSM ? [process.env.LSM] : (await (await fetch(`http://${process.env.ADDRESS}/api/v1/status`)).json()).host.lsm;
const withLsm = lsms.some((lsm) => ["apparmor", "selinux"].includes(lsm));
const absent = withLsm ? [] : ["capwatch_lsm_denials_total", "capwatch_audit_denials_total"].filter((metric) => !known.has(metric));
for (const metric of absent) {
  known.add(metric);
  console.log(`skip queries: ${metric} exists: no AppArmor or SELinux on this host`);
}
// What rules refuse has no metric before the first one, and the tracepoint, which is
// all that some hosts have, sees none.
const refusals = "capwatch_rule_refusals_total";
if (!known.has(refusals)) {
  known.add(refusals);
  console.log(`skip queries: ${refusals} exists: nothing was refused by a rule, or no hook here sees it`);
}
/** Metrics that an expression names: the words of our own and of the process. */
const named = (expr) => new Set(expr.match(/\b(?:\w+:)?(?:capwatch|process)_[a-z0-9_]+(?::\w+)?\b/gu) ?? []);

async function all(name, queries) {
  const problems = [];
  const answers = [];
  for (const { title, expr, instant } of queries) {
    try {
      const result = await run(expr, instant);
      answers.push({ title, expr, instant, result });
      const missing = [...named(expr)].filter((metric) => !known.has(metric));
      if (missing.length) problems.push(`${title}: no metric ${missing.join(", ")}`);
    } catch (error) {
      problems.push(`${title}: ${error.message}`);
    }
  }
  report(`${name}, ${queries.length} run without error over metrics that exist`, problems);
  return answers;
}

/** Panels that must show something once episodes were made. */
const needed = made.has("fatal") || made.has("degraded")
  ? ["Supervisors refused", "Since the last refusal", "When did episodes fail?", "Which supervisors are refused drops?", "Which capabilities are denied?", "Which layer denies?", "Is every hook attached?", "How much memory does the agent use?", "Which version runs where?", "How long does a scrape take?"]
  : ["Is every hook attached?", "How much memory does the agent use?", "Which version runs where?", "How long does a scrape take?"];

// Where LSM says that one refused, the panels about it show something too, and more than 0.
if (process.env.LSM) needed.push("Profiles that deny", "Missing in the audit log", "Which profiles deny?", "Does the log have them?", "Which profiles does the log name?", "Which capabilities are left over?", "How often do BPF programs run?", "How much of a core do BPF programs use?", "How late is an event?");
const shows = (result) => result.some(({ value, values }) => (values ?? [value]).some(([, one]) => Number(one) > 0));

const kept = {};
for (const name of ["overview", "denials", "health"]) {
  const dashboard = JSON.parse(readFileSync(new URL(`grafana/dashboards/${name}.json`, root)));
  const panels = dashboard.panels.flatMap((panel) => (panel.targets ?? []).map((target) => ({ title: panel.title, expr: target.expr, instant: target.instant })));
  const answers = await all(`panels of ${name}`, panels);
  const some = (title) => answers.filter((answer) => answer.title === title).some(({ result }) => shows(result));
  const empty = answers.map(({ title }) => title).filter((title) => needed.includes(title) && !some(title));
  report(`panels of ${name} show what was made`, empty);
  kept[name] = answers;

  const annotations = dashboard.annotations.list.filter((one) => one.target).map((one) => ({ title: one.name, expr: one.target.expr, instant: false }));
  await all(`annotations of ${name}`, annotations);

  const problems = [];
  for (const variable of dashboard.templating.list.filter((one) => one.type === "query")) {
    const [, selector, label] = /^label_values\((.+), (\w+)\)$/u.exec(variable.query.query);
    try {
      const found = await labels(label, resolve(selector));
      if (found.length === 0) problems.push(`${variable.name}: no value`);
    } catch (error) {
      problems.push(`${variable.name}: ${error.message}`);
    }
  }
  report(`variables of ${name} have values`, problems);
}

const { groups } = await (await fetch(`${url}/api/v1/rules`)).json().then((answer) => answer.data);
const rules = groups.flatMap((group) => group.rules);
report("Prometheus evaluates every rule", rules.filter((rule) => rule.health !== "ok").map((rule) => `${rule.name}: ${rule.lastError || rule.health}`));
await all("rules", rules.map((rule) => ({ title: rule.name, expr: rule.query, instant: true })));
if (made.has("fatal")) {
  const alert = rules.find((rule) => rule.name === "CapwatchSupervisorDropFailed");
  report("the alert for a failed drop fires", alert?.state === "firing" ? [] : [`it is ${alert?.state}`]);
}
if (process.env.LSM) {
  const alert = rules.find((rule) => rule.name === "CapwatchNewProfileDenies");
  report("the alert for a profile that is new fires", alert?.state === "firing" ? [] : [`it is ${alert?.state}`]);
}
writeFileSync(`${folder}/answers.json`, JSON.stringify(kept));
process.exitCode = failed ? 1 : 0;
