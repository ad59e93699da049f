#!/bin/sh
# The incident whole, in rootless Podman: a gateway starts supervisors of three
# versions in containers. One makes no drop; one drops, and its container lacks
# SETPCAP; one drops, and has it. At the same second AppArmor refuses something
# to somebody else.
# root: full
# kernels: 6.1 6.12
# packages: apparmor
# timeout: 600
# trixie: 6.12
# daily: 6.12
. "$CAPWATCH_LIB"
cd /home/user || exit

# By its own name: the kernel sees the file that is really executed.
cp "$(command -v testbed)" openshell-sandbox
cat >gateway <<'GATEWAY'
#!/bin/sh
# gateway NAME TAG PODMAN-OPTION… -- WORD…
name=$1
tag=$2
shift 2
options=
while [ "$1" != -- ]; do
    options="$options $1"
    shift
done
shift
# shellcheck disable=SC2086
podman --runtime crun run --rm --name "$name" --network=none $options \
    -v /home/user/openshell-sandbox:/openshell-sandbox:ro \
    "registry.example/openshell/supervisor:$tag" /openshell-sandbox "$@"
GATEWAY
cat >incident <<'INCIDENT'
#!/bin/sh
# The container, and somebody else's denials all the while.
while :; do
    aa-exec -p unprivileged_userns -- unshare -Ur true 2>/dev/null
    sleep 0.3
done &
others=$!
chroot --userspec=1000:1000 --groups= / env HOME=/home/user USER=user \
    XDG_RUNTIME_DIR=/run/user/1000 /home/user/gateway "$@"
status=$?
kill $others
exit $status
INCIDENT
chmod 755 gateway incident
chown user:user openshell-sandbox gateway
check "the image imports" import_busybox
for tag in 0.0.72 0.0.73 0.0.74; do
    as_user podman tag busybox "registry.example/openshell/supervisor:$tag"
done
unprivileged_userns_profile >/tmp/userns.profile
check "the profile loads" load_profile /tmp/userns.profile
cat >/tmp/rules.toml <<'RULES'
[container]
labels = ["io.container.manager"]
RULES

capwatch --config /tmp/rules.toml run --events /tmp/events.json >/tmp/run.out 2>&1 &
agent=$!
metrics() { busybox wget -qO- http://127.0.0.1:11400/metrics; }
check "the agent is ready" wait_for 20 busybox wget -qO- http://127.0.0.1:11400/-/ready

# version NAME TAG EXIT PODMAN-OPTION… -- WORD…: records a version's run.
version() {
    name=$1
    tag=$2
    expected=$3
    shift 3
    capwatch record --fail-on fatal -o json --report "/tmp/$name.json" -- \
        ./incident "$name" "$tag" "$@" >"/tmp/$name.out" 2>&1
    status=$?
    cat "/tmp/$name.out"
    check "$name: exit $expected" test "$status" = "$expected"
}

version a 0.0.72 0 -- --help
check "a: no drop, nothing to report" testbed check /tmp/a.json \
    'count(episodes[supervisor=openshell]) == 0' 'failed_on == []'

version b 0.0.73 3 --cap-drop SETPCAP -- incident -- /bin/true
sed -n 's/^ *"explanation": "\(.*could not drop.*\)".*/\1/p' /tmp/b.json
check "b: fatal, and who it was" testbed check /tmp/b.json \
    'count(episodes[supervisor=openshell]) == 1' \
    'episodes[supervisor=openshell].verdict == fatal' \
    'episodes[supervisor=openshell].layer == commoncap' \
    'episodes[supervisor=openshell].version == 0.0.73@uid1000' \
    'episodes[supervisor=openshell].container.runtime == podman' \
    'episodes[supervisor=openshell].container.name == b' \
    'episodes[supervisor=openshell].container.image == registry.example/openshell/supervisor:0.0.73' \
    'count(episodes[supervisor=openshell].chain) == 2' \
    'sum(denials[comm=unshare, layer=apparmor].count) >= 1' \
    'lost.events == 0'
for words in 'podman container b (image registry.example/openshell/supervisor:0.0.73)' \
    'could not drop chown' 'the kernel (commoncap) refused' \
    "SETPCAP is not among the container's capabilities" 'refused before asking AppArmor or SELinux' \
    'without running another program' 'Invalid argument' \
    'concerns another process, ' 'and is not the cause'; do
    check "b: the sentence says: $words" testbed check /tmp/b.json \
        "episodes[supervisor=openshell].explanation ~ $words"
done
check "b: AppArmor is not blamed" testbed check /tmp/b.json \
    'episodes[supervisor=openshell].profile == null'

version c 0.0.74 0 --cap-add SETPCAP -- incident -- /bin/true
check "c: all is granted" testbed check /tmp/c.json \
    'episodes[supervisor=openshell].verdict == ok' \
    'episodes[supervisor=openshell].version == 0.0.74@uid1000' \
    'failed_on == []'

sleep 1
metrics >/tmp/metrics
grep 'openshell' /tmp/metrics
# failed TAG COUNT: how often the metric says that a version failed.
failed() {
    grep -q "^capwatch_bounding_drop_episodes_total{supervisor=\"openshell\",role=\"supervisor\",version=\"$1\",verdict=\"fatal\",layer=\"commoncap\"} $2\$" /tmp/metrics
}
check "the metric: version a failed never" failed 0.0.72@uid1000 0
check "the metric: version b failed once" failed 0.0.73@uid1000 1
check "the metric: version c failed never" failed 0.0.74@uid1000 0

# The agent looks only after the container is gone, and its files with it.
kill -STOP "$agent"
chroot --userspec=1000:1000 --groups= / env HOME=/home/user USER=user \
    XDG_RUNTIME_DIR=/run/user/1000 /home/user/gateway gone 0.0.73 --cap-drop SETPCAP -- \
    incident -- /bin/true >/tmp/gone.out 2>&1
check "the container is gone" sh -c "! pidof openshell-sandbox"
kill -CONT "$agent"
check "a container that is gone is named" wait_for 5 sh -c \
    'grep "\"kind\":\"episode\"" /tmp/events.json | grep "\"verdict\":\"fatal\"" |
     grep -q "\"runtime\":\"podman\",\"id\":\"[0-9a-f]\{64\}\",\"name\":\"gone\""'
grep '"kind":"episode"' /tmp/events.json | grep '"fatal"' | tail -n 1
kill "$agent"
wait "$agent"
cat /tmp/run.out
