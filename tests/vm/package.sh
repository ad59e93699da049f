#!/bin/sh
# The Debian package under systemd: what it installs, starts, reads again, upgrades, and
# leaves behind. The image, run by Podman with the documented capabilities alone.
# root: full
# kernels: 6.12
# packages: dbus,logrotate,systemd
# dist
# timeout: 900
# full-only
. "$CAPWATCH_LIB"
cd /tmp || exit
deb=$(echo /capwatch/dist/capwatch_*_amd64.deb)
cp "$(command -v captest)" /usr/local/bin/openshell-sandbox
cp "$(command -v captest)" /usr/local/bin/my-sandbox

# systemd, as the first process of namespaces of its own.
mkdir /sys/fs/cgroup/systemd-test
cat >boot <<'BOOT'
#!/bin/sh
echo $$ >/sys/fs/cgroup/systemd-test/cgroup.procs
exec env container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin unshare --fork --pid --mount --mount-proc --cgroup sh -c '
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    exec /lib/systemd/systemd --system --unit=multi-user.target --show-status=0 \
        --log-target=console --log-level=warning'
BOOT
chmod 755 boot
./boot >/tmp/systemd.out 2>&1 &
init=
# The guest's PATH has another capwatch first.
inside() { nsenter -t "$init" -a -- env PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }
answers() {
    init=$(pidof -s systemd) &&
        inside systemctl is-system-running | grep -Eq 'running|degraded|starting'
}
wait_for 120 answers || { not_ok "systemd answers" "$(tail -n 5 /tmp/systemd.out)"; exit; }
init=$(pidof -s systemd)

everything() {
    find / -xdev -not -path '/tmp*' -not -path '/capwatch*' -not -path '/var/log/*' \
        -not -path '/var/lib/dpkg/*' -not -path '/var/lib/apt/*' -not -path '/var/cache/*' \
        -not -path '/run/*' -not -path '/var/lib/systemd/*' -not -path '/var/lib/logrotate*' -not -name '*-' \
        -not -name .pwd.lock | sort
}
everything >before
cp /etc/passwd /etc/group /tmp/

page() { busybox wget -q -O - "http://127.0.0.1:11400$1"; }
ready() { page /-/ready >/dev/null; }
# episodes SUPERVISOR: how many of its own were fatal.
episodes() {
    page /metrics | sed -n "s/^capwatch_bounding_drop_episodes_total{.*supervisor=\"$1\".*verdict=\"fatal\".*} //p" |
        awk '{ sum += $1 } END { print sum + 0 }'
}
saw() { [ "$(episodes "$1")" -ge "$2" ]; }
# provoke NAME COUNT: a drop that fails, of a supervisor, which the agent sees.
provoke() {
    "$1" incident -- /bin/true >/dev/null 2>&1
    check "$3" wait_for 20 saw "${1#openshell-}" "$2"
}

