#!/bin/sh
# A flood of 100,000 records: each is parsed, or counted as lost; where the kernel
# itself leaves some out, its own count agrees.
# root: full
# kernels: 6.12
# timeout: 900
# full-only
. "$CAPWATCH_LIB"
mkdir -p /tmp/flood && cd /tmp/flood || exit
flood=100000
# Room in the kernel's queue: what finds none takes no number, and leaves no gap.
auditctl -b 65536 >/dev/null
cat >profile <<'PROFILE'
abi <abi/3.0>,
profile cw_flood flags=(attach_disconnected,mediate_deleted,complain) {
  /{usr/,}bin/** rmix,
  /{usr/,}lib/** rm,
}
PROFILE
check "the profile loads" load_profile profile
cat >opens <<'SCRIPT'
i=0
while [ $i -lt $1 ]; do
    : </tmp/flood/file
    i=$((i + 1))
done
SCRIPT
: >file
ip link set lo up
report() { busybox wget -qO report.json http://127.0.0.1:11400/api/v1/report; }
field() { jq -r "$1" report.json; }
kernel_lost() { auditctl -s | sed -n 's/^lost //p'; }

# run_flood N [LIMIT]: opens a file N times under complain mode, each open a
# record, with the kernel's limit of records a second, and waits until nothing more
# comes.
run_flood() {
    report
    before=$(field '.sources[] | select(.name == "netlink") | .records')
    lost_before=$(field '.sources[] | select(.name == "netlink") | .lost')
    kernel_before=$(kernel_lost)
    [ -z "$2" ] || auditctl -r "$2" >/dev/null
    aa-exec -p cw_flood -- busybox sh opens "$1"
    # What was left out last shows by the number of a record that comes after it.
    [ -z "$2" ] || auditctl -r 0 >/dev/null
    aa-exec -p cw_flood -- busybox sh opens 1
    still=0 last=-1
    while [ "$still" -lt 6 ]; do
        sleep 1
        report
        now=$(field '.sources[] | select(.name == "netlink") | .records + .lost')
        if [ "$now" = "$last" ]; then still=$((still + 1)); else still=0 last=$now; fi
    done
    records=$(($(field '.sources[] | select(.name == "netlink") | .records') - before))
    lost=$(($(field '.sources[] | select(.name == "netlink") | .lost') - lost_before))
    kernel=$(($(kernel_lost) - kernel_before))
    malformed=$(field '.audit.malformed')
    echo "flood of $1: $records parsed, $lost lost, $kernel by the kernel's count, $malformed malformed"
}

# agent COMMAND…: with a capwatch that this command starts.
start() {
    "$@" >run.out 2>&1 &
    agent=$!
    check "the agent serves ($*)" wait_for 20 report
}
stop() {
    kill "$agent"
    wait "$agent"
}

# With the kernel's own few places, most find none: its count shows it.
auditctl -b 64 >/dev/null
start capwatch run
run_flood "$flood"
check "each of $flood records is parsed or lost" test $((records + lost)) -ge "$flood"
# Some opens of the shell itself are logged too.
check "and not many more" test $((records + lost)) -le $((flood + 200))
check "none is malformed" test "$malformed" = 0
check "the kernel's own count agrees" test "$lost" = "$kernel"
auditctl -b 65536 >/dev/null
run_flood "$flood"
check "with room: each of $flood records is parsed or lost" test $((records + lost)) -ge "$flood"
check "the kernel's own count agrees" test "$lost" = "$kernel"

# The kernel's rate limit leaves records out: their numbers are missing.
run_flood 20000 500
check "with a rate limit: each of 20000 is parsed or lost" test $((records + lost)) -ge 20000
check "some are lost" test "$kernel" -ge 1000
check "the kernel's own count agrees" test "$lost" = "$kernel"
stop

# A reader that may not ask the kernel counts by the gaps alone.
start capsh --drop=cap_audit_control -- -c 'exec capwatch run'
check "it says that it can't ask" sh -c "jq -r '.sources[].reason' report.json | grep -q CAP_AUDIT_CONTROL"
run_flood 20000 500
check "by gaps alone: each of 20000 is parsed or lost" test $((records + lost)) -ge 20000
check "the kernel's own count agrees with the gaps" test "$lost" = "$kernel"
stop
