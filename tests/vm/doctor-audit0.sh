#!/bin/sh
# `audit=0`: no module writes a record, and eBPF still shows denials.
# append: audit=0
# timeout: 300
# daily: 6.12
. "$CAPWATCH_LIB"
cd /tmp || exit

unprivileged_userns_profile >profile
check "the profile loads" load_profile profile
capwatch --quiet doctor -o json >doctor.json
status=$?
check "exit 1" test "$status" = 1
check "audit=0 is named, and AppArmor's denial is seen" testbed check doctor.json \
    'verdict == degraded' \
    'audit.off_at_boot == true' \
    'any(findings.what) ~ audit=0' \
    'hooks[needed=true].attached == true' \
    'self_tests[kind=lsm, name=apparmor].seen == true' \
    'self_tests[name=netlink].seen != true'
golden_of doctor-audit0 doctor.json
capwatch record --fail-on denied -o json --report incident.json -- \
    aa-exec -p unprivileged_userns -- unshare -Ur true 2>/dev/null
check "the incident is reported without its record" testbed check incident.json \
    'denials[capability=sys_admin, comm=unshare, audited=yes].layer == apparmor' \
    'denials[capability=sys_admin, comm=unshare, audited=yes].profile == unprivileged_userns' \
    'audit.records == 0'
