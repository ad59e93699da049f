// The status page in Chromium:  page.mjs URL FOLDER   (MODULES: where npm put playwright-core)
// Prints a result a line, and "make an episode" when it wants one to happen.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";

const require = createRequire(`${process.env.MODULES}/package.json`);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const [url, folder] = process.argv.slice(2);
let failed = false;

function report(name, problems) {
  if (problems.length > 0) failed = true;
  console.log(problems.length === 0 ? `ok page: ${name}` : `not ok page: ${name}: ${problems.join(" | ").replaceAll("\n", " ")}`);
}

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
const faults = [];
const foreign = [];

async function open(options, path = "") {
  const context = await browser.newContext({ viewport: { width: 1440, height: 1000 }, ...options });
  // A test may look at the page with tools that the policy keeps out of it.
  const page = await context.newPage();
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && faults.push(message.text()));
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("dialog", (dialog) => faults.push(`a dialog opened: ${dialog.message()}`));
  page.on("request", (request) => new URL(request.url()).origin === new URL(url).origin || request.url().startsWith("data:") || foreign.push(request.url()));
  await page.goto(url + path);
  if (options.javaScriptEnabled !== false && path === "") await page.locator("#live.on").waitFor();
  await page.waitForTimeout(1200);
  return page;
}

async function accessible(page) {
  const { violations } = await page.evaluate(`(() => { ${axe}; return axe.run(); })()`);
  return violations.map(({ id, impact, nodes }) => `${id} (${impact}): ${nodes[0].html} ${nodes[0].failureSummary}`);
}

/** What of the verdicts a phone shows only after scrolling: sideways, or for the table of
 *  supervisors down. */
function hidden(page) {
  return page.evaluate(() => {
    const outside = [];
    for (const [cells, lowest] of [["#groups tbody tr:first-child td.number:nth-child(-n + 4)", innerHeight], ["#episodes tbody td:first-child .badge", Infinity]]) {
      const found = [...document.querySelectorAll(cells)];
      if (found.length === 0) outside.push(`nothing is ${cells}`);
      for (const cell of found) {
        const { right, bottom } = cell.getBoundingClientRect();
        if (right > innerWidth || bottom > lowest) outside.push(`${cells} ends at ${Math.round(right)}, ${Math.round(bottom)}`);
      }
    }
    return outside.slice(0, 3);
  });
}

for (const colorScheme of ["light", "dark"]) {
  const page = await open({ colorScheme });
  const running = await page.locator("#workloads tbody tr").allInnerTexts();
  const shown = running.some((text) => text.includes("openshell") && text.includes("chown"));
  report(`a workload that runs with what was refused is shown, ${colorScheme}`, shown ? [] : [`there are ${running.length}`, ...running]);
  report(`the header names the host, ${colorScheme}`, (await page.locator("header").innerText()).includes(hostname()) && (await page.title()).includes(hostname()) ? [] : [await page.title()]);
  const recent = await page.locator("#feed li").allInnerTexts();
  report(`what was found before the page was opened is in Live at once, ${colorScheme}`, recent.some((text) => text.includes("fatal") && text.includes("openshell")) ? [] : [`there are ${recent.length}`]);
  await page.screenshot({ path: `${folder}/page-${colorScheme}.png` });
  await page.screenshot({ path: `${folder}/page-${colorScheme}-full.png`, fullPage: true });
  report(`axe-core finds nothing, ${colorScheme}`, await accessible(page));
  await page.context().close();
}

// The other pages, and the phone in the dark.
for (const [path, options] of [["docs/", {}], ["docs/runbook", {}], ["docs/events", { viewport: { width: 390, height: 844 } }], ["docs/layers", { viewport: { width: 390, height: 844 }, colorScheme: "dark" }], ["", { viewport: { width: 390, height: 844 }, colorScheme: "dark" }]]) {
  const page = await open(options, path);
  const { width = 1440 } = options.viewport ?? {};
  const wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
  await page.screenshot({ path: `${folder}/page-${path.replaceAll("/", "-")}${width}${options.colorScheme ?? ""}.png` });
  report(`axe-core finds nothing on /${path} at ${width}${options.colorScheme ? `, ${options.colorScheme}` : ""}`, [...(await accessible(page)), ...(wide > 0 ? [`${wide} pixels stand out`] : [])]);
  await page.context().close();
}

for (const width of [320, 390, 768, 1920]) {
  const page = await open({ viewport: { width, height: 844 } });
  const wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
  report(`fits a width of ${width}`, wide > 0 ? [`${wide} pixels stand out`] : []);
  if (width === 390) {
    await page.screenshot({ path: `${folder}/page-phone.png` });
    report("axe-core finds nothing, phone", await accessible(page));
    report("verdicts come first on a phone", await hidden(page));
    await page.screenshot({ path: `${folder}/page-phone-full.png`, fullPage: true });
  }
  await page.context().close();
}

