#!/bin/sh
# kill -9 of the agent in any state leaves nothing attached, pinned or changed.
# env-matrix: HOOKS=fexit,kprobe,tracepoint
# timeout: 300
# full-only
. "$CAPWATCH_LIB"
cd /tmp || exit

# All that an agent could leave: programs, maps and links of the kernel, pins,
# probes, functions that are traced, settings.
state() {
    testbed loaded
    find /sys/fs/bpf
    cat /sys/kernel/tracing/kprobe_events /sys/kernel/tracing/enabled_functions \
        /sys/kernel/debug/kprobes/list 2>/dev/null
    cat /proc/sys/kernel/bpf_stats_enabled /proc/sys/kernel/perf_event_paranoid
    cat /sys/kernel/security/apparmor/profiles
}
same() { state | cmp -s - before; }

state >before
most=0
for delay in 0 0.1 0.2 0.4 0.8 1.5 3; do
    capwatch --quiet run --hooks="$HOOKS" >/dev/null 2>&1 &
    agent=$!
    testbed do lower setpcap drop chown sleep 60000 &
    workload=$!
    sleep "$delay"
    loaded=$(testbed loaded | grep -c program)
    [ "$loaded" -gt "$most" ] && most=$loaded
    kill -9 $agent
    wait $agent 2>/dev/null
    check "killed after $delay s with $loaded programs" wait_for 10 same
    kill $workload
done
check "it had something to leave" test "$most" -gt "$(grep -c program before)"
