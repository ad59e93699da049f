import { ALARM, PLAIN, SUPERVISED, dashboard, grown, grownBy, query, series, stat, table, verdictSteps } from "./parts.mjs";

const episodes = (matchers) => `capwatch_bounding_drop_episodes_total{${SUPERVISED}, ${matchers}}`;

const own = (verdict) =>
  `sum(${grown(episodes(`role="supervisor", verdict="${verdict}"`), "$__range")}) or vector(0)`;

const failedRecently = `sum(max by (job, instance, supervisor) (capwatch_last_failed_drop_timestamp_seconds{${SUPERVISED}, supervisor!="none"}) > bool (time() - $__range_s)) or vector(0)`;

export default dashboard(
  "capwatch-overview",
  "capwatch: overview",
  "Is anything fatal or degraded, with which supervisor and version, and which layer refuses?",
  [
    {
      title: "Now",
      height: 5,
      panels: [
        stat("Supervisors refused", "Supervisors that were refused a drop in the chosen time. Includes first failures, which a counter's increase cannot show.", "short", [query(failedRecently, "supervisors", { instant: true })], ALARM),
        stat("Fatal episodes", "Supervisors that exited after a refused drop, in the chosen time.", "short", [query(own("fatal"), "fatal", { instant: true })], verdictSteps("fatal")),
        stat("Degraded episodes", "Supervisors that started their workload after a refused drop, in the chosen time.", "short", [query(own("degraded"), "degraded", { instant: true })], verdictSteps("degraded")),
        stat("Pending processes", "Processes that still run after a refused drop, now.", "short", [query(`sum(capwatch_bounding_drops_pending{${SUPERVISED}})`, "pending", { instant: true })], verdictSteps("pending")),
        stat("Live supervisors", "Supervisors that run now.", "short", [query(`sum(capwatch_supervisors{${SUPERVISED}})`, "live", { instant: true })], PLAIN),
        stat("Since the last refusal", "Time since a drop was last refused.", "s", [query(`time() - max(capwatch_last_failed_drop_timestamp_seconds{${SUPERVISED}, supervisor!="none"} > 0)`, "ago", { instant: true })], PLAIN),
      ],
    },
    {
      title: "What fails",
      height: 9,
      panels: [
        table(
          "Which version fails, and which layer refuses?",
          "Episodes in the chosen time, by verdict. If one version shows fatal or degraded and another only ok, that version is the regression.",
          "short",
          query(`sum by (supervisor, role, version, verdict, layer) (${grown(`capwatch_bounding_drop_episodes_total{${SUPERVISED}}`, "$__range")}) > 0`, "", { instant: true, format: "table" }),
          { verdict: "Verdict", supervisor: "Supervisor", version: "Version", layer: "Layer", role: "Role", Value: "Episodes" },
        ),
        table(
          "Which capabilities are left over?",
          "Live workloads that run with a capability that should be gone from their bounding set.",
          "short",
          query(`sum by (supervisor, capability, instance) (capwatch_residual_capabilities{${SUPERVISED}}) > 0`, "", { instant: true, format: "table" }),
          { capability: "Capability", supervisor: "Supervisor", Value: "Workloads", instance: "Instance" },
        ),
      ],
    },
    {
      title: "Over time",
      height: 9,
      panels: [
        series("When did episodes fail?", "Closed episodes, by verdict.", "suffix:episodes", [grownBy("verdict", `capwatch_bounding_drop_episodes_total{${SUPERVISED}}`, "{{verdict}}")], { bars: true, verdicts: "fixed" }),
        series("Which supervisors are refused drops?", "Calls that were refused while the capability was in the set.", "suffix:drops", [grownBy("supervisor", `capwatch_bounding_drops_total{${SUPERVISED}, result="refused_raised"}`, "{{supervisor}}")]),
      ],
    },
    {
      title: "Since when",
      height: 9,
      panels: [
        series("Which versions run?", "Supervisors that run now, by version. Blue marks on the time axis show when a version appeared.", "suffix:running", [query(`count by (supervisor, version) (capwatch_supervisor_info{${SUPERVISED}})`, "{{supervisor}} {{version}}")]),
        series("Since which version does it fail?", "Failed episodes of the supervisor itself, by version and layer.", "suffix:episodes", [query(`sum by (supervisor, version, layer, verdict) (${grown(episodes('role="supervisor", verdict=~"fatal|degraded"'), "$__rate_interval")}) > 0`, "{{verdict}}: {{supervisor}} {{version}} ({{layer}})")], { bars: true, verdicts: "shades" }),
      ],
    },
  ],
);
