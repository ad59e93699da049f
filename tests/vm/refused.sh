#!/bin/sh
# Real programs that the kernel refuses by a rule, without a check, or that lose what
# their file gives, in containers and of an ordinary user. What the sentence advises is
# done, and helps.
# root: full
# kernels: 6.1 6.12
# packages: containerd,iputils-ping
# daily: 6.12
# timeout: 600
. "$CAPWATCH_LIB"
cd /tmp || exit

gate=rule
# reported NAME CONDITION…: of the report NAME.json; where one fails, its refusals are shown.
reported() {
    name=$1
    shift
    check "$name: what was refused" testbed check "$name.json" "$@"
    testbed check "$name.json" "$@" >/dev/null 2>&1 || jq -c '.rule_refusals[]' "$name.json"
}
check "the image imports" podman import --quiet /usr/share/capwatch/busybox.tar busybox
# The host's programs and libraries, in a container.
host="-v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro"
container="podman run --rm --network=none $host"

# A file's capability that the container does not get.
setcap cap_net_raw=ep /usr/bin/ping
# shellcheck disable=SC2086
gated ping 3 -- $container --cap-drop NET_RAW busybox /usr/bin/ping -c 1 127.0.0.1
reported ping 'count(rule_refusals[rule=file_beyond_bounding]) == 1' \
    'rule_refusals[rule=file_beyond_bounding].call == exec' \
    'rule_refusals[rule=file_beyond_bounding].missing == ["net_raw"]' \
    'rule_refusals[rule=file_beyond_bounding].path == /usr/bin/ping' \
    'rule_refusals[rule=file_beyond_bounding].container.runtime == podman' \
    'rule_refusals[rule=file_beyond_bounding].explanation ~ "--cap-add NET_RAW"'
# shellcheck disable=SC2086
gated ping-granted 0 -- $container --cap-add NET_RAW busybox /usr/bin/ping -c 1 127.0.0.1
reported ping-granted 'count(rule_refusals) == 0' 'command.exit_code == 0'
setcap -r /usr/bin/ping

# A web server with a file capability, below containerd.
mkdir rootfs
tar -C rootfs -xf /usr/share/capwatch/busybox.tar
cp rootfs/bin/busybox rootfs/httpd
setcap cap_net_bind_service=ep rootfs/httpd
containerd >/tmp/containerd.out 2>&1 &
containerd=$!
check "containerd answers" wait_for 120 ctr version || tail -n 5 /tmp/containerd.out
gated web 3 -- ctr run --rm --rootfs --cap-drop CAP_NET_BIND_SERVICE /tmp/rootfs web \
    /httpd -f -p 127.0.0.1:80 -h /
reported web 'count(rule_refusals[rule=file_beyond_bounding]) == 1' \
    'rule_refusals[rule=file_beyond_bounding].missing == ["net_bind_service"]' \
    'rule_refusals[rule=file_beyond_bounding].path == /httpd' \
    'rule_refusals[rule=file_beyond_bounding].supervisor == runc' \
    'rule_refusals[rule=file_beyond_bounding].container.id == web'
setcap -r rootfs/httpd
gated web-cleared 0 -- timeout 20 ctr run --rm --rootfs --cap-drop CAP_NET_BIND_SERVICE \
    /tmp/rootfs web2 /bin/busybox true
reported web-cleared 'count(rule_refusals) == 0' 'command.exit_code == 0'
kill "$containerd"

# newuidmap without its set-user-id bit.
login="setpriv --reuid 1000 --regid 1000 --clear-groups"
user="env HOME=/home/user USER=user XDG_RUNTIME_DIR=/run/user/1000"

# shellcheck disable=SC2086
gated newuidmap 3 -- $login --no-new-privs $user \
    sh -c 'cd /home/user && podman unshare true'
reported newuidmap 'count(rule_refusals[rule=lost_no_new_privs]) >= 1' \
    'rule_refusals[rule=lost_no_new_privs].errno == 0' \
    'rule_refusals[rule=lost_no_new_privs].exe ~ newuidmap' \
    'any(rule_refusals.rule) == not_own_id'

# A user namespace in a container whose runtime lacks SETFCAP.
container="$container --security-opt seccomp=unconfined"
for program in "unshare --user --map-root-user /bin/true" \
    "bwrap --unshare-user --ro-bind / / /bin/true"; do
    what=${program%% *}
    # shellcheck disable=SC2086
    gated "$what" 3 -- $container --cap-drop SETFCAP busybox /usr/bin/$program
    reported "$what" 'count(rule_refusals[rule=creator_lacks_setfcap]) == 1' \
        'rule_refusals[rule=creator_lacks_setfcap].call == uid_map' \
        'rule_refusals[rule=creator_lacks_setfcap].missing == ["setfcap"]' \
        "rule_refusals[rule=creator_lacks_setfcap].comm == $what"
done
# shellcheck disable=SC2086
gated unshare-granted 0 -- $container --cap-add SETFCAP busybox \
    /usr/bin/unshare --user --map-root-user /bin/true
reported unshare-granted 'count(rule_refusals) == 0' 'command.exit_code == 0'

# An ambient capability that is not inheritable: crun and runc start all the same.
mkdir -p bundle/rootfs
tar -C bundle/rootfs -xf /usr/share/capwatch/busybox.tar
for runtime in crun runc; do
    rm -f bundle/config.json
    (cd bundle && $runtime spec && jq '.process.terminal = false
        | .process.args = ["/bin/true"] | .process.user = {"uid": 33, "gid": 33}
        | .process.capabilities.inheritable = []
        | .process.capabilities.ambient = ["CAP_KILL"]' config.json >new && mv new config.json)
    gated "ambient-$runtime" 3 -- $runtime run --bundle bundle "ambient-$runtime"
    reported "ambient-$runtime" 'count(rule_refusals[call=ambient]) == 1' \
        'rule_refusals[call=ambient].rule == not_inheritable' \
        'rule_refusals[call=ambient].missing == ["kill"]' \
        "rule_refusals[call=ambient].supervisor == $runtime"
done
