#!/usr/bin/env bash
# A newcomer's first day, from a clean clone, by the commands of the documents as they
# stand there: the workflows of docs/ci.md with a gate that passes and one that fails, the
# README's two lines, the alarm in a Prometheus that had rules and jobs before, a rule from
# `config suggest`.
# timeout: 1200
. "$(dirname "$0")/lib/common.sh"

need git git && need curl curl && need sudo sudo && need prometheus prometheus && need perl perl-base &&
    need setpriv util-linux && need python3 python3 ||
    { skip newcomer "git, curl, sudo, prometheus, perl, setpriv or python3 is not to be had"; finish; }
python3 -c 'import yaml' 2>/dev/null || apt-get install -y --no-install-recommends python3-yaml >"$WORK/apt.log" 2>&1
PYTHON=python3
"$PYTHON" -c 'import yaml' 2>/dev/null || PYTHON=/usr/bin/python3
"$PYTHON" -c 'import yaml' 2>/dev/null || { skip newcomer "PyYAML is not to be had"; finish; }
[ "$(id -u)" = 0 ] || { skip newcomer "only root can attach"; finish; }

# A home of the newcomer's, with the tools of this one. All is compiled again, without
# optimization, which would take longer than the rest.
target=${CARGO_TARGET_DIR:-$ROOT/target}
export CARGO_HOME=${CARGO_HOME:-$HOME/.cargo} RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup}
export HOME=$WORK/home RUNNER_TEMP=$WORK/temp GITHUB_STEP_SUMMARY=$WORK/summary.md
export CARGO_TARGET_DIR=$target/newcomer CAPWATCH_SOURCE=file://$ROOT
export CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=256
mkdir -p "$HOME" "$RUNNER_TEMP" "$CARGO_TARGET_DIR" "$WORK/project"

# The README's line that provokes; its comment has the number for arm64.
provoke=$(sed -n 's/^    \(setpriv .*perl.*\)$/\1/p' "$ROOT/README.md")
[ "$(uname -m)" = aarch64 ] && provoke=${provoke/157/167}
check "newcomer: the README has a line that provokes" test -n "$provoke"

