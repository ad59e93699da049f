// Types the dashboards against @grafana/schema: writes one TypeScript file that
// holds them as literals, and lets the compiler judge.  schema.mjs FOLDER
import { readFileSync, writeFileSync } from "node:fs";

const [folder] = process.argv.slice(2);
const dashboards = new URL("../../../dashboards/grafana/dashboards/", import.meta.url);
const cfg = (panel, name) => `@grafana/schema/dist/esm/raw/composable/${panel}/panelcfg/x/${name}PanelCfg_types.gen`;

const lines = [
  'import type { AnnotationQuery, Dashboard, GraphFieldConfig, TableFieldOptions } from "@grafana/schema";',
  `import type { Options as stat } from "${cfg("stat", "Stat")}";`,
  `import type { Options as gauge } from "${cfg("gauge", "Gauge")}";`,
  `import type { Options as table } from "${cfg("table", "Table")}";`,
  `import type { Options as timeseries } from "${cfg("timeseries", "TimeSeries")}";`,
  `import type { Options as state_timeline, FieldConfig as state_field } from "${cfg("statetimeline", "StateTimeline")}";`,
  "// JSON has an enum's value where TypeScript wants its name.",
  "type Plain<T> = T extends string ? `${T}` : T extends number | boolean | null | undefined ? T",
  "  : T extends (infer U)[] ? Plain<U>[] : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;",
  "type Rows = Plain<NonNullable<Dashboard['panels']>>;",
  "// Prometheus's own fields of an annotation, and its query.",
  "type Prometheus = { titleFormat?: string; tagKeys?: string; textFormat?: string; useValueForTime?: boolean; target?: { expr: string; interval: string; refId: string } };",
  "type Annotation = Omit<Plain<AnnotationQuery>, 'target'> & Prometheus;",
];
const custom = { timeseries: "GraphFieldConfig", table: "Partial<TableFieldOptions>", "state-timeline": "state_field" };

for (const name of ["overview", "denials", "health"]) {
  const { panels, annotations, ...frame } = JSON.parse(readFileSync(new URL(`${name}.json`, dashboards)));
  lines.push(`export const ${name}: Plain<Omit<Dashboard, 'panels' | 'annotations'>> = ${JSON.stringify(frame)};`);
  lines.push(`export const ${name}_annotations: Annotation[] = ${JSON.stringify(annotations.list)};`);
  for (const panel of panels) {
    const id = `${name}_${panel.id}`;
    lines.push(`export const ${id}: Rows = [${JSON.stringify(panel)}];`);
    if (panel.type === "row") continue;
    const type = panel.type.replace("-", "_");
    lines.push(`export const ${id}_options: Partial<Plain<${type}>> = ${JSON.stringify(panel.options)};`);
    const field = panel.fieldConfig.defaults.custom;
    if (field) lines.push(`export const ${id}_custom: Plain<${custom[panel.type]}> = ${JSON.stringify(field)};`);
  }
}
writeFileSync(`${folder}/dashboards.ts`, `${lines.join("\n")}\n`);
writeFileSync(
  `${folder}/tsconfig.json`,
  JSON.stringify({ compilerOptions: { strict: true, noEmit: true, module: "esnext", moduleResolution: "bundler", target: "es2022", skipLibCheck: true, types: [] }, files: ["dashboards.ts"] }),
);
