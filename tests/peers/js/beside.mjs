// What capwatch reported of a command beside what strace saw of it:
//   beside.mjs REPORT TRACE OUT [verdict=NAME] [supervisor=NAME] [skipped] [shows]
// Prints the facts; exit code 1 and the differences where they are not the same.
import { readFileSync } from "node:fs";

const [reportPath, tracePath, outPath, ...expected] = process.argv.slice(2);
const report = JSON.parse(readFileSync(reportPath, "utf8"));
const out = readFileSync(outPath, "utf8");
/** The bounding set's constant in calls that strace could not name. */
const DROP = /\bprctl\((?:PR_CAPBSET_DROP|0x18|24),/u;

// A call may be interrupted by others' lines: "<unfinished ...>", then "<... prctl resumed>".
const waiting = new Set();
/** Whether a new user namespace, whose bounding set is full, was made after the last drop. */
let refilled = false;
const truth = { calls: 0, eperm: 0, einval: 0, ok: 0 };
for (const line of readFileSync(tracePath, "utf8").split("\n")) {
  const thread = line.split(/\s/u, 1)[0];
  if (/CLONE_NEWUSER/u.test(line) && !/= -1 /u.test(line)) refilled = true;
  if (DROP.test(line)) {
    refilled = false;
    truth.calls += 1;
    if (line.includes("<unfinished ...>")) { waiting.add(thread); continue; }
  } else if (!(line.includes("<... prctl resumed>") && waiting.delete(thread))) continue;
  if (/= 0$/u.test(line)) truth.ok += 1;
  else if (line.includes("EPERM")) truth.eperm += 1;
  else if (line.includes("EINVAL")) truth.einval += 1;
}

const sum = (name) => report.episodes.reduce((total, episode) => total + (episode[name] ?? 0), 0);
const counted = { calls: sum("drops"), eperm: sum("refused_raised") + sum("refused_lowered"), einval: sum("unknown_capability") };
const problems = [];
for (const name of ["calls", "eperm", "einval"]) {
  if (counted[name] !== truth[name]) problems.push(`${name}: strace ${truth[name]}, capwatch ${counted[name]}`);
}
if (report.counts.episodes.all !== report.episodes.length) problems.push(`${report.counts.episodes.all} episodes counted, ${report.episodes.length} shown`);
if (report.lost.events) problems.push(`lost: ${JSON.stringify(report.lost)}`);

// What was launched says its set itself; some episode must have it as its last state.
const launched = /CapBnd:\s*([0-9a-f]{16})/u.exec(out)?.[1];
const hex = (text) => text && BigInt(text);
if (launched !== undefined) {
  const set = BigInt(`0x${launched}`);
  const fits = report.episodes.filter((episode) => hex(episode.bounding_after) === set);
  if (report.episodes.length > 0 && fits.length === 0 && truth.calls > 0 && !refilled) problems.push(`launched with ${launched}, and no episode ends with it: ${report.episodes.map((episode) => episode.bounding_after)}`);
}
const worst = ["fatal", "degraded", "pending", "harmless", "ok"].find((verdict) => report.episodes.some((episode) => episode.verdict === verdict));
for (const word of expected) {
  if (word === "skipped") {
    if (!report.episodes.some((episode) => episode.skipped)) problems.push("no episode says that the drop was skipped");
    continue;
  }
  if (word === "shows") {
    if (launched === undefined) problems.push(`what was launched does not show its set: ${out.trim()}`);
    continue;
  }
  const [key, value] = word.split("=");
  if (key === "verdict" && worst !== value) problems.push(`the worst verdict is ${worst}, not ${value}`);
  if (key === "supervisor" && !report.episodes.some((episode) => episode.supervisor === value && !episode.inferred)) {
    problems.push(`no episode is of ${value}`);
  }
}
const place = refilled ? " in a user namespace of its own" : "";
const facts = `${truth.calls} calls, ${truth.eperm} EPERM, ${truth.einval} EINVAL; launched with ${launched ?? "nothing"}${place}; ${report.episodes.map((episode) => `${episode.supervisor ?? "none"} ${episode.verdict}`).join(", ") || "no episode"}`;
console.log(problems.length > 0 ? `${problems.join(" | ")}; ${facts}` : facts);
process.exitCode = problems.length > 0 ? 1 : 0;
