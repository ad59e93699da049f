#!/usr/bin/env bash
# What one user without privilege makes of names, cgroups, episodes and degraded
# workloads: the agent stays small, gives memory back, answers all the while, and ends
# when it gets the signal.
# timeout: 900
. "$(dirname "$0")/lib/common.sh"

need curl curl || { skip memory "curl is not to be had"; finish; }
[ -x "${TESTBED:-}" ] || { skip memory "TESTBED names no helper"; finish; }
start_agent >"$WORK/start" 2>&1 || { not_ok "memory: the agent starts" "$(cat "$WORK/start")"; finish; }
[ -n "${AGENT_PID:-}" ] || { skip memory "the agent was not started here, its memory can't be read"; finish; }

names=3000 episodes=5000 degraded=500 cgroups=100
[ -n "${CAPWATCH_FULL:-}" ] && names=17000 episodes=100000 degraded=10000 cgroups=1000
hierarchy=/sys/fs/cgroup
[ -d "$hierarchy/unified" ] && hierarchy=$hierarchy/unified

resident() { sed -n 's/^VmRSS:\s*\([0-9]*\) kB/\1/p' "/proc/$AGENT_PID/status"; }
# watch_it: the most that it takes, and the longest that a scrape does, until `ended`.
watch_it() {
    local most=0 now slowest=0
    while [ ! -e "$WORK/ended" ]; do
        now=$(resident)
        [ "${now:-0}" -gt "$most" ] && most=$now
        now=$(curl -s -o "$WORK/metrics" -w '%{time_total} %{http_code}' "http://$ADDRESS/metrics")
        [ "${now#* }" = 200 ] || echo "$now" >>"$WORK/unanswered"
        slowest=$(printf '%s\n%s\n' "$slowest" "${now% *}" | sort -g | tail -n 1)
        sleep 0.2
    done
    echo "$most $slowest" >"$WORK/watched"
}
nobody() { "$TESTBED" do drop except:chown,setuid setuid 65534 "$@" >/dev/null 2>&1; }
in_cgroups() {
    local number
    for number in $(seq "$cgroups"); do
        mkdir -p "$hierarchy/capwatch-memory/$number"
        (echo 0 >"$hierarchy/capwatch-memory/$number/cgroup.procs" && nobody setuid 0)
    done
}

before=$(resident)
watch_it &
watcher=$!
nobody repeat "$names" rename setuid 0 end exit 0
nobody repeat "$episodes" fork drop chown end end exit 0
in_cgroups
nobody repeat "$degraded" detach drop chown execute sleep 30 done end end exit 0
sleep 5
touch "$WORK/ended"
wait "$watcher"
read -r most slowest <"$WORK/watched"
echo "note memory: $((before / 1024)) MiB at first, at most $((most / 1024)) MiB; the slowest scrape took $slowest s"
check "memory: 48 MiB at most" test "$most" -le $((48 * 1024))
check "memory: each scrape is answered" test ! -e "$WORK/unanswered"
if [ -n "${CAPWATCH_FULL:-}" ]; then
    folded() { curl -s "http://$ADDRESS/metrics" | grep -q '^capwatch_events_lost_total{.*_share".*} [1-9]'; }
    check "memory: what was folded is counted" folded
fi
pkill -u 65534 -x sleep
find "$hierarchy/capwatch-memory" -depth -type d -exec rmdir {} + 2>/dev/null

# Two minutes later.
for _ in $(seq 120); do
    [ "$(resident)" -le $((24 * 1024)) ] && break
    sleep 1
done
echo "note memory: $(($(resident) / 1024)) MiB later"
check "memory: 24 MiB at most, later" test "$(resident)" -le $((24 * 1024))
kill "$AGENT_PID"
gone() { for _ in $(seq 50); do kill -0 "$AGENT_PID" 2>/dev/null || return 0; sleep 0.1; done; return 1; }
check "memory: it ends" gone
finish
