#!/usr/bin/env bash
# What panels and alerts show of AppArmor: the metrics of a real agent in a virtual
# machine with AppArmor, imported into a real Prometheus, every query put to it.
# timeout: 600
. "$(dirname "$0")/lib/common.sh"

need prometheus prometheus && need curl curl && need node nodejs ||
    { skip profiles "prometheus, curl or node is not to be had"; finish; }

# SAMPLES names those of an earlier run, which leaves them in KEEP.
vm() {
    if [ -n "${SAMPLES:-}" ]; then cp "$SAMPLES" "$WORK/samples"; return; fi
    (cd "$ROOT" && cargo xtask vm --kernel "${KERNEL:-6.12}" --script tests/peers/vm/metrics.sh) >"$WORK/vm" 2>&1 || return 1
    tr -d '\r' <"$WORK/vm" | sed -n '/^-----BEGIN SAMPLES-----$/,/^-----END SAMPLES-----$/p' | sed '1d;$d' |
        base64 -d 2>/dev/null | gunzip >"$WORK/samples" 2>/dev/null
    cp "$WORK/samples" "$KEEP/samples"
}
if ! vm || [ ! -s "$WORK/samples" ]; then
    not_ok "profiles: the virtual machine's agent was scraped" "$(tail -n 8 "$WORK/vm")"
    finish
fi
ok "profiles: the virtual machine's agent was scraped ($(grep -c '^at ' "$WORK/samples") times)"

import() {
    node "$ROOT/tests/peers/js/openmetrics.mjs" "$WORK/samples" >"$WORK/openmetrics" &&
        promtool tsdb create-blocks-from openmetrics "$WORK/openmetrics" "$WORK/tsdb"
}
check "profiles: promtool imports the samples" import
[ "$failures" = 0 ] || finish

port=$((40000 + RANDOM % 20000))
cat >"$WORK/prometheus.yml" <<YAML
global: {evaluation_interval: 1s}
rule_files: ["$ROOT/dashboards/prometheus/*.yml"]
YAML
prometheus --config.file="$WORK/prometheus.yml" --storage.tsdb.path="$WORK/tsdb" \
    --web.listen-address="127.0.0.1:$port" --log.level=warn >"$WORK/prometheus.log" 2>&1 &
started+=($!)
if ! wait_for "http://127.0.0.1:$port/-/ready" >"$WORK/start"; then
    not_ok "profiles: the server starts" "$(tail -n 5 "$WORK/prometheus.log")"
    finish
fi
sleep 3

LSM=apparmor MADE=$'ok\nharmless\nfatal\ndegraded\npending' \
    node "$ROOT/tests/peers/js/queries.mjs" "http://127.0.0.1:$port" "$KEEP" || failures=$((failures + 1))
if need chromium chromium fonts-dejavu-core && npm_modules playwright-core@1.65.1; then
    export MODULES
    for dashboard in overview denials health; do
        check "profiles: $dashboard is drawn" node "$ROOT/tests/peers/js/panels.mjs" "$KEEP" "$dashboard"
    done
else
    skip "profiles: the dashboards are drawn" "chromium or playwright-core is not to be had"
fi
finish
