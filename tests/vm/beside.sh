#!/bin/sh
# A gate around a client: what it asks for is done by a child of a daemon, which
# does not descend from it. Podman's service and systemd are the daemons; the
# supervisor that they start can't drop, and dies of it.
# root: full
# kernels: 6.1 6.12
# packages: dbus,systemd
# timeout: 600
# daily: 6.12
. "$CAPWATCH_LIB"
cd /tmp || exit
cp "$(command -v testbed)" /usr/local/bin/openshell-sandbox

# Podman's service, and its client.
socket=unix:///run/podman-test.sock
check "the image imports" podman import --quiet /usr/share/capwatch/busybox.tar busybox
podman system service --time=0 "$socket" >/tmp/service.out 2>&1 &
service=$!
check "Podman's service answers" wait_for 30 podman --url "$socket" version
container() {
    name=$1
    expected=$2
    scope=$3
    gated "$name" "$expected" --scope "$scope" -- podman --remote --url "$socket" run --rm \
        --name "$name" --network=none --cap-drop SETPCAP \
        -v /usr/local/bin/openshell-sandbox:/openshell-sandbox:ro busybox \
        /openshell-sandbox incident -- /bin/true
}
container remote 3 beside
check "remote: the container is named" testbed check remote.json \
    'count(episodes[supervisor=openshell]) == 1' \
    'episodes[supervisor=openshell].verdict == fatal' \
    'episodes[supervisor=openshell].scope == beside' \
    'episodes[supervisor=openshell].container.runtime == podman' \
    'episodes[supervisor=openshell].container.name == remote' \
    'scope.chosen == beside' \
    'scope.tree.episodes.all == 0' \
    'scope.beside.episodes.supervisor.fatal == 1' \
    'count(scope.made[name=remote]) == 1' \
    'scope.clients ~ podman'
capwatch replay remote.jsonl | head -n 12
check "remote: the line of the text report" \
    sh -c 'capwatch replay remote.jsonl | grep -q "beside the command, made while it ran: podman container remote"'
container tree 1 tree
check "tree: nothing is the command's own" testbed check tree.json \
    'counts.episodes.all == 0' 'failed_on == []'
check "tree: it says what it leaves out" \
    sh -c 'capwatch replay tree.jsonl | grep -q "a daemon does the work"'
kill "$service"

# systemd, as the first process of its own namespaces.
if [ ! -x /lib/systemd/systemd ]; then
    skip "systemd-run" "systemd is not in this root"
    exit
fi
mkdir /sys/fs/cgroup/systemd-test
cat >boot <<'BOOT'
#!/bin/sh
echo $$ >/sys/fs/cgroup/systemd-test/cgroup.procs
exec env container=test unshare --fork --pid --mount --mount-proc --cgroup sh -c '
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    exec /lib/systemd/systemd --system --unit=multi-user.target --show-status=0 \
        --log-target=console --log-level=warning'
BOOT
chmod 755 boot
./boot >/tmp/systemd.out 2>&1 &
ready() { systemctl is-system-running | grep -Eq 'running|degraded' || systemd-run --wait true; }
check "systemd answers" wait_for 120 ready || cat /tmp/systemd.out

gated unit 3 -- systemd-run --wait --unit=sandbox \
    -p CapabilityBoundingSet=~CAP_SETPCAP openshell-sandbox incident -- /bin/true
check "unit: it is named" testbed check unit.json \
    'count(episodes[supervisor=openshell]) == 1' \
    'episodes[supervisor=openshell].verdict == fatal' \
    'episodes[supervisor=openshell].scope == beside' \
    'episodes[supervisor=openshell].container.runtime == systemd' \
    'episodes[supervisor=openshell].container.id == sandbox.service' \
    'scope.clients ~ systemd-run'

# Without --wait the client ends at once. It talks to systemd's own socket then, which
# answers in systemd's own namespaces alone, and not always at the first time.
# shellcheck disable=SC2016
gated later 3 --wait 60s -- nsenter -t "$(pidof -s systemd)" -a sh -c '
    for attempt in 1 2 3 4 5; do
        systemd-run --collect -p CapabilityBoundingSet=~CAP_SETPCAP \
            sh -c "sleep 3; exec openshell-sandbox incident -- /bin/true" && exit
        sleep 1
    done
    exit 1'
check "later: it was followed" testbed check later.json \
    'scope.beside.episodes.supervisor.fatal == 1'
