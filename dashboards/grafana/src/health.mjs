import { ALARM, NEED_ONE, SCOPE, WARN, dashboard, grown, query, series, stat, state, table } from "./parts.mjs";

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
        stat("Events lost", "Events that were dropped in the chosen time; counts hold.", "short", [query(`sum(${grown(`capwatch_events_lost_total{${SCOPE}}`, "$__range")}) or vector(0)`, "lost", { instant: true })], ALARM),
        stat("Series overflow", "Increments that were counted under the overflow label in the chosen time.", "short", [query(`sum(increase(capwatch_series_overflow_total{${SCOPE}}[$__range])) or vector(0)`, "overflow", { instant: true })], WARN),
      ],
    },
    {
      title: "What is seen",
      height: 9,
      panels: [
        state("Hooks", "Whether each hook is attached, by mechanism.", [query(`max by (instance, hook, mechanism) (capwatch_hook_attached{${SCOPE}})`, "{{instance}} {{hook}} ({{mechanism}})")]),
        state("Audit sources", "Whether each source is connected.", [query(`max by (instance, source) (capwatch_source_up{${SCOPE}})`, "{{instance}} {{source}}")]),
      ],
    },
    {
      title: "What is lost",
      height: 8,
      panels: [
        series("Losses", "Events lost by stage and reason.", "ops", [query(`sum by (stage, reason) (rate(capwatch_events_lost_total{${SCOPE}}[$__rate_interval]))`, "{{stage}}: {{reason}}")]),
        series("Malformed records", "Audit records that could not be made sense of.", "ops", [query(`sum by (source) (rate(capwatch_audit_malformed_total{${SCOPE}}[$__rate_interval]))`, "{{source}}")]),
      ],
    },
    {
      title: "What it costs",
      height: 8,
      panels: [
        series("Run time of BPF programs", "Share of one core, by program; needs the sysctl kernel.bpf_stats_enabled.", "percentunit", [query(`sum by (program) (rate(capwatch_program_run_seconds_total{${SCOPE}}[$__rate_interval]))`, "{{program}}")]),
        series("Runs of BPF programs", "How often each program runs.", "ops", [query(`sum by (program) (rate(capwatch_program_runs_total{${SCOPE}}[$__rate_interval]))`, "{{program}}")]),
      ],
    },
    {
      title: "How fast",
      height: 8,
      panels: [
        series("From the kernel to the ledger", "How long an event takes, half of them and all but one in a hundred.", "s", [
          query(`histogram_quantile(0.5, sum by (le) (rate(capwatch_event_latency_seconds_bucket{${SCOPE}}[$__rate_interval])))`, "median"),
          query(`histogram_quantile(0.99, sum by (le) (rate(capwatch_event_latency_seconds_bucket{${SCOPE}}[$__rate_interval])))`, "99 %"),
        ]),
        series("Scrape", "How long gathering the last scrape took.", "s", [query(`max by (instance) (capwatch_scrape_duration_seconds{${SCOPE}})`, "{{instance}}")]),
      ],
    },
    {
      title: "The process",
      height: 8,
      panels: [
        series("Processor", "Share of one core that the agent uses.", "percentunit", [query(`rate(process_cpu_seconds_total{${SCOPE}}[$__rate_interval]) and on (job, instance) capwatch_build_info{${SCOPE}}`, "{{instance}}")]),
        series("Memory", "Resident memory of the agent.", "bytes", [query(`process_resident_memory_bytes{${SCOPE}} and on (job, instance) capwatch_build_info{${SCOPE}}`, "{{instance}}")]),
        table("Versions", "Agents and their versions.", "short", query(`max by (instance, version) (capwatch_build_info{${SCOPE}})`, "", { instant: true, format: "table" }), { instance: "Instance", version: "Version", Value: "Running" }),
      ],
    },
  ],
);
