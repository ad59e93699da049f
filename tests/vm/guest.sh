#!/bin/sh
# The guest itself: what every other test builds on.
. "$CAPWATCH_LIB"

echo "note Linux $(uname -r), $(uname -v | sed 's/.*Debian/Debian/')"

for mount in /proc /sys /dev/pts /dev/shm /sys/kernel/security /sys/kernel/tracing \
    /sys/fs/cgroup /sys/fs/bpf; do
    check "mounted $mount" mountpoint -q "$mount"
done
check "BTF" test -r /sys/kernel/btf/vmlinux
check "AppArmor is on" grep -q apparmor /sys/kernel/security/lsm
check "capwatch is in PATH" sh -c 'command -v capwatch'

# The incident's record, by the kernel's own AppArmor.
unprivileged_userns_profile >/tmp/profile
check "the profile loads" load_profile /tmp/profile
if aa-exec -p unprivileged_userns -- unshare -Ur true 2>/dev/null; then
    not_ok "the profile refuses" "unshare succeeded"
else
    ok "the profile refuses"
fi
record='apparmor="DENIED" operation="capable".*profile="unprivileged_userns".*capname="sys_admin"'
check "the record is in the log" wait_for 5 sh -c "dmesg | grep -q '$record'"
