#!/usr/bin/env bash
# The shipped alerts in a real Prometheus. An ordinary user runs thousands of copies
# of a supervisor's program, each its own version: a real failure after it, of
# the same supervisor and of another, still raises the alert, and no counter falls.
# And the README's own command, of a program that no rule names, raises a warning.
# timeout: 900
. "$(dirname "$0")/lib/common.sh"

need prometheus prometheus && need curl curl ||
    { skip alarms "prometheus or curl is not to be had"; finish; }
need cc gcc libc6-dev || { skip alarms "no C compiler is to be had"; finish; }
[ -x "${TESTBED:-}" ] || { skip alarms "TESTBED names no helper"; finish; }
[ "$(id -u)" = 0 ] || { skip alarms "only root can be another user"; finish; }
start_agent >"$WORK/start" 2>&1 || { not_ok "alarms: the agent starts" "$(cat "$WORK/start")"; finish; }

# Of the five thousand the daily form has those that matter: many times a supervisor's
# versions with a label of their own.
[ -n "${CAPWATCH_FULL:-}" ] && COPIES=${COPIES:-5000}
COPIES=${COPIES:-1500}
WORKERS=40

port=$((40000 + RANDOM % 20000))
cat >"$WORK/prometheus.yml" <<YAML
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: ["$ROOT/dashboards/prometheus/capwatch.alerts.yml"]
scrape_configs:
  - job_name: capwatch
    static_configs: [{targets: ["$ADDRESS"]}]
YAML
prometheus --config.file="$WORK/prometheus.yml" --storage.tsdb.path="$WORK/tsdb" \
    --web.listen-address="127.0.0.1:$port" --log.level=warn >"$WORK/prometheus.log" 2>&1 &
started+=($!)
if ! wait_for "http://127.0.0.1:$port/-/ready" >"$WORK/start"; then
    not_ok "alarms: the server starts" "$(tail -n 5 "$WORK/prometheus.log")"
    finish
fi

# fell BEFORE AFTER: counters of two successive scrapes that fell, or are gone.
fell() {
    awk '/^capwatch_[a-z_]*_total[{ ]/ {
        at = match($0, / [^ ]*$/); name = substr($0, 1, at - 1); value = substr($0, at + 1) + 0
        if (FNR == NR) before[name] = value; else after[name] = value
    }
    END { for (name in before) if (!(name in after) || after[name] < before[name])
        print name, before[name], after[name] }' "$1" "$2"
}

watch_counters() {
    local turn=0
    curl -fsS "http://$ADDRESS/metrics" >"$WORK/scrape.0" || return
    while [ ! -e "$WORK/stop" ]; do
        turn=$((turn + 1))
        curl -fsS "http://$ADDRESS/metrics" >"$WORK/scrape.1" || return
        fell "$WORK/scrape.0" "$WORK/scrape.1" >>"$WORK/fell"
        mv "$WORK/scrape.1" "$WORK/scrape.0"
        echo "$turn" >"$WORK/turns"
        sleep 0.3
    done
}

# Small, since the agent hashes so many bytes a second and no more: it lives long
# enough for its version to be known, and a child of it drops.
cat >"$WORK/copy.c" <<'C'
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void) {
    usleep(300000);
    if (fork() == 0) {
        prctl(PR_CAPBSET_DROP, 0, 0, 0, 0);
        _exit(1);
    }
    return wait(0) < 0;
}
C
cc -O1 -o "$WORK/copy" "$WORK/copy.c" || { not_ok "alarms: the program is compiled" ""; finish; }

copies() {
    local worker=$1 number copy="$WORK/copies/$1/openshell-sandbox"
    mkdir -p "$WORK/copies/$worker"
    for number in $(seq "$worker" "$WORKERS" "$COPIES"); do
        rm -f "$copy"
        cp "$WORK/copy" "$copy"
        echo "$number" >>"$copy"
        chroot --userspec=65534:65534 / "$copy" >/dev/null 2>&1
    done
}

chmod 755 "$WORK"
: >"$WORK/fell"
watch_counters &
watcher=$!
workers=()
for worker in $(seq "$WORKERS"); do
    copies "$worker" &
    workers+=($!)
done
wait "${workers[@]}"
sleep 1

# total LABEL…: of the alarm's series with these labels.
total() {
    local labels=("$@") label lines
    lines=$(curl -fsS "http://$ADDRESS/metrics" | grep '^capwatch_bounding_drop_episodes_total{' |
        grep 'role="supervisor"' | grep -E 'verdict="(fatal|degraded)"')
    for label in "${labels[@]}"; do lines=$(grep -F "$label" <<<"$lines"); done
    awk '{sum += $NF} END {print sum + 0}' <<<"$lines"
}

of_copies=$(total 'supervisor="openshell"')
some_lost() { curl -fsS "http://$ADDRESS/metrics" | awk '/^capwatch_events_lost_total\{.*state_ring_full/ {sum += $NF} END {print sum + 0}'; }
check "alarms: each of $COPIES is counted as the supervisor's" test "$((of_copies + $(some_lost)))" -ge "$COPIES"
# On a busy host many are gone before their file could be looked at.
folded=$(($(total 'supervisor="openshell"' 'version="other"') + $(total 'supervisor="openshell"' 'version=""')))
check "alarms: most of them under another label than their own" test "$folded" -gt "$((COPIES / 2))"
check "alarms: none as overflow" test "$(total 'supervisor="overflow"')" = 0

# The real ones.
mkdir -p "$WORK/real"
cp "$TESTBED" "$WORK/real/openshell-sandbox"
cp "$TESTBED" "$WORK/real/crun"
"$WORK/real/openshell-sandbox" do sleep 300 fork lower setpcap clear >/dev/null 2>&1
"$WORK/real/crun" do sleep 300 fork lower setpcap drop chown >/dev/null 2>&1
counted() { [ "$(total 'supervisor="openshell"')" -gt "$of_copies" ] && [ "$(total 'supervisor="crun"')" = 1 ]; }
check "alarms: the real failures after them are in the alarm's series" soon counted
# fires ALERT SUPERVISOR
fires() {
    curl -fsS "http://127.0.0.1:$port/api/v1/alerts" | tr '{' '\n' |
        grep "\"alertname\":\"$1\"" | grep -q "\"supervisor\":\"$2\""
}
check "alarms: the shipped alert fires for the same supervisor" soon fires CapwatchSupervisorDropFailed openshell
check "alarms: the shipped alert fires for another one" soon fires CapwatchSupervisorDropFailed crun

if need perl perl-base && need setpriv util-linux; then
    call=157
    [ "$(uname -m)" = aarch64 ] && call=167
    setpriv --reuid 65534 --clear-groups perl -e "syscall($call, 24, 0)"
    check "alarms: the README's command raises a warning" soon fires CapwatchUnknownSupervisorDropFailed perl
    is_no_alarm() { ! fires CapwatchSupervisorDropFailed perl; }
    check "alarms: and no alarm, since any user can" is_no_alarm
else
    skip "alarms: the README's command" "perl or setpriv is not to be had"
fi

curl -fsS "http://$ADDRESS/metrics" >"$KEEP/metrics.txt"
touch "$WORK/stop"
wait "$watcher"
cat "$WORK/turns" >"$KEEP/turns.txt"
no_fall() { [ ! -s "$WORK/fell" ] || { head -n 5 "$WORK/fell"; return 1; }; }
check "alarms: no counter of $(cat "$WORK/turns") successive scrapes fell" no_fall
finish
