#!/bin/sh
# `capwatch doctor` beside auditd, and inside a rootless container. In a machine of its
# own, since other tests leave losses of the audit log behind.
# root: full
# kernels: 5.10 6.1 6.12 7.x
# packages: auditd
# timeout: 300
# daily: 6.12
. "$CAPWATCH_LIB"
cd /tmp || exit

auditd
check "auditd runs" wait_for 10 sh -c 'auditctl -s | grep -q "^pid [1-9]"'
capwatch --quiet doctor -o json >auditd.json
status=$?
check "beside auditd: exit 0" test "$status" = 0
check "beside auditd: it is named, and netlink stands beside it" testbed check auditd.json \
    'verdict == all' \
    'audit.owner.comm == auditd' \
    'audit.status.enabled == 1' \
    'sources[name=netlink].up == true' \
    'self_tests[name=netlink].seen == true' \
    'self_tests[name=kmsg].seen == false' \
    'any(findings[level=note].what) ~ auditd'
golden_of doctor-auditd auditd.json

check "the image imports" import_busybox
cd /home/user || exit
cp "$(command -v capwatch)" capwatch
chown user:user capwatch
as_user podman run --rm --network=none -v /home/user/capwatch:/capwatch:ro busybox \
    /capwatch --quiet doctor -o json >/tmp/podman.json 2>/tmp/podman.err
status=$?
cat /tmp/podman.err
check "in rootless Podman: exit 2" test "$status" = 2
check "in rootless Podman: blind, and says where it is" testbed check /tmp/podman.json \
    'verdict == blind' \
    'inside.container == podman' \
    'inside.user_namespace == true' \
    'any(findings.what) ~ namespace' \
    'self_test.seen == false'
golden_of doctor-podman /tmp/podman.json

as_user podman run --rm --network=none -v /home/user/capwatch:/capwatch:ro busybox \
    /capwatch probe --check -o json >/tmp/probe.json 2>/tmp/probe.err
status=$?
cat /tmp/probe.err
check "probe in rootless Podman, without SETPCAP or with: it is tried, and nothing skipped" \
    testbed check /tmp/probe.json \
    'trials[namespace=host].tried == true' \
    'count(trials[namespace=host, layer=commoncap]) >= 1'
