#!/usr/bin/env bash
# Programs that others wrote, beside strace: the calls, the refusals, and the set of
# what was launched in the end. Runtimes, sandboxes and daemons of Debian, by root with
# SETPCAP and without, and by a user; with --full the sandboxes of agents as npm has them.
# timeout: 600
. "$(dirname "$0")/lib/common.sh"

need strace strace && need node nodejs || { skip real "strace or node is not to be had"; finish; }
[ "$(id -u)" = 0 ] || { skip real "root alone sees what others do"; finish; }
agent_binary || { not_ok "real: capwatch is built"; finish; }
cd "$WORK" || exit 1
chmod 755 "$WORK"
NOBODY=(setpriv --reuid 65534 --regid 65534 --clear-groups)
WITHOUT=(setpriv --bounding-set=-setpcap)
SHOW=(grep CapBnd /proc/self/status)

# real NAME EXPECTED… -- COMMAND…: runs it with every drop counted by strace and by
# capwatch. EXPECTED are words of js/beside.mjs.
real() {
    local name=$1 expected=()
    shift
    while [ "$1" != -- ]; do expected+=("$1"); shift; done
    shift
    rm -f report.json stream trace
    timeout 60 "$CAPWATCH" record --scope tree -o json --report report.json --stream stream -- \
        strace -f -qq -o trace -e trace=prctl,execve,clone,clone3,unshare "$@" >out 2>err </dev/null
    echo "exit $?" >>out
    cp report.json "$KEEP/$name.json" 2>/dev/null
    cp trace "$KEEP/$name.trace" 2>/dev/null
    local said
    if said=$(node "$ROOT/tests/peers/js/beside.mjs" report.json trace out "${expected[@]}" 2>&1); then
        ok "real: $name ($said)"
    else
        not_ok "real: $name" "$said; $(tail -n 3 err)"
    fi
}

# bundle RUNTIME: a container whose process shows its set; its configuration wants three.
bundle() {
    mkdir -p "bundle-$1/rootfs/bin" "bundle-$1/rootfs/proc"
    cp "$(command -v busybox)" "bundle-$1/rootfs/bin/busybox"
    cat >"bundle-$1/config.json" <<JSON
{"ociVersion":"1.0.2","process":{"terminal":false,"user":{"uid":0,"gid":0},"cwd":"/",
 "args":["/bin/busybox","sh","-c","/bin/busybox grep CapBnd /proc/self/status; /bin/busybox sleep 0.2"],"env":["PATH=/bin"],
 "capabilities":{"bounding":["CAP_CHOWN","CAP_KILL","CAP_SETUID"],"effective":["CAP_CHOWN"],"permitted":["CAP_CHOWN"]}},
 "root":{"path":"rootfs","readonly":true},
 "mounts":[{"destination":"/proc","type":"proc","source":"proc"}],
 "linux":{"namespaces":[{"type":"pid"},{"type":"mount"}]}}
JSON
}

if need busybox busybox-static; then
    for runtime in runc crun; do
        need "$runtime" "$runtime" || { skip "real: $runtime" "not to be had"; continue; }
        if [ "$runtime" = crun ] && [ -d /sys/fs/cgroup/unified ]; then
            skip "real: crun" "it refuses a host with both hierarchies of cgroups"
            continue
        fi
        bundle "$runtime"
        real "$runtime" verdict=ok -- "$runtime" run -b "bundle-$runtime" "real-$runtime"
    done
    # runc looks first and makes no call; crun tries, and gives up.
    [ -d bundle-runc ] && real "runc without SETPCAP" verdict=degraded skipped -- "${WITHOUT[@]}" runc run -b bundle-runc real-runc
    [ -d bundle-crun ] && real "crun without SETPCAP" verdict=fatal -- "${WITHOUT[@]}" crun run -b bundle-crun real-crun
fi
if need bwrap bubblewrap; then
    # By root it lowers no bounding set.
    real "bwrap" -- bwrap --bind / / --cap-drop ALL "${SHOW[@]}"
    real "bwrap without SETPCAP" -- "${WITHOUT[@]}" bwrap --bind / / --cap-drop ALL "${SHOW[@]}"
    real "bwrap of a user" verdict=ok -- "${NOBODY[@]}" bwrap --unshare-user --bind / / "${SHOW[@]}"
fi
if need firejail firejail; then
    real "firejail" verdict=ok -- firejail --quiet --noprofile --caps.drop=all "${SHOW[@]}"
    real "firejail without SETPCAP" verdict=fatal -- "${WITHOUT[@]}" firejail --quiet --noprofile --caps.drop=all "${SHOW[@]}"
fi
if need setpriv util-linux; then
    real "setpriv" verdict=ok -- setpriv --bounding-set=-all "${SHOW[@]}"
fi
if need capsh libcap2-bin; then
    real "capsh" verdict=ok -- capsh --drop=cap_chown,cap_kill -- -c "${SHOW[*]}"
    real "capsh without SETPCAP" -- "${WITHOUT[@]}" capsh --drop=cap_chown,cap_kill -- -c "${SHOW[*]}"
fi
# It wants a tun device, and a user namespace for the user that it becomes.
if need pasta passt && timeout 5 pasta --config-net --quiet true >/dev/null 2>&1; then
    real "pasta" verdict=harmless -- pasta --config-net --quiet "${SHOW[@]}"
else
    skip "real: pasta" "it does not start on this host"
fi
if need slirp4netns slirp4netns; then
    unshare -n sleep 600 &
    started+=($!)
    sleep 0.3
    real "slirp4netns" verdict=ok -- timeout -s TERM 3 slirp4netns --configure --enable-sandbox $! tap0
    real "slirp4netns without SETPCAP" verdict=fatal supervisor=slirp4netns -- "${WITHOUT[@]}" timeout -s TERM 3 slirp4netns --configure --enable-sandbox $! tap0
fi
if need irqbalance irqbalance; then
    real "irqbalance" -- timeout -s TERM 3 irqbalance --foreground --oneshot
    real "irqbalance without SETPCAP" -- "${WITHOUT[@]}" timeout -s TERM 3 irqbalance --foreground --oneshot
fi
if [ -z "${CAPWATCH_FULL:-}" ]; then
    skip "real: agents' sandboxes" "they run only with --full"
elif need rg ripgrep && need socat socat && npm_modules @anthropic-ai/sandbox-runtime@0.0.78 @openai/codex@0.171.0; then
    chmod -R a+rX "$MODULES"
    for who in root user; do
        as=()
        # codex keeps its helpers at home, and not in a temporary folder.
        [ "$who" = user ] && install -d -o 65534 -g 65534 "$MODULES/home" && as=("${NOBODY[@]}" env "HOME=$MODULES/home")
        real "srt by $who" shows -- "${as[@]}" "$MODULES/node_modules/.bin/srt" "${SHOW[@]}"
        real "codex by $who" shows -- "${as[@]}" "$MODULES/node_modules/.bin/codex" sandbox "${SHOW[@]}"
    done
else
    skip "real: agents' sandboxes" "npm cannot install them: $(tail -n 1 "$WORK/npm.log")"
fi
finish