# --- installed ---
install_package() { inside env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$deb"; }
check "apt installs it" install_package
diag() {
    inside systemctl status capwatch --no-pager -n 20
    inside journalctl -u capwatch --no-pager -n 20
}
if wait_for 90 inside systemctl --quiet is-active capwatch; then
    ok "the service starts by itself"
else
    not_ok "the service starts by itself" "$(diag 2>&1 | tail -n 25 | tr '\n' '|')"
fi
check "the service is enabled" inside systemctl --quiet is-enabled capwatch
check "it is ready" wait_for 60 ready || diag
main() { inside systemctl show -P MainPID capwatch; }
field() { inside sed -n "s/^$1:[[:space:]]*//p" "/proc/$(main)/status"; }
runs_as() { [ "$(inside ps -o user= -p "$(main)" | tr -d ' ')" = capwatch ]; }
check "it runs as user capwatch" runs_as
# DAC_READ_SEARCH, SYS_PTRACE, AUDIT_READ, PERFMON, BPF.
check "its bounding set is the five capabilities" test "$(field CapBnd)" = 000000e000080004
no_more() { [ $((0x$(field CapEff) & ~0xe000080004)) = 0 ] && [ "$(field NoNewPrivs)" = 1 ]; }
check "it has no capability beyond them, and no new privileges" no_more
check "its exposure is 1.5 at most" inside systemd-analyze security --threshold=15 --no-pager capwatch
inside systemd-analyze security --no-pager capwatch | tail -n 1 | sed 's/^/note package: /'
openshell-sandbox incident -- /bin/true >/dev/null 2>&1
seen() { saw openshell 1; }
check "it sees a supervisor fail" wait_for 20 seen || page /metrics | grep -E 'episodes_total|hook_attached' | head -n 30
check "the installed program names its commit" sh -c '/usr/bin/capwatch --version | grep -q "commit [0-9a-f]"'
man_page() { gzip -dc /usr/share/man/man1/capwatch-run.1.gz | grep -q 'web.listen'; }
if [ -d /usr/share/man/man1 ]; then check "its man pages are there" man_page; fi

# --- configured, reloaded ---
cat >>/etc/capwatch/capwatch.toml <<'TOML'
[run]
events = "/var/lib/capwatch/events.jsonl"
TOML
check "the configuration is valid" /usr/bin/capwatch config check /etc/capwatch/capwatch.toml
check "it restarts" inside systemctl restart capwatch
check "it is ready again" wait_for 60 ready || diag
events=/var/lib/capwatch/events.jsonl
openshell-sandbox incident -- /bin/true >/dev/null 2>&1
written() { grep -q '"kind":"episode".*openshell' "$events"; }
check "events are written" wait_for 20 written
before=$(main)
cat >>/etc/capwatch/capwatch.toml <<'TOML'
[[supervisor]]
name = "my-sandbox"
exe = ["my-sandbox"]
TOML
check "it reloads" inside systemctl reload capwatch
my() {
    my-sandbox incident -- /bin/true >/dev/null 2>&1
    saw my-sandbox 1
}
check "a rule that was added holds" wait_for 30 my
check "the process is the same" test "$(main)" = "$before"

# --- logrotate ---
check "logrotate moves the events" inside logrotate -f /etc/logrotate.d/capwatch
moved() { grep -q openshell "$events.1"; }
check "the old events are kept" moved
openshell-sandbox incident -- /bin/true >/dev/null 2>&1
check "new events go to the new file" wait_for 20 written

# --- a restart of the host's, and an upgrade ---
check "it is restarted when it dies" sh -c "kill -KILL \$(pidof -s capwatch)"
revived() { inside systemctl --quiet is-active capwatch && ready && [ "$(main)" != "$before" ]; }
check "it is back" wait_for 60 revived || diag
before=$(main)
check "the same version over it" install_package
inside env DEBIAN_FRONTEND=noninteractive dpkg -i "$deb" >upgrade.out 2>&1
check "the upgrade restarts it" wait_for 60 revived || diag
check "the configuration is the administrator's" grep -q my-sandbox /etc/capwatch/capwatch.toml

# --- removed ---
check "apt removes it" inside apt-get remove -y capwatch
gone() { ! pidof capwatch >/dev/null; }
check "nothing runs" wait_for 10 gone
check "the configuration stays" test -e /etc/capwatch/capwatch.toml
check "apt purges it" inside apt-get purge -y capwatch
everything >after
check "nothing is left behind" diff before after
check "no user is left behind" sh -c '! getent passwd capwatch && ! getent group capwatch'
for file in passwd group; do
    check "/etc/$file is as it was" diff "/tmp/$file" "/etc/$file"
done

# --- the image ---
archive=$(echo /capwatch/dist/capwatch-*-x86_64-image.tar)
check "Podman loads the image" podman load -i "$archive"
image=$(podman images --format '{{.Repository}}:{{.Tag}}' | grep capwatch | head -n 1)
run_image() {
    podman run -d --name agent --read-only --network host --pid host --cap-drop all \
        --cap-add BPF,PERFMON,AUDIT_READ,SYS_PTRACE,DAC_READ_SEARCH \
        -v /sys:/sys:ro "$image"
}
check "it runs with five capabilities" run_image
logs() { podman logs agent 2>&1 | tail -n 20; }
check "the image's agent is ready" wait_for 60 ready || logs
openshell-sandbox incident -- /bin/true >/dev/null 2>&1
check "the image's agent sees the host's supervisor fail" wait_for 20 seen || logs
podman rm -f agent >/dev/null 2>&1
kill "$init"
