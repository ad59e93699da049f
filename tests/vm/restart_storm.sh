#!/bin/sh
# An agent with pins is killed amid a storm in which the kernel skips trampolines, so
# that kprobes count: they go on, the next agent goes on with them, another version takes
# over by them, and when it is quiet trampolines count again.
# kernels: 7.x
# full-only
# timeout: 900
. "$CAPWATCH_LIB"
cd /tmp || exit

ip link set lo up
mountpoint -q /sys/fs/bpf 2>/dev/null || mount -t bpf bpf /sys/fs/bpf 2>/dev/null
rm -rf state log
cp "$(command -v captest)" pinsup
printf '[[supervisor]]\nname = "pinsup"\nexe = ["pinsup"]\n' >pins.toml
PIN=/sys/fs/bpf/capwatch
capwatch unload --pin $PIN --state /tmp/state >/dev/null 2>&1

# start [OPTIONS]: another agent, which goes on with what is pinned.
start() {
    capwatch --config pins.toml run --pin $PIN --state /tmp/state --log-format text \
        --ready-without hooks "$@" >/dev/null 2>>log &
    # A check runs in a shell of its own.
    echo $! >agent
    wait_for 60 wget -q -O /dev/null http://127.0.0.1:11400/-/ready
}
kill_it() {
    kill -9 "$(cat agent)"
    wait_for 10 is_gone
}
is_gone() { ! kill -0 "$(cat agent)" || grep -q "^State:.*Z" "/proc/$(cat agent)/status"; }
metrics() { wget -q -O - http://127.0.0.1:11400/metrics; }
value() {
    metrics | awk -v name="$1" -v label="$2" \
        'index($0, name "{") == 1 && index($0, label) { sum += $NF } END { print sum + 0 }'
}
refused() { value capwatch_denials_total 'supervisor="pinsup",role="supervisor",capability="sys_chroot"'; }
by() { test "$(value capwatch_hook_attached "hook=\"security_capable\",mechanism=\"$1\"")" = 1; }
truth=0
storm() {
    ./pinsup storm --threads 8 --count 60000 &
    storm=$!
    truth=$((truth + 480000))
}
exact() {
    counted=$(refused)
    missed=$(value capwatch_program_misses_total program=)
    test "$counted" -le $truth && test $((counted + missed)) -ge $truth
}

check "the first agent serves" start
check "trampolines count" wait_for 20 by fexit
storm
check "kprobes count in a storm" wait_for 20 by kprobe
kill_it
sleep 1
check "the second agent goes on" start
check "kprobes count still" by kprobe
wait $storm
check "counts and misses are the truth" wait_for 20 exact

captest object other.o
for object in other.o ''; do
    storm
    sleep 1
    kill_it
    check "another version takes over" start ${object:+--bpf-object $object}
    check "it says so" sh -c "tail -n 20 log | grep -q 'took over'"
    check "by kprobes" by kprobe
    wait $storm
    check "each check counts once" wait_for 20 exact
done
echo "note restart_storm: $(refused) counted and $(value capwatch_program_misses_total program=) missed of $truth"

check "trampolines count again when it is quiet" wait_for 240 by fexit
kill_it
check "the last agent goes on" start
check "by trampolines" by fexit
before=$(refused)
./pinsup storm --processes --threads 1 --count 100
more() { test "$(refused)" -ge $((before + 100 - $(value capwatch_program_misses_total program=))); }
check "and they count" wait_for 20 more
kill_it
check "unload" capwatch unload --pin $PIN --state /tmp/state
check "nothing is left" test ! -e $PIN
cat log
