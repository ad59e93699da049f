#!/bin/sh
# An agent with pins is killed amid a storm in which the kernel skips trampolines, so
# that kprobes count: they go on, the next agent goes on with them, another version takes
# over by them, and when it is quiet trampolines count again.
# kernels: 7.x
# full-only
# timeout: 900
. "$CAPWATCH_LIB"
cd /tmp || exit

no_pins
by() { test "$(value capwatch_hook_attached "hook=\"security_capable\",mechanism=\"$1\"")" = 1; }
truth=0
storm() {
    ./pinsup storm --threads 8 --count 60000 &
    storm=$!
    truth=$((truth + 480000))
}

check "the first agent serves" start_pinned
check "trampolines count" wait_for 20 by fexit
storm
check "kprobes count in a storm" wait_for 20 by kprobe
kill_pinned
sleep 1
check "the second agent goes on" start_pinned
check "kprobes count still" by kprobe
wait $storm
check "counts and misses are the truth" wait_for 20 storm_is_exact $truth

testbed object other.o
for object in other.o ''; do
    storm
    sleep 1
    kill_pinned
    check "another version takes over" start_pinned ${object:+--bpf-object $object}
    check "it says so" sh -c "tail -n 20 log | grep -q 'took over'"
    check "by kprobes" by kprobe
    wait $storm
    check "each check counts once" wait_for 20 storm_is_exact $truth
done
echo "note restart_storm: $(storm_refused) counted and $(value capwatch_program_misses_total program=) missed of $truth"

check "trampolines count again when it is quiet" wait_for 240 by fexit
kill_pinned
check "the last agent goes on" start_pinned
check "by trampolines" by fexit
before=$(storm_refused)
./pinsup storm --processes --threads 1 --count 100
more() { test "$(storm_refused)" -ge $((before + 100 - $(value capwatch_program_misses_total program=))); }
check "and they count" wait_for 20 more
kill_pinned
check "unload" capwatch unload --pin $PIN --state /tmp/state
check "nothing is left" test ! -e $PIN
cat log
