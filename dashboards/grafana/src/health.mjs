import { ALARM, NEED_ONE, SCOPE, WARN, dashboard, grown, grownBy, query, series, stat, state, table } from "./parts.mjs";

export default dashboard(
  "capwatch-health",
  "capwatch: agent health",
  "Does the agent see everything, does it lose anything, and what does it cost?",
  [
    {
      title: "In short",
      height: 5,
      panels: [
        stat("Agents scraped", "Agents that Prometheus reads.", "short", [query(`sum(up{${SCOPE}} and on (job, instance) capwatch_build_info{${SCOPE}}) or vector(0)`, "up", { instant: true })], NEED_ONE),
        stat("Hooks not attached", "Hooks that no mechanism could attach.", "short", [query(`count(max by (job, instance, hook) (capwatch_hook_attached{${SCOPE}}) == 0) or vector(0)`, "down", { instant: true })], WARN),
        stat("Sources not connected", "Audit sources that are down.", "short", [query(`count(capwatch_source_up{${SCOPE}} == 0) or vector(0)`, "down", { instant: true })], WARN),
        stat("Events lost", "Events that were lost in the chosen time. Some reasons cost details only; the runbook says which.", "short", [query(`sum(${grown(`capwatch_events_lost_total{${SCOPE}}`, "$__range")}) or vector(0)`, "lost", { instant: true })], ALARM),
        stat("Series overflow", "Increments that were counted under the overflow label in the chosen time.", "short", [query(`sum(increase(capwatch_series_overflow_total{${SCOPE}}[$__range])) or vector(0)`, "overflow", { instant: true })], WARN),
      ],
    },
    {
      title: "Sight",
      height: 9,
      panels: [
        state("Is every hook attached?", "Whether each hook is attached, by mechanism.", [query(`max by (instance, hook, mechanism) (capwatch_hook_attached{${SCOPE}})`, "{{instance}} {{hook}} ({{mechanism}})")]),
        state("Is every audit source connected?", "Whether each source is connected.", [query(`max by (instance, source) (capwatch_source_up{${SCOPE}})`, "{{instance}} {{source}}")]),
      ],
    },
    {
      title: "Losses",
      height: 8,
      panels: [
        series("Where are events lost, and why?", "Events lost by stage and reason.", "suffix:events", [grownBy("stage, reason", `capwatch_events_lost_total{${SCOPE}}`, "{{stage}}: {{reason}}")]),
        series("Which sources have malformed records?", "Audit records that could not be parsed.", "suffix:records", [grownBy("source", `capwatch_audit_malformed_total{${SCOPE}}`, "{{source}}")]),
      ],
    },
    {
      title: "Cost",
      height: 8,
      panels: [
        series("How much of a core do BPF programs use?", "Share of one core, by program; needs the sysctl kernel.bpf_stats_enabled.", "percentunit", [query(`sum by (program) (rate(capwatch_program_run_seconds_total{${SCOPE}}[$__rate_interval]))`, "{{program}}")]),
        series("How often do BPF programs run?", "How often each program runs.", "suffix:runs/s", [query(`sum by (program) (rate(capwatch_program_runs_total{${SCOPE}}[$__rate_interval]))`, "{{program}}")]),
      ],
    },
    {
      title: "Speed",
      height: 8,
      panels: [
        series("How late is an event?", "Time from the kernel to the ledger: half of the events are faster than the median, 99 in 100 faster than the other line.", "s", [
          query(`histogram_quantile(0.5, sum by (le) (rate(capwatch_event_latency_seconds_bucket{${SCOPE}}[$__rate_interval])))`, "median"),
          query(`histogram_quantile(0.99, sum by (le) (rate(capwatch_event_latency_seconds_bucket{${SCOPE}}[$__rate_interval])))`, "99 %"),
        ]),
        series("How long does a scrape take?", "Time to gather the last scrape.", "s", [query(`max by (instance) (capwatch_scrape_duration_seconds{${SCOPE}})`, "{{instance}}")]),
      ],
    },
    {
      title: "The process",
      height: 8,
      panels: [
        series("How much of a core does the agent use?", "Share of one core that the agent's process uses.", "percentunit", [query(`rate(process_cpu_seconds_total{${SCOPE}}[$__rate_interval]) and on (job, instance) capwatch_build_info{${SCOPE}}`, "{{instance}}")]),
        series("How much memory does the agent use?", "Resident memory of the agent.", "bytes", [query(`process_resident_memory_bytes{${SCOPE}} and on (job, instance) capwatch_build_info{${SCOPE}}`, "{{instance}}")]),
        table("Which version runs where?", "Agents and their versions.", "short", query(`max by (instance, version) (capwatch_build_info{${SCOPE}})`, "", { instant: true, format: "table" }), { instance: "Instance", version: "Version", Value: "Running" }),
      ],
    },
  ],
);
