#!/bin/sh
# `capwatch probe` where AppArmor refuses, and where nothing can be attached.
# timeout: 300
# daily: 6.12
. "$CAPWATCH_LIB"
cd /tmp || exit

unprivileged_userns_profile >probe.profile
check "the profile loads" load_profile probe.profile

capwatch probe --check --apparmor-profile unprivileged_userns -o json >probe.json 2>probe.err
status=$?
cat probe.err
check "under the profile a supervisor can't clear its set: 3" test "$status" = 3
check "without a profile: granted with SETPCAP, refused by commoncap without" testbed check probe.json \
    'schema == capwatch.probe/1' \
    'cleared == false' \
    'hooks.attached == true' \
    'count(trials) == 8' \
    'trials[profile=null, namespace=host, setpcap=held].verdict == ok' \
    'trials[profile=null, namespace=host, setpcap=held].workload_bounding == 0x0' \
    'trials[profile=null, namespace=new, setpcap=held].verdict == ok' \
    'count(trials[profile=null, setpcap=given_up, verdict=fatal, layer=commoncap]) == 2'
check "under the profile: refused by AppArmor with SETPCAP, by commoncap without" testbed check probe.json \
    'count(trials[profile=unprivileged_userns, setpcap=held, verdict=fatal, layer=apparmor]) == 2' \
    'count(trials[profile=unprivileged_userns, setpcap=given_up, verdict=fatal, layer=commoncap]) == 2' \
    'trials[profile=unprivileged_userns, setpcap=held].explanation ~ unprivileged_userns' \
    'trials[profile=unprivileged_userns, setpcap=held].first_refused == chown'
check "the hooks say the same of each" testbed check probe.json \
    'count(trials[tried=true]) == 8' \
    'trials.seen.agrees == true' \
    'trials[profile=unprivileged_userns, setpcap=held].seen.profile == unprivileged_userns'

# A tolerant program goes on, with what it should not have.
capwatch probe --as bwrap --apparmor-profile unprivileged_userns -o json >bwrap.json 2>probe.err
check "bwrap under the profile is degraded" testbed check bwrap.json \
    'trials[profile=unprivileged_userns, setpcap=held].verdict == degraded' \
    'trials[profile=unprivileged_userns, setpcap=held].fate == exec' \
    'trials[profile=unprivileged_userns, setpcap=held].refused_raised == 41'

# Nobody's: no hook, no SETPCAP, and nothing skipped.
testbed do setuid 65534 exec \
    capwatch probe --check -o json >nobody.json 2>probe.err
status=$?
cat probe.err
check "without privileges: 3" test "$status" = 3
check "without privileges: all is tried, and known from its own status" testbed check nobody.json \
    'hooks.attached == false' \
    'trials[namespace=host, setpcap=missing].verdict == fatal' \
    'trials[namespace=host, setpcap=missing].layer == commoncap' \
    'trials[namespace=new, setpcap=held].verdict == ok'
