import { PLAIN, SCOPE, SUPERVISED, WARN, dashboard, gauge, grown, query, series, stat, table } from "./parts.mjs";

const denials = (rest = "") => `capwatch_denials_total{${SUPERVISED}${rest}}`;
const rateBy = (label) => query(`sum by (${label}) (rate(${denials(', expected="false"')}[$__rate_interval]))`, `{{${label}}}`);

export default dashboard(
  "capwatch-denials",
  "capwatch: denials",
  "Refused capability checks: by capability, layer, profile and supervisor, and what the audit log says of them.",
  [
    {
      title: "In short",
      height: 5,
      panels: [
        stat("Denials", "Refused checks in the chosen time that no rule expects.", "short", [query(`sum(${grown(denials(', expected="false"'), "$__range")}) or vector(0)`, "denials", { instant: true })], WARN),
        stat("Expected denials", "Refused checks in the chosen time that a rule expects.", "short", [query(`sum(${grown(denials(', expected="true"'), "$__range")}) or vector(0)`, "expected", { instant: true })], PLAIN),
        stat("Profiles that refuse", "Profiles of LSMs that refused a check in the chosen time.", "short", [query(`count(sum by (layer, profile) (${grown(`capwatch_lsm_denials_total{${SUPERVISED}}`, "$__range")}) > 0) or vector(0)`, "profiles", { instant: true })], PLAIN),
        gauge("Missing in the audit log", "Share of LSM denials that left no audit record: quiet rules, suppressed duplicates, rate limits.", [query(`sum(increase(capwatch_audit_matches_total{${SCOPE}, result="ebpf_only"}[$__range])) / (sum(increase(capwatch_audit_matches_total{${SCOPE}, result=~"matched|ebpf_only"}[$__range])) > 0)`, "share", { instant: true })]),
      ],
    },
    {
      title: "By what",
      height: 9,
      panels: [
        series("By capability", "Unexpected denials by capability.", "ops", [rateBy("capability")]),
        series("By layer", "Unexpected denials by the layer that refused.", "ops", [rateBy("layer")]),
      ],
    },
    {
      title: "By whom",
      height: 9,
      panels: [
        series("By supervisor", "Unexpected denials by supervisor.", "ops", [rateBy("supervisor")]),
        series("By profile", "Denials by an LSM, by its profile; eBPF's count, so quiet rules are in it.", "ops", [query(`sum by (layer, profile) (rate(capwatch_lsm_denials_total{${SUPERVISED}}[$__rate_interval]))`, "{{layer}}: {{profile}}")]),
      ],
    },
    {
      title: "Refused by a rule",
      height: 9,
      panels: [
        series("By rule", "Calls that the kernel refused by a rule, without a capability check: no log has them.", "ops", [query(`sum by (call, rule) (rate(capwatch_rule_refusals_total{${SUPERVISED}}[$__rate_interval]))`, "{{call}}: {{rule}}")]),
        series("Refused by a rule, by supervisor", "The same calls by supervisor.", "ops", [query(`sum by (supervisor) (rate(capwatch_rule_refusals_total{${SUPERVISED}}[$__rate_interval]))`, "{{supervisor}}")]),
      ],
    },
    {
      title: "eBPF against audit",
      height: 9,
      panels: [
        series("Joined with the log", "matched: seen by both. ebpf_only: the log left it out. audit_only: no event was seen for a record.", "ops", [query(`sum by (result) (rate(capwatch_audit_matches_total{${SCOPE}}[$__rate_interval]))`, "{{result}}")], { bars: true }),
        series("As the log tells it", "Denials as the audit log tells them.", "ops", [query(`sum by (lsm, profile) (rate(capwatch_audit_denials_total{${SUPERVISED}}[$__rate_interval]))`, "{{lsm}}: {{profile}}")]),
      ],
    },
    {
      title: "All of them",
      height: 10,
      panels: [
        table(
          "Denials in the chosen time",
          "Refused checks by who asked, what for, and who refused.",
          "short",
          query(`sum by (supervisor, role, capability, layer, audited, expected) (${grown(denials(), "$__range")}) > 0`, "", { instant: true, format: "table" }),
          { supervisor: "Supervisor", role: "Role", capability: "Capability", layer: "Layer", audited: "Audited", expected: "Expected", Value: "Denials" },
        ),
      ],
    },
  ],
);
