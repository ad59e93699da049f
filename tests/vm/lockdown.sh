#!/bin/sh
# lockdown=confidentiality: no program may read the kernel's memory by helper.
# Counts go on, by direct loads; what is lost is said.
# kernels: 6.1 6.12 7.x
# append: lockdown=confidentiality
# timeout: 600
# daily: 6.12
. "$CAPWATCH_LIB"
cd /tmp || exit

check "lockdown is on" grep -q '\[confidentiality\]' /sys/kernel/security/lockdown
unprivileged_userns_profile >profile
check "the profile loads" load_profile profile
capwatch --quiet doctor -o json >doctor.json
status=$?
check "doctor: exit 1" test "$status" = 1

if [ "$(series)-$(uname -m)" = 6.1-aarch64 ]; then
    # No trampolines before 6.4, and no kprobes under this lockdown.
    check "doctor: nothing can see denials, and it is said" testbed check doctor.json \
        'verdict == degraded' \
        'hooks[hook=security_capable].attached == false' \
        'self_test.seen == false' \
        'any(findings.what) ~ confidentiality' \
        'any(findings.what) ~ alone' \
        'self_tests[name=netlink].seen == true'
    capwatch record --fail-on denied -o json --report incident.json -- \
        aa-exec -p unprivileged_userns -- unshare -Ur true 2>/dev/null
    check "the incident: its record is read, and no hook" testbed check incident.json \
        'audit.records >= 1' \
        'hooks[hook=security_capable].attached == false'
    exit
fi
golden_of doctor-lockdown doctor.json
check "doctor: the hooks are attached by fexit, and say what is lost" testbed check doctor.json \
    'verdict == degraded' \
    'lockdown == confidentiality' \
    'hooks[needed=true].attached == true' \
    'hooks[hook=security_capable].mechanism == fexit' \
    'hooks[hook=security_capable].reason ~ lockdown' \
    'self_tests[kind=hook, provoked=true].seen == true' \
    'self_tests[kind=lsm, name=apparmor].seen == true' \
    'any(findings.what) ~ confidentiality'
check "doctor: kprobes are refused" sh -c \
    'capwatch --quiet doctor --hooks kprobe -o json >kprobe.json; testbed check kprobe.json "hooks[hook=security_capable].attached == false"'

groups=counts,drops
[ -z "${CAPWATCH_FULL:-}" ] || groups=counts,drops,fail_on,fates,threads,tree
testbed suite --hooks=auto --groups "$groups"
status=$?
[ "$status" -le 1 ] || not_ok "the suite" "it ended with $status"

capwatch record --fail-on denied -o json --report incident.json -- \
    aa-exec -p unprivileged_userns -- unshare -Ur true 2>/dev/null
check "AppArmor is reported as the layer; its profile by the record alone" testbed check incident.json \
    'any(denials[capability=sys_admin, comm=unshare, audited=yes].layer) == apparmor' \
    'audit.records >= 1'
