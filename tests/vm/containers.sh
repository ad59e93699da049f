#!/bin/sh
# The incident in rootless Podman: an entry point that clears its bounding set
# between fork and exec, with and without SETPCAP.
# root: full
# timeout: 600
# trixie: 6.12
# env-matrix: HOOKS=fexit,kprobe,tracepoint
# daily: 6.12
. "$CAPWATCH_LIB"
cd /home/user || exit

# By its own name: the kernel sees the file that is really executed, and a bind
# mount's name is its source's.
cp "$(command -v testbed)" openshell-sandbox
chown user:user openshell-sandbox
check "the image imports" import_busybox

# container NAME EXIT PODMAN-OPTION…: records a container's run. Not through
# setpriv, which is a supervisor itself.
container() {
    name=$1
    expected=$2
    shift 2
    capwatch record --hooks="$HOOKS" --fail-on fatal -o json --report "/tmp/$name.json" -- \
        chroot --userspec=1000:1000 --groups= / \
        env HOME=/home/user USER=user XDG_RUNTIME_DIR=/run/user/1000 \
        podman --runtime crun run --rm --network=none "$@" \
        -v /home/user/openshell-sandbox:/openshell-sandbox:ro busybox \
        /openshell-sandbox incident -- /bin/true >"/tmp/$name.out" 2>&1
    status=$?
    cat "/tmp/$name.out"
    check "$name: exit $expected" test "$status" = "$expected"
}

container without-setpcap 3 --cap-drop SETPCAP
check "without-setpcap: the failure is the incident's" \
    grep -q "Invalid argument (os error 22)" /tmp/without-setpcap.out
check "without-setpcap: the report names the episode" testbed check /tmp/without-setpcap.json \
    'count(episodes[supervisor=openshell]) == 1' \
    'episodes[supervisor=openshell].verdict == fatal' \
    'episodes[supervisor=openshell].role == supervisor' \
    'episodes[supervisor=openshell].layer == commoncap' \
    'episodes[supervisor=openshell].refused_raised == 1' \
    'episodes[supervisor=openshell].first_refused == chown' \
    'episodes[supervisor=openshell].fate == exit' \
    'episodes[supervisor=openshell].user_namespace.level >= 1' \
    'sum(denials[supervisor=openshell, capability=setpcap].count) == 1' \
    'failed_on ~ fatal' \
    'command.exit_code != 0' \
    'lost.events == 0'
check "without-setpcap: crun's own drops" testbed check /tmp/without-setpcap.json \
    'count(episodes[supervisor=crun]) >= 1' \
    'episodes[supervisor=crun].verdict == ok' \
    'min(episodes[supervisor=crun].drops) >= 25'

container with-setpcap 0 --cap-add SETPCAP
check "with-setpcap: all is granted" testbed check /tmp/with-setpcap.json \
    'count(episodes[supervisor=openshell]) == 1' \
    'episodes[supervisor=openshell].verdict == ok' \
    'episodes[supervisor=openshell].refused_raised == 0' \
    'episodes[supervisor=openshell].unknown_capability == 1' \
    'episodes[supervisor=openshell].bounding_after == 0x0' \
    'episodes[supervisor=openshell].fate == exec' \
    'count(episodes[supervisor=crun]) >= 1' \
    'episodes[supervisor=crun].verdict == ok' \
    'failed_on == []' \
    'command.exit_code == 0'
