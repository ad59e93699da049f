#!/bin/sh
# The guest's first process: mounts what a running system has, runs the jobs,
# and reports them to the host. SETTINGS gives OUT (the serial port that the
# host reads) and NONCE (which no job's output can hold by accident).
#
# Where a script asks for systemd this starts it, and is started again by it, as a
# service, for the jobs. A job may reboot then: it begins anew, with what it wrote
# on the disk.
export PATH=/capwatch/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/lib/busybox
export HOME=/root LANG=C.UTF-8 TERM=dumb CAPWATCH_LIB=/capwatch/lib.sh
. /capwatch/settings

if [ -n "$SYSTEMD" ] && [ "$1" != jobs ]; then
    cat >/etc/systemd/system/capwatch-jobs.service <<'UNIT'
[Unit]
Description=The jobs of a test
After=multi-user.target
[Service]
ExecStart=/capwatch/guest.sh jobs
TimeoutStopSec=5
UNIT
    mkdir -p /etc/systemd/system/default.target.wants
    ln -sf ../capwatch-jobs.service /etc/systemd/system/default.target.wants/
    exec /lib/systemd/systemd
fi

try_mount() {
    [ -z "$SYSTEMD" ] || return 0
    mkdir -p "$3" 2>/dev/null
    mount -t "$1" -o "${4:-defaults}" "$2" "$3" 2>/dev/null
}
try_mount proc proc /proc
try_mount sysfs sys /sys
try_mount devtmpfs dev /dev
try_mount devpts devpts /dev/pts gid=5,mode=620,ptmxmode=666
try_mount tmpfs shm /dev/shm mode=1777
try_mount tmpfs run /run mode=755
try_mount tmpfs tmp /tmp mode=1777
try_mount securityfs securityfs /sys/kernel/security
try_mount tracefs tracefs /sys/kernel/tracing
try_mount debugfs debugfs /sys/kernel/debug
try_mount cgroup2 cgroup2 /sys/fs/cgroup
try_mount bpf bpf /sys/fs/bpf
if [ -z "$SYSTEMD" ]; then
    ln -sf /proc/self/fd /dev/fd
    ln -sf /proc/self/fd/0 /dev/stdin
    ln -sf /proc/self/fd/1 /dev/stdout
    ln -sf /proc/self/fd/2 /dev/stderr
fi

hostname capwatch-test
ip link set lo up 2>/dev/null || ifconfig lo up 2>/dev/null
# Loading a few profiles exhausts ten lines in five seconds.
echo 0 >/proc/sys/kernel/printk_ratelimit

if [ -e /etc/containers/containers.conf ]; then
    for module in overlay fuse tun; do
        modprobe "$module" 2>/dev/null
    done
    chmod 666 /dev/fuse /dev/net/tun
    mkdir -p /run/user/1000
    chown user:user /run/user/1000
    chmod 700 /run/user/1000
    mount --make-rshared /
fi
[ -d /capwatch/files ] && cp -a /capwatch/files/. /

stty -F "$OUT" raw -echo
exec <"$OUT" >"$OUT" 2>&1
exec </dev/null

# Twice, and apart: with a busy host a word was seen to get lost on the serial port
# that followed another at once.
say() {
    sleep 0.1
    printf '\036%s %s\036' "$NONCE" "$*"
    sleep 0.1
    printf '\036%s %s\036' "$NONCE" "$*"
}

# job NAME SECONDS SCRIPT VARIABLE=VALUE…
job() {
    name=$1
    limit=$2
    script=$3
    shift 3
    say begin "$name"
    (
        cd /tmp || exit
        # A session of its own; whatever it leaves behind is ended below.
        exec env "$@" timeout -s KILL "$limit" setsid "$script"
    )
    code=$?
    # Under systemd its service is all that would be left.
    [ -n "$SYSTEMD" ] || kill -9 -1 2>/dev/null
    say end "$name" "$code"
}

say ready
. /capwatch/jobs.sh
say bye
sync
# The host ends the machine; this is for a host that doesn't.
sleep 10
/bin/busybox poweroff -f
