// Parts that the dashboards are made of: classic JSON, schemaVersion 42.

export const DATASOURCE = { type: "prometheus", uid: "${datasource}" };

/** Matchers that every query has. */
export const SCOPE = 'job=~"$job", instance=~"$instance"';
export const SUPERVISED = `${SCOPE}, supervisor=~"$supervisor"`;

/** How much counters grew over a range. A series that was born within it, as the
 *  first failure of a version is, counts with its whole value: increase() would
 *  leave out what it was born with. */
export const grown = (selector, range) => `((${selector} unless ${selector} offset ${range}) or increase(${selector}[${range}]))`;

/** The same from point to point, summed by labels. A rate would leave out the first
 *  of each series, so a single denial would show nowhere. */
export const grownBy = (labels, selector, legendFormat) => query(`sum by (${labels}) (${grown(selector, "$__rate_interval")})`, legendFormat);

export const VERDICT_COLOURS = { fatal: "red", degraded: "orange", pending: "purple", harmless: "blue", ok: "green" };

/** A query; `instant` for tables and single values. */
export function query(expr, legendFormat, options = {}) {
  const { instant = false, format = "time_series" } = options;
  return { datasource: DATASOURCE, editorMode: "code", exemplar: false, expr, format, instant, legendFormat, range: !instant };
}

/** Numbers queries A, B, …, and panels 1, 2, …; puts panels on the grid of 24 columns. */
export function layout(rows) {
  const panels = [];
  let y = 0;
  for (const { title, height, panels: inRow } of rows) {
    panels.push({ type: "row", id: panels.length + 1, title, collapsed: false, panels: [], gridPos: { h: 1, w: 24, x: 0, y } });
    y += 1;
    const edge = (index) => Math.round((24 * index) / inRow.length);
    inRow.forEach((panel, index) => {
      const targets = panel.targets.map((target, number) => ({ ...target, refId: String.fromCharCode(65 + number) }));
      panels.push({ ...panel, id: panels.length + 1, targets, gridPos: { h: height, w: edge(index + 1) - edge(index), x: edge(index), y } });
    });
    y += height;
  }
  return panels;
}

const steps = (...pairs) => ({ mode: "absolute", steps: pairs.map(([value, color]) => ({ value, color })) });
/** Green, and from 1 on in the colour of a verdict. */
export const verdictSteps = (verdict) => steps([null, "green"], [1, VERDICT_COLOURS[verdict]]);
export const ALARM = steps([null, "green"], [1, "red"]);
export const WARN = steps([null, "green"], [1, "orange"]);
export const NEED_ONE = steps([null, "red"], [1, "green"]);
export const PLAIN = steps([null, "blue"]);
const SHARE = steps([null, "green"], [0.5, "orange"], [0.9, "red"]);

function panel(type, title, description, unit, targets, thresholds, rest) {
  const { defaults = {}, overrides = [], options, transformations = [], links = [] } = rest;
  return {
    type,
    title,
    description,
    datasource: DATASOURCE,
    targets,
    fieldConfig: { defaults: { unit, color: { mode: "thresholds" }, thresholds, ...defaults }, overrides },
    options,
    transformations,
    links,
  };
}

export function stat(title, description, unit, targets, thresholds = PLAIN, links = []) {
  const options = {
    colorMode: "background",
    graphMode: "none",
    justifyMode: "auto",
    orientation: "auto",
    percentChangeColorMode: "standard",
    reduceOptions: { calcs: ["lastNotNull"], fields: "", values: false },
    showPercentChange: false,
    textMode: "auto",
    wideLayout: true,
  };
  return panel("stat", title, description, unit, targets, thresholds, { options, links, defaults: { noValue: "0", ...(unit === "short" ? { decimals: 0 } : {}) } });
}

export function gauge(title, description, targets) {
  const options = {
    minVizHeight: 75,
    minVizWidth: 75,
    orientation: "auto",
    reduceOptions: { calcs: ["lastNotNull"], fields: "", values: false },
    showThresholdLabels: false,
    showThresholdMarkers: true,
    sizing: "auto",
  };
  return panel("gauge", title, description, "percentunit", targets, SHARE, { options, defaults: { min: 0, max: 1 } });
}

/** The colour of a verdict: `fixed`, or `shades` of it where several series have the same verdict. */
const byVerdict = (mode) =>
  Object.entries(VERDICT_COLOURS).map(([verdict, color]) => ({
    matcher: { id: "byRegexp", options: `/\\b${verdict}\\b/` },
    properties: [{ id: "color", value: { mode, fixedColor: color } }],
  }));

/** Lines over time; `bars` for counts per interval, stacked. */
export function series(title, description, unit, targets, { bars = false, verdicts } = {}) {
  const custom = {
    drawStyle: bars ? "bars" : "line",
    fillOpacity: bars ? 80 : 10,
    lineWidth: 1,
    showPoints: "auto",
    spanNulls: false,
    stacking: { group: "A", mode: bars ? "normal" : "none" },
  };
  const options = {
    legend: { calcs: ["lastNotNull", "max"], displayMode: "table", placement: "bottom", showLegend: true },
    tooltip: { hideZeros: true, mode: "multi", sort: "desc" },
  };
  return panel("timeseries", title, description, unit, targets, PLAIN, {
    options,
    defaults: { color: { mode: "palette-classic" }, custom, min: 0 },
    overrides: verdicts ? byVerdict(verdicts) : [],
  });
}

