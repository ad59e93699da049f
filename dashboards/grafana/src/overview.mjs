import { ALARM, PLAIN, SUPERVISED, dashboard, grown, query, series, stat, table, verdictSteps } from "./parts.mjs";

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
        stat("Pending", "Processes that still run after a refused drop, now.", "short", [query(`sum(capwatch_bounding_drops_pending{${SUPERVISED}})`, "pending", { instant: true })], verdictSteps("pending")),
        stat("Live supervisors", "Supervisors that run now.", "short", [query(`sum(capwatch_supervisors{${SUPERVISED}})`, "live", { instant: true })], PLAIN),
        stat("Last refused drop", "Time since a drop was last refused.", "s", [query(`time() - max(capwatch_last_failed_drop_timestamp_seconds{${SUPERVISED}, supervisor!="none"} > 0)`, "ago", { instant: true })], PLAIN),
      ],
    },
    {
      title: "Which supervisor, which version, which layer",
      height: 9,
      panels: [
        table(
          "Episodes by supervisor, version and layer",
          "Episodes in the chosen time, by verdict. If one version shows fatal or degraded and another only ok, that version is the regression.",
          "short",
          query(`sum by (supervisor, role, version, verdict, layer) (${grown(`capwatch_bounding_drop_episodes_total{${SUPERVISED}}`, "$__range")}) > 0`, "", { instant: true, format: "table" }),
          { supervisor: "Supervisor", role: "Role", version: "Version", verdict: "Verdict", layer: "Layer", Value: "Episodes" },
        ),
        table(
          "Residual capabilities now",
          "Live workloads that run with a capability that should be gone from their bounding set.",
          "short",
          query(`sum by (supervisor, capability, instance) (capwatch_residual_capabilities{${SUPERVISED}}) > 0`, "", { instant: true, format: "table" }),
          { supervisor: "Supervisor", capability: "Capability", instance: "Instance", Value: "Workloads" },
        ),
      ],
    },
    {
      title: "Over time",
      height: 9,
      panels: [
        series("Episodes by verdict", "Closed episodes, by verdict.", "short", [query(`sum by (verdict) (${grown(`capwatch_bounding_drop_episodes_total{${SUPERVISED}}`, "$__rate_interval")})`, "{{verdict}}")], { bars: true, verdicts: true }),
        series("Refused drops by supervisor", "Calls that were refused while the capability was in the set.", "ops", [query(`sum by (supervisor) (rate(capwatch_bounding_drops_total{${SUPERVISED}, result="refused_raised"}[$__rate_interval]))`, "{{supervisor}}")]),
      ],
    },
    {
      title: "What changed",
      height: 9,
      panels: [
        series("Live supervisors by version", "Supervisors that run now, by version. Blue marks on the time axis show when a version appeared.", "short", [query(`count by (supervisor, version) (capwatch_supervisor_info{${SUPERVISED}})`, "{{supervisor}} {{version}}")]),
        series("Fatal and degraded by version and layer", "Failed episodes of the supervisor itself.", "short", [query(`sum by (supervisor, version, layer, verdict) (${grown(episodes('role="supervisor", verdict=~"fatal|degraded"'), "$__rate_interval")}) > 0`, "{{supervisor}} {{version}}, {{layer}}: {{verdict}}")], { bars: true }),
      ],
    },
  ],
);
