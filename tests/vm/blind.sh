#!/bin/sh
# Nobody without privilege hides a supervisor's failed drops: three hundred of them
# beside storms of a user's, by the default mechanism. And a storm of checks is
# counted: to within one in a hundred, and with what was missed to the unit.
# kernels: 6.12 7.x
# timeout: 900
# full-only
. "$CAPWATCH_LIB"
mkdir -p /tmp/blind && cd /tmp/blind || exit
for name in blindsup stormer; do cp "$(command -v testbed)" "$name"; done
cat >rules.toml <<'RULES'
[[supervisor]]
name = "blindsup"
exe = ["blindsup"]
RULES
PATH=$PATH:$PWD
rounds=2
[ -z "${CAPWATCH_FULL:-}" ] || rounds=10

start() {
    capwatch run --config rules.toml --web.listen-address 127.0.0.1:11400 >run.log 2>&1 &
    agent=$!
    wait_for 60 wget -qO /dev/null http://127.0.0.1:11400/-/ready
}
stop() {
    kill "$agent"
    wait "$agent"
}
metrics() { wget -qO- http://127.0.0.1:11400/metrics; }
# sum PATTERN: the sum of all series that match.
sum() { metrics | grep -E "^$1" | awk '{ sum += $NF } END { printf "%.0f\n", sum }'; }
fatal() {
    sum 'capwatch_bounding_drop_episodes_total\{.*supervisor="blindsup".*verdict="fatal"'
}
victims() {
    testbed do drop except:chown exec blindsup do repeat 300 fork drop chown exit 1 end end exit 0
}
# as_nobody STEPS…: a user without privilege.
as_nobody() { testbed do drop except:chown,setuid setuid 65534 exec "$@"; }

# beside NAME COMMAND…: the victims, with this going on.
beside() {
    beside_name=$1
    shift
    start
    before=$(fatal)
    "$@" >/dev/null 2>&1 &
    storm=$!
    sleep 1
    round=0
    while [ $round -lt $rounds ]; do
        victims
        round=$((round + 1))
    done
    kill "$storm" 2>/dev/null
    killall -q stormer
    shown=0
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        shown=$(($(fatal) - before))
        [ "$shown" -lt $((rounds * 300)) ] || break
        sleep 1
    done
    check "beside $beside_name: $((rounds * 300)) fatal drops" test "$shown" = $((rounds * 300))
    metrics | grep -E 'capwatch_program_misses_total.*(drop|security_capable)|capwatch_sight.* 1$' |
        sed "s/^/note: $beside_name: /"
    stop
    tail -n 3 run.log | grep -i 'skip' | sed "s/^/note: $beside_name: /"
}

beside "refused drops" as_nobody stormer storm --threads 8 --count 1000000000 --capability setpcap
beside "refused checks" as_nobody stormer storm --threads 8 --count 1000000000 --capability sys_boot
beside "refused drops on one processor" \
    taskset 1 testbed do drop except:chown,setuid setuid 65534 exec stormer storm --threads 8 \
    --count 1000000000 --capability setpcap
beside "sleepers with a refused drop" as_nobody stormer do repeat 1500 detach drop chown sleep 600000 end end sleep 600000
beside "processes that live shortly" as_nobody stormer do repeat 20000 fork drop chown exit 0 end end

# A storm of refused checks whose number is known.
start
truth=3000000
as_nobody stormer storm --threads 8 --count $((truth / 8)) --capability sys_boot
sleep 1
counted=$(sum 'capwatch_denials_total\{.*capability="sys_boot"')
missed=$(sum 'capwatch_program_misses_total\{program="security_capable_exit')
echo "note: of $truth checks $counted were counted, $missed runs were skipped"
check "a storm of checks is counted to within one in a hundred" test "$counted" -ge $((truth * 99 / 100))
check "no check is counted twice" test "$counted" -le "$truth"
check "what was not counted was reported as missed" test $((counted + missed)) -ge "$truth"
stop
if dmesg | grep -E 'WARNING:|BUG:|Oops' >complaints; then
    not_ok "the kernel complains of nothing" "$(head -n 1 complaints)"
else
    ok "the kernel complains of nothing"
fi
