#!/bin/sh
# The Debian package under systemd: what it installs, starts, reads again, upgrades,
# what outlives a restart and a reboot, and what it leaves behind. The image, run by
# Podman with the documented capabilities alone.
# root: full
# kernels: 6.12
# packages: dbus,logrotate,systemd
# systemd
# dist
# timeout: 900
# full-only
. "$CAPWATCH_LIB"
cd /var/tmp || exit
deb=$(echo /capwatch/dist/capwatch_*_amd64.deb)
# The guest's PATH has another capwatch first.
testbed=$(command -v testbed)
export PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive
events=/var/lib/capwatch/events.jsonl

page() { busybox wget -q -O - "http://127.0.0.1:11400$1"; }
ready() { page /-/ready >/dev/null; }
# episodes SUPERVISOR: how many of the supervisor's were fatal.
episodes() {
    page /metrics | sed -n "s/^capwatch_bounding_drop_episodes_total{.*supervisor=\"$1\".*verdict=\"fatal\".*} //p" |
        awk '{ sum += $1 } END { print sum + 0 }'
}
saw() { [ "$(episodes "$1")" -ge "$2" ]; }
# fails SUPERVISOR: one without SETPCAP, which can't drop.
fails() { "$testbed" do drop setpcap exec "$1" incident -- /bin/true >/dev/null 2>&1; }
# sees NAME COUNT CHECK: a drop of openshell's fails, which is the COUNTth that is seen.
sees() {
    fails openshell-sandbox
    tried "$2" wait_for 20 saw openshell "$1"
}
written() { grep -q '"kind":"episode".*openshell' "$events"; }
diag() {
    systemctl status capwatch --no-pager -n 0
    journalctl -u capwatch --no-pager -n 20 -o cat
}
# tried NAME COMMAND…: a check; where it fails, what the service says of itself is shown.
tried() {
    tried_name=$1
    shift
    if "$@" >/dev/null 2>&1; then
        ok "$tried_name"
    else
        diag 2>&1
        not_ok "$tried_name" "$* failed"
    fi
}
main() { systemctl show -P MainPID capwatch; }
field() { sed -n "s/^$1:[[:space:]]*//p" "/proc/$(main)/status"; }
# is_up NAME: the service runs, and is ready.
is_up() {
    tried "$1" wait_for 90 systemctl --quiet is-active capwatch
    tried "$1: ready" wait_for 60 ready
}
everything() {
    find / -xdev -not -path '/tmp*' -not -path '/var/tmp/*' -not -path '/capwatch*' -not -path '/var/log/*' \
        -not -path '/var/lib/dpkg/*' -not -path '/var/lib/apt/*' -not -path '/var/cache/*' \
        -not -path '/run/*' -not -path '/var/lib/systemd/*' -not -path '/var/lib/logrotate*' -not -name '*-' \
        -not -name .pwd.lock | sort
    find /sys/fs/bpf /run/capwatch 2>/dev/null
}
apt() { apt-get -y --no-install-recommends -o Dpkg::Options::=--force-confold "$@"; }

# What another boot goes on with.
if [ -e rebooted ]; then
    is_up "it starts at boot"
    check "it was attached before" systemctl --quiet is-active capwatch-early ||
        journalctl -b -u capwatch-early --no-pager -o cat
    went_on() { page /api/v1/status | grep -q '"away":{"since"'; }
    check "and goes on from there" went_on || diag
    check "after a reboot the configuration is the administrator's" grep -q my-sandbox /etc/capwatch/capwatch.toml
    sees 1 "after a reboot it sees a supervisor fail, and counts from the beginning"
    check "after a reboot the events go on in the same file" test "$(grep -c '"kind":"episode".*openshell' "$events")" -ge 2

    # --- removed ---
    rm /usr/local/bin/other-sandbox
    apt remove capwatch >removed 2>&1
    cat removed
    check "apt removes it, and the kernel holds nothing of it" grep -q "the kernel no longer holds any of them" removed
    gone() { ! pidof capwatch >/dev/null; }
    check "nothing runs" wait_for 10 gone
    check "nothing is pinned" sh -c '! ls /sys/fs/bpf/capwatch/* 2>/dev/null'
    check "the configuration stays" test -e /etc/capwatch/capwatch.toml
    check "apt purges it" apt purge capwatch
    everything >after
    check "nothing is left behind" diff before after
    for file in passwd group shadow gshadow; do
        check "/etc/$file is as it was" diff "$file" "/etc/$file"
    done

    # --- the image ---
    archive=$(echo /capwatch/dist/capwatch-*-x86_64-image.tar)
    check "Podman loads the image" podman load -i "$archive"
    image=$(podman images --format '{{.Repository}}:{{.Tag}}' | grep capwatch | head -n 1)
    run_image() {
        podman run -d --name agent --read-only --network host --pid host --cap-drop all \
            --security-opt seccomp=unconfined --cap-add BPF,PERFMON,AUDIT_READ,SYS_PTRACE,DAC_READ_SEARCH \
            -v /sys:/sys:ro "$image"
    }
    diag() { podman logs agent 2>&1 | tail -n 20; }
    check "it runs with five capabilities" run_image
    tried "the image's agent is ready" wait_for 60 ready
    sees 1 "the image's agent sees the host's supervisor fail"
    podman rm -f agent >/dev/null 2>&1
    exit
