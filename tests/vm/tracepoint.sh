#!/bin/sh
# What the tracepoint shows of a refusal by AppArmor: a drop that was granted by
# commoncap and whose bit is still raised; any other denial by its record alone.
# kernels: 7.x
# timeout: 300
# full-only
. "$CAPWATCH_LIB"
cd /tmp || exit

unprivileged_userns_profile >userns.profile
sed 's/unprivileged_userns/capwatch_quiet/g; s/audit deny capability/deny capability/' \
    userns.profile >quiet.profile
check "the profiles load" load_profile userns.profile quiet.profile

tracepoint() {
    report=$1
    shift
    capwatch record --hooks=tracepoint -o json --report "$report" -- "$@" 2>/dev/null
}

tracepoint quiet.json testbed do profile capwatch_quiet exec testbed do fork drop chown exit 1
check "a drop that is refused quietly: fatal, by a module that is not known" testbed check quiet.json \
    'hooks[hook=cap_capable].mechanism == tracepoint' \
    'count(episodes) == 1' \
    'episodes.verdict == fatal' \
    'episodes.layer == lsm' \
    'episodes.profile == null' \
    'episodes.first_refused == chown' \
    'count(denials[capability=setpcap]) == 0'

# `record` leaves it out: the process has ended when its record is read, and
# nobody else can say that it was of the tree.
capwatch --quiet run --hooks=tracepoint --events events.jsonl >/dev/null 2>&1 &
agent=$!
incident() {
    aa-exec -p unprivileged_userns -- unshare -Ur true
    grep -q '"profile":"unprivileged_userns".*"capability":"sys_admin"' events.jsonl
}
check "the incident: reported by its record alone" wait_for 10 incident
kill $agent
wait $agent

tracepoint noise.json testbed do setuid 65534 exec ls /
check "memory accounting is known by its system call" testbed check noise.json \
    'sum(denials[capability=sys_admin, comm=ls].count) >= 1' \
    'denials[capability=sys_admin, comm=ls].audited == no' \
    'denials[capability=sys_admin, comm=ls].layer == commoncap'