/** A table of one instant query; `names` says how columns are called and in which order. */
export function table(title, description, unit, target, names, links = []) {
  // By the alphabet, degraded and fatal come before harmless and ok. Elsewhere the most come first.
  const sortBy = names.verdict ? [{ displayName: names.verdict, desc: false }] : [{ displayName: names.Value, desc: true }];
  const options = { cellHeight: "sm", showHeader: true, sortBy };
  const organize = {
    id: "organize",
    options: {
      excludeByName: { Time: true },
      includeByName: {},
      indexByName: Object.fromEntries(Object.keys(names).map((name, index) => [name, index])),
      renameByName: names,
    },
  };
  return panel("table", title, description, unit, [target], PLAIN, {
    options,
    links,
    defaults: { decimals: 0, custom: { align: "auto", minWidth: 80, cellOptions: { type: "auto" }, filterable: true, inspect: false } },
    transformations: [organize],
    overrides: names.verdict ? [colouredVerdicts(names.verdict)] : [],
  });
}

const colouredVerdicts = (column) => ({
  matcher: { id: "byName", options: column },
  properties: [
    { id: "custom.cellOptions", value: { type: "color-background", mode: "basic" } },
    { id: "mappings", value: [{ type: "value", options: Object.fromEntries(Object.entries(VERDICT_COLOURS).map(([verdict, color], index) => [verdict, { text: verdict, color, index }])) }] },
  ],
});

export function state(title, description, targets) {
  const mappings = [{ type: "value", options: { 0: { text: "down", color: "red", index: 0 }, 1: { text: "up", color: "green", index: 1 } } }];
  const options = {
    alignValue: "left",
    legend: { calcs: [], displayMode: "list", placement: "bottom", showLegend: false },
    mergeValues: true,
    rowHeight: 0.8,
    showValue: "auto",
    tooltip: { hideZeros: false, mode: "single", sort: "none" },
  };
  return panel("state-timeline", title, description, "none", targets, NEED_ONE, {
    options,
    defaults: { custom: { fillOpacity: 70, lineWidth: 0 }, mappings },
  });
}

function variable(name, label, metric, matchers) {
  const definition = `label_values(${metric}${matchers ? `{${matchers}}` : ""}, ${name})`;
  return {
    type: "query",
    name,
    label,
    datasource: DATASOURCE,
    query: { query: definition, refId: `Variable-${name}` },
    refresh: 2,
    regex: "",
    sort: 1,
    multi: true,
    includeAll: true,
    allValue: ".+",
    current: { text: "All", value: "$__all" },
    hide: 0,
    options: [],
    skipUrlSync: false,
  };
}

const datasource = {
  type: "datasource",
  name: "datasource",
  label: "Data source",
  query: "prometheus",
  refresh: 1,
  regex: "",
  multi: false,
  includeAll: false,
  hide: 0,
  options: [],
  skipUrlSync: false,
};

const annotation = (name, iconColor, expr, titleFormat, tagKeys) => ({
  name,
  iconColor,
  target: { expr, interval: "60s", refId: "Anno" },
  titleFormat,
  tagKeys,
  datasource: DATASOURCE,
  enable: true,
  hide: false,
  textFormat: "",
  useValueForTime: false,
});

const FAILED = `capwatch_last_failed_drop_timestamp_seconds{${SUPERVISED}}`;

/** Versions that run, and versions that ran and are gone again but had an episode. */
const versions = (offset) => {
  const by = "group by (job, instance, supervisor, version)";
  return `(${by} (capwatch_supervisor_info{${SUPERVISED}, version!=""}${offset}) or ${by} (capwatch_bounding_drop_episodes_total{${SUPERVISED}, version!=""}${offset}))`;
};

/** What all dashboards mark on their time axis. */
const annotations = [
  {
    builtIn: 1,
    datasource: { type: "grafana", uid: "-- Grafana --" },
    enable: true,
    hide: true,
    iconColor: "rgba(0, 211, 255, 1)",
    name: "Annotations & Alerts",
    type: "dashboard",
  },
  annotation(
    "Failed drops",
    "red",
    // A supervisor's first failure is its series' birth, which is no change of it.
    `changes(${FAILED}[$__rate_interval]) > 0 or (${FAILED} unless ${FAILED} offset $__rate_interval)`,
    "A drop was refused to {{supervisor}}",
    "supervisor,instance",
  ),
  annotation(
    "Version changes",
    "blue",
    `${versions("")} unless ${versions(" offset 5m")}`,
    "{{supervisor}} now also runs {{version}}",
    "supervisor,version,instance",
  ),
];

const link = {
  type: "dashboards",
  title: "capwatch",
  tags: ["capwatch"],
  asDropdown: false,
  icon: "external link",
  includeVars: true,
  keepTime: true,
  targetBlank: false,
  tooltip: "",
  url: "",
};

export function dashboard(uid, title, description, rows) {
  return {
    uid,
    title,
    description,
    tags: ["capwatch"],
    schemaVersion: 42,
    version: 1,
    editable: false,
    graphTooltip: 1,
    fiscalYearStartMonth: 0,
    timezone: "browser",
    time: { from: "now-6h", to: "now" },
    timepicker: {},
    refresh: "30s",
    preload: false,
    links: [link],
    annotations: { list: annotations },
    templating: {
      list: [
        datasource,
        variable("job", "Job", "capwatch_build_info", ""),
        variable("instance", "Instance", "capwatch_build_info", 'job=~"$job"'),
        variable("supervisor", "Supervisor", "capwatch_bounding_drops_total", SCOPE),
      ],
    },
    panels: layout(rows),
  };
}