# job RUNNER COMMAND: the exit code of its workflow for a project whose tests are COMMAND.
job() {
    rm -f "$GITHUB_STEP_SUMMARY" "$RUNNER_TEMP"/* "$WORK/project"/*
    printf '#!/bin/sh\n%s\n' "$2" >"$WORK/project/integration-tests.sh"
    chmod +x "$WORK/project/integration-tests.sh"
    (cd "$WORK/project" && "$PYTHON" "$ROOT/tests/peers/lib/workflow.py" "$ROOT/docs/ci.md" "$1") >"$WORK/job.log" 2>&1
}
# ends RUNNER CODE COMMAND
ends() {
    local code=0
    job "$1" "$3" || code=$?
    [ "$code" = "$2" ] || { echo "exit code $code"; tail -n 15 "$WORK/job.log"; return 1; }
    # The recording and the test report are uploaded either way.
    grep -q '^uploaded capwatch.jsonl$' "$WORK/job.log" && grep -q '^uploaded capwatch.xml$' "$WORK/job.log" ||
        { tail -n 15 "$WORK/job.log"; return 1; }
}
summary() { grep -q "$1" "$GITHUB_STEP_SUMMARY" || { cat "$GITHUB_STEP_SUMMARY"; return 1; }; }

check "newcomer: GitHub's workflow builds capwatch from a clean clone and passes" ends github 0 true
check "newcomer: its summary says that nothing was found" summary '^## capwatch: no bounding-set drops'
check "newcomer: GitHub's gate fails" ends github 3 "$provoke; true"
check "newcomer: the summary of a gate that failed is written" summary fatal
for runner in gitlab jenkins; do
    check "newcomer: the gate passes, $runner" ends "$runner" 0 true
    check "newcomer: the gate fails, $runner" ends "$runner" 3 "$provoke; true"
    named() { grep -q perl "$WORK/project/capwatch.xml" && grep -q fatal "$WORK/job.log"; }
    check "newcomer: its log and test report name the process, $runner" named
done

# Man pages and completions, by the lines of docs/install.md into a folder of the test's.
pages() {
    PATH=$HOME/.local/bin:$PATH bash -ec "$(sed -n '/^    capwatch man |/,/capwatch\.fish$/s/^    //p' "$ROOT/docs/install.md" |
        sed "s|/usr/share|$WORK/share|g")" || return 1
    find "$WORK/share" -type f -size +0
    [ "$(find "$WORK/share" -type f -size +0 | wc -l)" = 14 ]
}
check "newcomer: man pages and completions are written" pages

# The README's first command, in the clone.
cd "$HOME/capwatch" || { not_ok "newcomer: the clone is there" ""; finish; }
check "newcomer: the README has the command that starts" grep -qx '    cargo run --release --bin capwatch -- run' README.md
ADDRESS=127.0.0.1:11400
# start ARGUMENT…: the agent by the README's command, with arguments before \`run\`.
start() {
    cargo run --quiet --release --bin capwatch -- "$@" run >"$WORK/agent.log" 2>&1 &
    AGENT_PID=$!
    started+=("$AGENT_PID")
    wait_for "http://$ADDRESS/-/ready"
}
check_start() { start "$@" >"$WORK/start" || { cat "$WORK/agent.log" "$WORK/start"; return 1; }; }
if ! check_start >"$WORK/said"; then
    not_ok "newcomer: the agent starts" "$(tail -n 5 "$WORK/said")"
    finish
fi
ok "newcomer: the agent starts"

# A Prometheus that had its own rule and job, and the steps of dashboards/README.md.
port=$((40000 + RANDOM % 20000))
cat >"$WORK/own.yml" <<'YAML'
groups: [{name: own, rules: [{alert: OwnAlert, expr: vector(1)}]}]
YAML
here() { sed "s|/etc/prometheus/capwatch|$WORK/rules|g; s|NODE:11400|$ADDRESS|"; }
step() { sed -n "s/^    \\($1 .*\\)\$/\\1/p" dashboards/README.md | head -n 1 | here; }
check "newcomer: the rules are copied" bash -ec "$(step install)"
cat >"$WORK/prometheus.yml" <<YAML
global: {scrape_interval: 1s, evaluation_interval: 1s}
$(sed -n '/^    rule_files:$/,/^$/s/^    //p' dashboards/README.md | here |
    sed "s|^rule_files:|&\n  - $WORK/own.yml|; s|^scrape_configs:|&\n  - {job_name: own, static_configs: [{targets: ['127.0.0.1:$port']}]}|")
YAML
check "newcomer: promtool accepts what was added" promtool check config "$WORK/prometheus.yml"
prometheus --config.file="$WORK/prometheus.yml" --storage.tsdb.path="$WORK/tsdb" \
    --web.listen-address="127.0.0.1:$port" --log.level=warn >"$WORK/prometheus.log" 2>&1 &
started+=($!)
check "newcomer: Prometheus starts" wait_for "http://127.0.0.1:$port/-/ready"

# Read whole before it is searched: `grep -q` would leave amid it, an error under pipefail.
alerts() { curl -fsS "http://127.0.0.1:$port/api/v1/alerts" | tr '{' '\n'; }
fires() { grep "\"alertname\":\"$1\"" <<<"$(alerts)" | grep "$2" >/dev/null; }
sleep 3
bash -c "$provoke"
said() { grep -q 'perl.*fatal' "$WORK/agent.log"; }
check "newcomer: the agent prints the failure" soon said
check "newcomer: the alarm fires" soon fires CapwatchUnknownSupervisorDropFailed '"supervisor":"perl"'
check "newcomer: the alert that was there before still fires" fires OwnAlert ''
link=$(alerts | grep -o '"runbook_url":"[^"]*unknownsupervisor[^"]*"' | head -n 1 | cut -d '"' -f 4)
runbook() { curl -fsS -o "$WORK/runbook.html" "${link%#*}" && grep -q "id=\"${link#*#}\"" "$WORK/runbook.html"; }
check "newcomer: its link leads to the runbook on the agent: $link" runbook

# Elsewhere, by the README's line.
elsewhere() {
    bash -ec "$(step sed)" && promtool check rules "$WORK/rules/capwatch.alerts.yml" >/dev/null &&
        ! grep -q 'runbook_url.*instance' "$WORK/rules/capwatch.alerts.yml" &&
        [ "$(grep -c 'https://wiki.example.org/capwatch/runbook#' "$WORK/rules/capwatch.alerts.yml")" = \
            "$(grep -c -- '- alert:' "$WORK/rules/capwatch.alerts.yml")" ]
}
check "newcomer: the runbook's address can be another" elsewhere

# A rule for what was seen: its failures are an alarm from then on.
capwatch() { "$HOME/.local/bin/capwatch" "$@"; }
suggest() {
    curl -fsS "http://$ADDRESS/api/v1/report" | capwatch config suggest - >"$WORK/rules.toml" &&
        grep -q 'name = "perl"' "$WORK/rules.toml" && capwatch config check "$WORK/rules.toml"
}
check "newcomer: a rule from config suggest is valid" suggest
kill "$AGENT_PID" 2>/dev/null
wait "$AGENT_PID" 2>/dev/null
if check_start --config "$WORK/rules.toml" >"$WORK/said"; then
    sleep 3
    bash -c "$provoke"
    check "newcomer: with the rule it is an alarm" soon fires CapwatchSupervisorDropFailed '"supervisor":"perl"'
else
    not_ok "newcomer: the agent starts with the rule" "$(tail -n 5 "$WORK/said")"
fi
finish
