#!/usr/bin/env bash
# A real Prometheus scrapes a real agent, and every query of every panel,
# variable, annotation and rule is put to it.
. "$(dirname "$0")/lib/common.sh"

need prometheus prometheus && need curl curl && need node nodejs ||
    { skip prometheus "prometheus, curl or node is not to be had"; finish; }
start_agent >"$WORK/start" 2>&1 || { not_ok "prometheus: the agent starts" "$(cat "$WORK/start")"; finish; }

port=$((40000 + RANDOM % 20000))
cat >"$WORK/prometheus.yml" <<EOF
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: ["$ROOT/dashboards/prometheus/*.yml"]
scrape_configs:
  - job_name: capwatch
    static_configs: [{targets: ["$ADDRESS"]}]
EOF
prometheus --config.file="$WORK/prometheus.yml" --storage.tsdb.path="$WORK/tsdb" \
    --web.listen-address="127.0.0.1:$port" --log.level=warn >"$WORK/prometheus.log" 2>&1 &
started+=($!)
if ! wait_for "http://127.0.0.1:$port/-/ready" >"$WORK/start"; then
    not_ok "prometheus: the server starts" "$(tail -n 5 "$WORK/prometheus.log")"
    finish
fi

# Series exist before their failures only when scraped before: so twice, apart.
sleep 3
make_episodes >"$WORK/made" || skip "prometheus: episodes are made" "TESTBED names no helper"
# One that no rule names: a supervisor by what it does.
"${TESTBED:-true}" do lower setpcap try-clear >/dev/null 2>&1
# More rounds make fuller drawings: ROUNDS=15 takes two minutes.
for _ in $(seq "${ROUNDS:-1}"); do
    sleep 4
    make_episodes >/dev/null
    sleep 4
done
sleep 4

scraped() {
    curl -fsS "http://127.0.0.1:$port/api/v1/targets" | grep -q '"health":"up"'
}
check "prometheus: the agent is scraped" scraped

clean() {
    curl -fsS "http://$ADDRESS/metrics" >"$KEEP/metrics.txt" || return 1
    local said
    said=$(promtool check metrics <"$KEEP/metrics.txt" 2>&1) || { echo "$said"; return 1; }
    [ -z "$said" ] || { echo "$said"; return 1; }
}
check "prometheus: promtool check metrics has nothing to say" clean

ADDRESS=$ADDRESS MADE=$(cat "$WORK/made" 2>/dev/null) node "$ROOT/tests/peers/js/queries.mjs" "http://127.0.0.1:$port" "$KEEP" || failures=$((failures + 1))

# Panels drawn from these answers: for docs/images where KEEP names a folder.
if need chromium chromium fonts-dejavu-core && npm_modules playwright-core@1.65.1; then
    export MODULES
    check "prometheus: the overview is drawn" node "$ROOT/tests/peers/js/panels.mjs" "$KEEP" overview
else
    skip "prometheus: the overview is drawn" "chromium or playwright-core is not to be had"
fi
finish
