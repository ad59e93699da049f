#!/bin/sh
# Beside auditd: nothing is stolen from it, nothing counts twice; without it, the
# kernel's log serves. The golden auditd_real_6.12.in was taken from the lines that
# this prints.
# root: full
# kernels: 6.12
# timeout: 300
. "$CAPWATCH_LIB"
mkdir -p /tmp/auditd && cd /tmp/auditd || exit
cat >profiles <<'PROFILE'
abi <abi/3.0>,
profile cw_one flags=(attach_disconnected,mediate_deleted) {
  audit deny capability setpcap,
  file rwlkmix /{,**},
}
profile cw_two flags=(attach_disconnected,mediate_deleted) {
  audit deny capability setpcap,
  file rwlkmix /{,**},
}
PROFILE
check "the profiles load" load_profile profiles
ip link set lo up
log=/var/log/audit/audit.log
mkdir -p "${log%/*}"
sed -i 's/^log_format.*/log_format = ENRICHED/; s/^flush.*/flush = SYNC/' /etc/audit/auditd.conf
auditd
check "auditd runs" wait_for 10 sh -c 'auditctl -s | grep -q "^pid [1-9]"'
pid=$(auditctl -s | sed -n 's/^pid //p')

capwatch run --events events.jsonl --audit-source netlink --audit-source kmsg \
    --audit-source "log:$log" >run.out 2>&1 &
agent=$!
report() { curl_report >report.json 2>/dev/null; }
curl_report() { busybox wget -qO- http://127.0.0.1:11400/api/v1/report; }
check "the agent serves" wait_for 20 report

# provoke N: as many denials that the kernel logs each, since the profiles alternate.
provoke() {
    provoked=0
    while [ "$provoked" -lt "$1" ]; do
        aa-exec -p cw_one -- taskset 1 testbed do drop chown
        aa-exec -p cw_two -- taskset 1 testbed do drop chown
        provoked=$((provoked + 2))
    done
}
lines() { grep -c 'profile="cw_.*capname="setpcap"' "$log"; }
holds() { report && testbed check report.json "$@"; }

provoke 10
check "auditd's log has ten" wait_for 10 sh -c "[ \$(grep -c 'profile=\"cw_.*capname=\"setpcap\"' $log) = 10 ]"
check "received by netlink and in the log, and counted once" wait_for 10 holds \
    'sources[name=netlink].up == true' 'sources[name=auditd].up == true' \
    'sources[name=netlink].lost == 0' \
    'audit.records == 10' 'audit.matched == 10' 'audit.audit_only == 0' \
    'sum(denials[profile=cw_one].count) == 5' 'sum(denials[profile=cw_two].count) == 5'
check "the kernel's log is silent beside auditd" testbed check report.json \
    'sources[name=kmsg].up == true' 'sources[name=kmsg].records == 0'
check "auditd's log is whole" wait_for 10 holds 'sources[name=auditd].records >= 10'
check "auditd still has its place" sh -c "auditctl -s | grep -q '^pid $pid\$'"
echo "--- auditd.log $(uname -r) $(date -u +%F)"
event=$(sed -n 's/.*msg=audit(\([^)]*\)): apparmor="DENIED".*/\1/p' "$log" | head -1)
grep -a "audit($event)\|apparmor=\"DENIED\"" "$log" | head -8
echo '--- end'

# A rotation while both go on.
kill -USR1 "$pid"
check "auditd rotates" wait_for 10 test -e "$log.1"
provoke 2
check "after rotation" wait_for 10 holds 'audit.records == 12' 'audit.matched == 12' \
    'sources[name=auditd].up == true' 'sources[name=netlink].lost == 0'

kill "$pid"
check "auditd ends" wait_for 10 sh -c 'auditctl -s | grep -q "^pid 0"'
provoke 4
check "without auditd the kernel's log serves too" wait_for 10 holds \
    'audit.records == 16' 'audit.matched == 16' 'sources[name=kmsg].records >= 4'
check "nothing was counted twice" testbed check report.json 'audit.audit_only == 0' \
    'sum(denials[capability=setpcap].count) == 16' 'lost.events == 0'
kill "$agent"
wait "$agent"
check "the agent ends well" test $? = 0
capwatch replay -o json events.jsonl >replayed.json
check "its events give the same counts" testbed check replayed.json 'audit.records == 16' \
    'audit.matched == 16' 'sum(denials[capability=setpcap].count) == 16'

# Only the kernel's log.
capwatch record -o json --report kmsg.json --audit-source kmsg -- \
    aa-exec -p cw_one -- taskset 1 testbed do drop chown
check "kmsg alone joins" testbed check kmsg.json 'sources[name=kmsg].up == true' \
    'count(sources) == 1' 'audit.matched == 1'

# No hook watches drops: an audit rule, and its SYSCALL records by netlink.
auditctl -a always,exit -F arch=b64 -S prctl -F a0=24 -k capwatch
auditctl -a always,exit -F arch=b64 -S capset -F success=0 -k capwatch
capwatch run --hooks tracepoint --audit-source netlink --events calls.jsonl >calls.out 2>&1 &
agent=$!
check "an agent without hooks serves" wait_for 20 report
check "no hook watches drops there" testbed check report.json \
    'count(hooks[attached=true, hook=cap_task_prctl]) == 0' 'sources[name=netlink].up == true'
testbed do lower setpcap drop chown exec testbed do exit 0
aa-exec -p cw_two -- taskset 1 testbed do drop chown
check "a drop that commoncap refused is an episode, by its SYSCALL record" wait_for 15 holds \
    'count(episodes[comm=testbed, layer=commoncap]) == 1' \
    'episodes[layer=commoncap].first_refused == chown' \
    'episodes[layer=commoncap].verdict == degraded'
check "one that AppArmor refused is AppArmor's" wait_for 15 holds \
    'count(episodes[layer=apparmor]) == 1' 'episodes[layer=apparmor].profile == cw_two'
kill "$agent"
wait "$agent"
auditctl -D >/dev/null
