// Episodes over time by verdict: stacked bars, the worst at the bottom.

import { byId } from "./dom.js";
import { VERDICTS } from "./tables.js";

const BARS = 48;
const WIDTH = 576;
const HEIGHT = 120;

function count(episodes, now, span) {
  const bars = Array.from({ length: BARS }, () => Object.fromEntries(VERDICTS.map((verdict) => [verdict, 0])));
  for (const { time, verdict } of episodes) {
    const back = Math.floor((Math.max(0, now - Date.parse(time)) / (span * 1000)) * BARS);
    const bar = bars[BARS - 1 - back];
    if (bar && verdict in bar) bar[verdict] += 1;
  }
  return bars;
}

function rect(verdict, x, y, width, height) {
  const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  const attributes = { class: verdict, x, y, width, height };
  for (const [name, value] of Object.entries(attributes)) bar.setAttribute(name, value);
  return bar;
}

export function chart(episodes, now, span) {
  const bars = count(episodes, now, span);
  const sum = (bar) => VERDICTS.reduce((total, verdict) => total + bar[verdict], 0);
  const top = Math.max(4, ...bars.map(sum));
  const step = WIDTH / BARS;
  const rects = bars.flatMap((bar, index) => {
    let below = 0;
    return VERDICTS.filter((verdict) => bar[verdict] > 0).map((verdict) => {
      const base = HEIGHT - (HEIGHT * below) / top;
      below += bar[verdict];
      const upper = HEIGHT - (HEIGHT * below) / top;
      return rect(verdict, index * step + 1, upper, step - 2, Math.max(1, base - upper));
    });
  });
  const totals = VERDICTS.map((verdict) => [verdict, bars.reduce((total, bar) => total + bar[verdict], 0)]);
  const drawing = byId("chart");
  drawing.setAttribute("aria-label", `Episodes: ${totals.map(([verdict, total]) => `${total} ${verdict}`).join(", ")}`);
  drawing.replaceChildren(...rects);
  totals.forEach(([, total], index) => {
    byId("legend").children[index].firstChild.textContent = total;
  });
  const title = byId("span").selectedOptions[0].textContent;
  byId("chart-span").textContent = title;
  byId("chart-from").textContent = `${title} ago`;
}
