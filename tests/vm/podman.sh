#!/bin/sh
# The full root's rootless Podman: what the tests of supervisors build on.
# root: full
# timeout: 180
# daily: 6.12
. "$CAPWATCH_LIB"

if packages=$(dpkg-query -W -f '${Package} ${Version}, ' podman crun runc bubblewrap apparmor); then
    echo "note with ${packages%, }"
else
    # Packages that were unpacked only.
    echo "note with $(podman --version), $(crun --version | head -n 1), $(runc --version | head -n 1)"
fi

check "the image imports" import_busybox
for runtime in crun runc; do
    check "a container of $runtime" as_user podman --runtime "$runtime" run --rm \
        --network=none --cap-add SETPCAP busybox sh -c 'grep -q "CapBnd:.*5fb" /proc/self/status'
done
check "bubblewrap" as_user bwrap --ro-bind / / --unshare-user true
