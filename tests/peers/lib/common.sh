# shellcheck shell=bash
# What the peers' tests share: results, packages, the agent. Source it.
#
#   CAPWATCH  the agent's binary; built when unset
#   TESTBED   the helper that makes episodes, tests' `testbed`
#   ADDRESS   an agent that already runs, HOST:PORT; none is started then
#   KEEP      a folder for screenshots and answers; a temporary one when unset

set -uo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
failures=0
started=()
WORK=$(mktemp -d)
KEEP=${KEEP:-$WORK/keep}
mkdir -p "$KEEP"

ok() { echo "ok $1"; }
not_ok() {
    echo "not ok $1: ${2//$'\n'/ | }"
    failures=$((failures + 1))
}
skip() { echo "skip $1: $2"; }

# check NAME COMMAND…: ok when the command succeeds, else its last lines.
check() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then ok "$name"; else not_ok "$name" "$(tail -n 15 <<<"$output")"; fi
}

# Ends only what was started here.
cleanup() {
    local pid
    for pid in "${started[@]:-}"; do
        [ -n "$pid" ] && kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
    done
    rm -rf "$WORK"
}
trap cleanup EXIT

finish() { exit $((failures > 0)); }

# need COMMAND PACKAGE…: installs through apt where the command is missing.
need() {
    local command=$1
    shift
    command -v "$command" >/dev/null && return 0
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >"$WORK/apt.log" 2>&1 ||
        { apt-get update >>"$WORK/apt.log" 2>&1 &&
            DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >>"$WORK/apt.log" 2>&1; }
    command -v "$command" >/dev/null
}

# npm_modules PACKAGE@VERSION…: into a cache of the build folder, once.
npm_modules() {
    need node nodejs && need npm npm || return 1
    MODULES=${CARGO_TARGET_DIR:-$ROOT/target}/peers-npm
    mkdir -p "$MODULES"
    [ -f "$MODULES/package.json" ] || echo '{"private":true}' >"$MODULES/package.json"
    local package
    for package in "$@"; do
        [ "$(sed -n 's/.*"version": "\(.*\)".*/\1/p' "$MODULES/node_modules/${package%@*}/package.json" 2>/dev/null | head -n1)" = "${package##*@}" ] && continue
        (cd "$MODULES" && npm install --no-audit --no-fund "$package" >"$WORK/npm.log" 2>&1) || return 1
    done
    export MODULES
}

agent_binary() {
    if [ -z "${CAPWATCH:-}" ]; then
        (cd "$ROOT" && cargo build --quiet --release -p observer) || return 1
        CAPWATCH=${CARGO_TARGET_DIR:-$ROOT/target}/release/capwatch
    fi
    [ -x "$CAPWATCH" ]
}

# start_agent: runs the agent, unless ADDRESS names one; waits until it is ready.
start_agent() {
    if [ -z "${ADDRESS:-}" ]; then
        agent_binary || { echo "no agent: give CAPWATCH or ADDRESS"; return 1; }
        ADDRESS=127.0.0.1:$((20000 + RANDOM % 20000))
        "$CAPWATCH" run --web.listen-address "$ADDRESS" >"$WORK/agent.log" 2>&1 &
        started+=($!)
        AGENT_PID=$!
    fi
    wait_for "http://$ADDRESS/-/ready" || { tail -n 20 "$WORK/agent.log" 2>/dev/null; return 1; }
}

wait_for() {
    local _
    for _ in $(seq 150); do
        curl -fsS -o "$WORK/ready" "$1" 2>/dev/null && return 0
        sleep 0.2
    done
    echo "no answer from $1"
    return 1
}

# soon COMMAND…: whether it holds within half a minute.
soon() {
    local _
    for _ in $(seq 60); do
        "$@" && return 0
        sleep 0.5
    done
    return 1
}

# make_episodes: one of each verdict, by a program with the name of a supervisor
# that the catalogue knows; of two versions, with the second of which drops begin
# to fail. Says on stdout what was made; without the helper nothing, and the
# caller skips.
make_episodes() {
    [ -x "${TESTBED:-}" ] || return 1
    local working=$WORK/1/openshell-sandbox supervisor=$WORK/2/openshell-sandbox
    if [ ! -x "$supervisor" ]; then
        mkdir -p "$WORK/1" "$WORK/2"
        cp "$TESTBED" "$working"
        cp "$TESTBED" "$supervisor"
        # Another digest, and so another version.
        echo >>"$supervisor"
    fi
    # As supervisors do: the process lives, which is how its version is known, and
    # a child of it drops.
    "$working" do sleep 300 fork clear exec /bin/true >/dev/null 2>&1 && echo ok
    "$working" do sleep 300 fork drop chown lower setpcap drop chown exec /bin/true >/dev/null 2>&1 && echo harmless
    "$supervisor" do sleep 300 fork lower setpcap clear >/dev/null 2>&1 || echo fatal
    "$supervisor" do sleep 300 fork lower setpcap try-clear exec /bin/sleep 120 >/dev/null 2>&1 &
    started+=($!)
    echo degraded
    "$supervisor" do sleep 300 fork lower setpcap try-clear sleep 30000 exit 0 >/dev/null 2>&1 &
    started+=($!)
    echo pending
}