fi

cp "$testbed" /usr/local/bin/openshell-sandbox
cp "$testbed" /usr/local/bin/my-sandbox
echo "note systemd $(systemctl --version | sed -n '1s/.*(\(.*\))/\1/p')"
wait_for 60 systemctl is-active --quiet multi-user.target
everything >before
cp /etc/passwd /etc/group /etc/shadow /etc/gshadow .

# --- of 0.1 there was no package: the same program, with the configuration of then ---
dpkg-deb -R "$deb" old
sed -i 's/^Version: .*/Version: 0.1.0/' old/DEBIAN/control
sed -i '/Options of `capwatch run`/,$d' old/etc/capwatch/capwatch.toml
dpkg-deb -Znone -b old capwatch_0.1.0_amd64.deb >/dev/null
check "apt installs 0.1" apt install ./capwatch_0.1.0_amd64.deb
is_up "the service starts by itself"
check "the service is enabled" systemctl --quiet is-enabled capwatch
cat >>/etc/capwatch/capwatch.toml <<'TOML'
[[supervisor]]
name = "my-sandbox"
exe = ["my-sandbox"]
TOML
cp /etc/capwatch/capwatch.toml mine
sees 1 "it sees a supervisor fail"
before=$(main)
check "apt upgrades it" apt install "$deb"
check "the version is this one" test "$(dpkg-query -W -f '${Version}' capwatch)" != 0.1.0
check "the configuration of 0.1 stays" cmp mine /etc/capwatch/capwatch.toml
is_up "the upgrade restarts it"
check "it is another process" test "$(main)" != "$before"
check "its counts go on" saw openshell 1

# --- what it may do ---
check "it runs as user capwatch" test "$(ps -o user= -p "$(main)" | tr -d ' ')" = capwatch
# DAC_READ_SEARCH, SYS_PTRACE, PERFMON, BPF.
check "its bounding set is the four capabilities" test "$(field CapBnd)" = 000000c000080004
no_more() { [ $((0x$(field CapEff) & ~0xc000080004)) = 0 ] && [ "$(field NoNewPrivs)" = 1 ]; }
check "it has no capability beyond them, and no new privileges" no_more
sandbox() { page /api/v1/status | grep -q '"sandbox":{"mode":"auto","state":"whole"'; }
tried "its own sandbox is whole within the unit's" sandbox
page /api/v1/status | grep -o '"sandbox":{[^}]*}'
exposed() { systemd-analyze security --offline=false --threshold=15 --no-pager capwatch; }
check "its exposure is 1.5 at most" exposed
systemd-analyze security --no-pager capwatch | tail -n 1 | sed 's/^[^0-9a-zA-Z]*/note package: /'
missing_hooks() { page /metrics | grep '^capwatch_hook_attached.*} 0$'; }
missing_hooks
check "the installed program names its commit" sh -c 'capwatch --version | grep -q "commit [0-9a-f]"'
man_page() { gzip -dc /usr/share/man/man1/capwatch-run.1.gz | grep -q 'web.listen'; }
if [ -e /usr/share/man/man1/capwatch.1.gz ]; then check "its man pages are there" man_page; fi

# --- configured, reloaded ---
sed -i '1i [run]\nevents = "/var/lib/capwatch/events.jsonl"' /etc/capwatch/capwatch.toml
check "the configuration is valid" capwatch config check /etc/capwatch/capwatch.toml
check "it restarts" systemctl restart capwatch
is_up "it restarts"
sees 2 "over a restart its counts go on"
check "events are written" wait_for 20 written
before=$(main)
cat >>/etc/capwatch/capwatch.toml <<'TOML'
[[supervisor]]
name = "other-sandbox"
exe = ["other-sandbox"]
TOML
check "it reloads" systemctl reload capwatch
cp "$testbed" /usr/local/bin/other-sandbox
other() {
    fails other-sandbox
    saw other-sandbox 1
}
tried "a rule that was added holds" wait_for 30 other
check "the process is the same" test "$(main)" = "$before"

# --- stopped ---
check "it stops" systemctl stop capwatch
stopped() { ! page /metrics >/dev/null 2>&1 && ! pidof capwatch >/dev/null; }
check "a scrape does not start it again" stopped
check "it starts" systemctl start capwatch
is_up "started again"
before=$(main)

# --- logrotate ---
check "logrotate moves the events" logrotate -f /etc/logrotate.d/capwatch
check "the old events are kept" grep -q openshell "$events.1"
check "the new file is the service's own" wait_for 10 test -O "$events" -o "$(stat -c %U "$events")" = capwatch
sees 3 "it sees a supervisor fail after logrotate"
check "new events go to the new file" wait_for 20 written

# --- killed ---
kill -KILL "$(main)"
revived() { ready && [ "$(main)" != "$before" ]; }
tried "it is restarted when it dies" wait_for 60 revived
check "and its counts go on" saw openshell 3

# --- from the first moment of the next boot ---
check "it may attach early" systemctl enable capwatch-early
touch rebooted
sync
systemctl reboot
sleep 600