const page = await open({});
const rows = () => page.locator("#episodes tbody tr:has(a)").count();
const total = await rows();
const problems = [];
for (const filter of ["supervisor", "layer", "verdict"]) {
  const values = await page.locator(`#filter-${filter} option`).evaluateAll((options) => options.map((option) => option.value).slice(1));
  let most = 0;
  for (const value of values) {
    await page.selectOption(`#filter-${filter}`, value);
    const shown = await rows();
    most = Math.max(most, shown);
    if (filter === "verdict") {
      const others = await page.locator("#episodes .badge").evaluateAll((badges, wanted) => badges.filter((badge) => badge.textContent !== wanted).length, value);
      if (others) problems.push(`verdict ${value} shows ${others} others`);
    }
  }
  if (total > 0 && most === 0) problems.push(`no value of ${filter} shows a row`);
  await page.click("#filter-clear");
}
if ((await rows()) < total) problems.push("rows are missing after Show all");
report("filters work", problems);

const lines = () => page.locator("#feed li").count();
const before = await lines();
console.log("make an episode");
const arrived = await page.waitForFunction((count) => document.querySelectorAll("#feed li").length > count, before, { timeout: 15000 }).then(() => [], () => ["nothing arrived within 15 s"]);
if (process.env.TESTBED || (await lines()) > before) report("a new event shows without a reload", arrived);
else console.log("skip page: a new event shows without a reload: TESTBED names no helper");

if (total > 0) {
  const fresh = await open({});
  await fresh.keyboard.press("Tab");
  const skipLink = await fresh.evaluate(() => document.activeElement.textContent.slice(0, 40));
  await fresh.context().close();
  const link = page.locator("#episodes a").first();
  await link.focus();
  await page.keyboard.press("Enter");
  await page.locator("dialog[open] .explanation").waitFor();
  await page.screenshot({ path: `${folder}/page-detail.png` });
  const inDialog = await accessible(page);
  await page.keyboard.press("Escape");
  const closed = await page.locator("dialog[open]").count();
  report("the keyboard opens an episode and closes it", [...inDialog, ...(closed ? ["the dialog stays open"] : []), ...(skipLink.startsWith("Skip") ? [] : [`the first stop is ${skipLink}`])]);
} else console.log("skip page: the keyboard opens an episode and closes it: there is no episode");

// A browser has six connections for all pages of one address, and a page that is followed
// keeps one. Without a window none is ever hidden: the page gets the event for it.
const hide = (tab, hidden) => tab.evaluate((value) => {
  Object.defineProperty(document, "hidden", { value, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}, hidden);
const first = await open({});
const unread = [];
let last = first;
for (let number = 2; number <= 8 && unread.length === 0; number += 1) {
  await hide(last, true);
  if ((await first.locator("#live.off").count()) !== 1) unread.push("a hidden tab says that it is live");
  last = await first.context().newPage();
  const loaded = last.goto(url, { timeout: 10000 }).then(() => last.locator("#live.on").waitFor({ timeout: 10000 }));
  await loaded.catch((error) => unread.push(`tab ${number}: ${error.message}`));
}
if (unread.length === 0) {
  await hide(last, true);
  await hide(first, false);
  await first.locator("#live.on").waitFor({ timeout: 10000 }).catch(() => unread.push("a tab that is seen again is not live"));
  await first.locator("#feed", { hasText: "Not followed from" }).waitFor({ timeout: 5000 }).catch(() => unread.push("what was not followed is not shown"));
}
report("eight tabs of one browser, of which one is seen", unread);
await first.context().close();

const markup = await page.evaluate(() => document.querySelectorAll("main img, main script, main [style], main [onerror]").length);
report("hostile names are text", markup ? [`${markup} elements came from names`] : []);

const plain = await open({ javaScriptEnabled: false });
await plain.screenshot({ path: `${folder}/page-noscript.png`, fullPage: true });
const essentials = ["#findings h1", "#agent h1", "#groups", "#episodes", "#denials", "#hooks", "#sources", "#chart"];
const missing = [];
for (const part of essentials) if ((await plain.locator(part).count()) !== 1) missing.push(part);
if (total > 0) {
  await plain.locator("#episodes a").first().click();
  if ((await plain.locator(".explanation").count()) !== 1) missing.push("the page of an episode");
}
report("the essentials are there without scripts", missing);

report("nothing is asked of others", foreign);
report("no violation of the policy and no error", faults);
await browser.close();
process.exitCode = failed ? 1 : 0;
