import { PLAIN, SCOPE, SUPERVISED, WARN, dashboard, gauge, grown, grownBy, query, series, stat, table } from "./parts.mjs";

const denials = (rest = "") => `capwatch_denials_total{${SUPERVISED}${rest}}`;
const unexpected = (label) => grownBy(label, denials(', expected="false"'), `{{${label}}}`);

export default dashboard(
  "capwatch-denials",
  "capwatch: denials",
  "Which capabilities are denied to whom, which layer and profile deny them, and does the audit log have them?",
  [
    {
      title: "In short",
      height: 5,
      panels: [
        stat("Denials", "Refused checks in the chosen time that no rule expects.", "short", [query(`sum(${grown(denials(', expected="false"'), "$__range")}) or vector(0)`, "denials", { instant: true })], WARN),
        stat("Expected denials", "Refused checks in the chosen time that a rule expects.", "short", [query(`sum(${grown(denials(', expected="true"'), "$__range")}) or vector(0)`, "expected", { instant: true })], PLAIN),
        stat("Profiles that deny", "Profiles of LSMs that refused a check in the chosen time.", "short", [query(`count(sum by (layer, profile) (${grown(`capwatch_lsm_denials_total{${SUPERVISED}}`, "$__range")}) > 0) or vector(0)`, "profiles", { instant: true })], PLAIN),
        gauge("Missing in the audit log", "Share of LSM denials that left no audit record: quiet rules, suppressed duplicates, rate limits.", [query(`sum(increase(capwatch_audit_matches_total{${SCOPE}, result="ebpf_only"}[$__range])) / (sum(increase(capwatch_audit_matches_total{${SCOPE}, result=~"matched|ebpf_only"}[$__range])) > 0)`, "share", { instant: true })]),
      ],
    },
    {
      title: "What",
      height: 9,
      panels: [
        series("Which capabilities are denied?", "Unexpected denials by capability.", "suffix:denials", [unexpected("capability")]),
        series("Which layer denies?", "Unexpected denials by the layer that refused.", "suffix:denials", [unexpected("layer")]),
      ],
    },
    {
      title: "Who",
      height: 9,
      panels: [
        series("Which supervisors are denied?", "Unexpected denials by supervisor.", "suffix:denials", [unexpected("supervisor")]),
        series("Which profiles deny?", "Denials by an LSM, by profile. eBPF counts them, so it includes quiet rules.", "suffix:denials", [grownBy("layer, profile", `capwatch_lsm_denials_total{${SUPERVISED}}`, "{{layer}}: {{profile}}")]),
      ],
    },
    {
      title: "Refused by a rule of the kernel",
      height: 9,
      panels: [
        series("Which rules refuse?", "Calls that the kernel refused by a rule, without a capability check: no log has them.", "suffix:calls", [grownBy("call, rule", `capwatch_rule_refusals_total{${SUPERVISED}}`, "{{call}}: {{rule}}")]),
        series("Which supervisors do rules refuse?", "The same calls by supervisor.", "suffix:calls", [grownBy("supervisor", `capwatch_rule_refusals_total{${SUPERVISED}}`, "{{supervisor}}")]),
      ],
    },
    {
      title: "The audit log",
      height: 9,
      panels: [
        series("Does the log have them?", "matched: eBPF and the log have it. ebpf_only: the log left it out. audit_only: eBPF has no event for a record.", "suffix:denials", [grownBy("result", `capwatch_audit_matches_total{${SCOPE}}`, "{{result}}")], { bars: true }),
        series("Which profiles does the log name?", "Denials in the audit log, by profile.", "suffix:denials", [grownBy("lsm, profile", `capwatch_audit_denials_total{${SUPERVISED}}`, "{{lsm}}: {{profile}}")]),
      ],
    },
    {
      title: "All",
      height: 10,
      panels: [
        table(
          "Who was denied what?",
          "Refused checks in the chosen time: the process's supervisor, the capability, and the layer that refused.",
          "short",
          query(`sum by (supervisor, role, capability, layer, audited, expected) (${grown(denials(), "$__range")}) > 0`, "", { instant: true, format: "table" }),
          { supervisor: "Supervisor", capability: "Capability", layer: "Layer", Value: "Denials", role: "Role", audited: "Audited", expected: "Expected" },
        ),
      ],
    },
  ],
);
