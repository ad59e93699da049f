// Fifty pages, or some of them and clients of the live feed, while it storms:
//   crowd.mjs URL PID FOLDER     (PID: the agent's, whose memory is read; PAGES: how many
//   real pages, each in its own browser context)
// Prints a result a line, and "begin the storm" and "end the storm" when it wants that.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { connect } from "node:net";

const require = createRequire(`${process.env.MODULES}/package.json`);
const { chromium } = require("playwright-core");
const [url, pid, folder] = process.argv.slice(2);
const PAGES = Number(process.env.PAGES ?? 50);
/** Clients of the whole feed: what pages are short of fifty, and at least one that counts. */
const CLIENTS = Math.max(1, 49 - PAGES);
const EVENTS_A_SECOND = 1000;
/** Seconds until every bounded buffer is full, and seconds that are measured. */
const WARM = 20;
const MEASURED = 30;
/** What pages that read at other moments make of difference; a leak would be 30 MiB. */
const GROWTH_KIB = 4096;
/** Bounded: what an agent may take under a storm, however slow the host is. */
const MOST_KIB = 48 * 1024;
let failed = false;

function report(name, problems, fact = "") {
  if (problems.length > 0) failed = true;
  console.log(problems.length === 0 ? `ok crowd: ${name}${fact && ` (${fact})`}` : `not ok crowd: ${name}: ${problems.join(" | ").replaceAll("\n", " ")}`);
}

const seconds = (count) => new Promise((resolve) => setTimeout(resolve, count * 1000));
const resident = () => Number(/^VmRSS:\s*(\d+) kB/mu.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]);
const processor = () => {
  const [utime, stime] = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1).split(" ").slice(11, 13);
  return (Number(utime) + Number(stime)) / 100;
};

/** A client of the feed over a plain socket; `onChunk` is called with each text. */
function follow(onChunk) {
  const { hostname, port, host } = new URL(url);
  const socket = connect(Number(port), hostname, () => socket.write(`GET /api/v1/events HTTP/1.1\r\nHost: ${host}\r\n\r\n`));
  socket.on("error", (error) => report("a client stays connected", [error.message]));
  if (onChunk) socket.on("data", onChunk);
  else socket.pause();
  return socket;
}

const counted = { events: 0, lost: 0, bytes: 0, rest: "" };
function count(data) {
  const lines = (counted.rest + data.toString("latin1")).split("\n");
  counted.rest = lines.pop();
  for (const line of lines) {
    if (!line.startsWith("data: ")) continue;
    const loss = /"kind":"loss","stage":"output","reason":"(?:client|feed)_behind","count":(\d+)/u.exec(line);
    if (loss) counted.lost += Number(loss[1]);
    else counted.events += 1;
  }
}

const alone = resident();
const sockets = Array.from({ length: CLIENTS - 1 }, () => follow((data) => (counted.bytes += data.length)));
sockets.push(follow(count));
// One that never reads: what it is owed must not pile up.
sockets.push(follow(null));

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
const faults = [];
const pages = [];
for (let number = 0; number < PAGES; number += 1) {
  const page = await (await browser.newContext()).newPage();
  page.on("pageerror", (error) => faults.push(error.message));
  await page.goto(url);
  await page.locator("#live.on").waitFor();
  pages.push(page);
}

console.log("begin the storm");
await seconds(WARM);
const before = { memory: resident(), processor: processor(), events: counted.events + counted.lost, time: Date.now() };
const samples = [];
for (let second = 0; second < MEASURED; second += 1) {
  await seconds(1);
  samples.push(resident());
}
const span = (Date.now() - before.time) / 1000;
const rate = Math.round((counted.events + counted.lost - before.events) / span);
const share = Math.round((100 * (processor() - before.processor)) / span);
console.log("end the storm");
await seconds(3);
await pages[0].screenshot({ path: `${folder}/page-storm.png` });

const most = Math.max(...samples);
const last = samples.slice(-5).reduce((sum, one) => sum + one, 0) / 5;
report(`at least ${EVENTS_A_SECOND} events a second`, rate >= EVENTS_A_SECOND ? [] : [`${rate} events a second`], `${rate}, of which ${counted.lost} in all were reported as lost`);
report(`${CLIENTS + 1} clients and ${PAGES} pages: no growth`, last - before.memory <= GROWTH_KIB ? [] : [`from ${before.memory} to ${last} KiB in ${MEASURED} s`], `${alone} KiB alone, ${before.memory} after ${WARM} s, ${Math.round(last)} after ${WARM + MEASURED} s; ${share} % of a core`);
report("the agent's memory is bounded", most <= MOST_KIB ? [] : [`${most} KiB`], `${most} KiB at most`);

const problems = [...faults];
for (const page of pages) {
  if ((await page.locator("#live.on").count()) !== 1) problems.push("a page is no longer live");
  const lines = await page.locator("#feed li").count();
  if (lines === 0 || lines > 100) problems.push(`${lines} lines in a feed`);
}
const { verdicts } = (await (await fetch(`${url}/api/v1/supervisors`)).json()).groups.find(({ supervisor }) => supervisor === "openshell") ?? { verdicts: {} };
if (!verdicts.fatal) problems.push("the API knows of no fatal episode");
report("every page is live and bounded", problems);
for (const socket of sockets) socket.destroy();
await browser.close();
await seconds(1);
const after = resident();
report("clients that leave leave nothing", after <= most ? [] : [`${after} KiB`], `${after} KiB`);
process.exitCode = failed ? 1 : 0;
