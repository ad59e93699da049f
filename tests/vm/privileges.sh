#!/bin/sh
# Each capability of the unit is taken away in turn: what `doctor` says then, what the
# agent says of itself, and what a finding lacks. docs/privileges.md is written from it.
# kernels: 6.12
# timeout: 300
# full-only
. "$CAPWATCH_LIB"
cd /tmp || exit
five="bpf perfmon audit_read sys_ptrace dac_read_search"

# as_service CAPABILITIES COMMAND…: as the unit starts it, with these alone.
as_service() {
    kept=$(printf ',+%s' $1)
    shift
    setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set="-all$kept" \
        --inh-caps="-all$kept" --ambient-caps="-all$kept" "$@"
}
page() { wget -q -O - "http://127.0.0.1:11400$1"; }

# Root's, which began before the agent, in a cgroup that a rule names.
cp "$(command -v testbed)" openshell-sandbox
mkdir /sys/fs/cgroup/sandbox-1.scope
chmod 700 /sys/fs/cgroup/sandbox-1.scope
cat >rules.toml <<'TOML'
[[supervisor]]
name = "by-cgroup"
cgroup = ["*/sandbox-*.scope"]
TOML
incidents() {
    ./openshell-sandbox incident -- /bin/true
    sh -c 'echo $$ >/sys/fs/cgroup/sandbox-1.scope/cgroup.procs; exec testbed do lower setpcap clear'
}

# tried NAME CAPABILITIES: doctor, and an agent that sees two failures; NAME.json is
# doctor's, NAME.status, NAME.episodes and NAME.log the agent's.
tried() {
    as_service "$2" capwatch --quiet doctor -o json >"$1.json" 2>"$1.err"
    as_service "$2" capwatch --config rules.toml run --log-format text >"$1.log" 2>&1 &
    agent=$!
    wait_for 20 page /-/healthy
    incidents >/dev/null 2>&1
    seen() { page /api/v1/episodes | grep -q '"verdict":"fatal"'; }
    wait_for 5 seen
    page /api/v1/status >"$1.status"
    page /api/v1/episodes >"$1.episodes"
    kill "$agent"
    wait "$agent"
}
# without CAPABILITY: the others are left; what doctor then says.
without() {
    name=$1
    tried "$name" "$(echo "$five" | sed "s/$name//")"
    upper=$(echo "$name" | tr a-z A-Z)
    check "without $name: doctor names it, and no other" testbed check "$name.json" \
        'verdict == degraded' 'count(capabilities.missing) == 1' "capabilities.missing == $name" \
        "any(findings.what) ~ CAP_$upper" 'count(findings[level=problem]) >= 1'
    check "without $name: the log names it" grep -q "CAP_$upper.* missing" "$name.log"
    grep "CAP_$upper.* missing" "$name.log" | head -n 1
}
episode() { grep -c '"verdict":"fatal"' "$1.episodes"; }

tried all "$five"
check "with all five: doctor misses nothing" testbed check all.json 'verdict == all' 'count(capabilities.missing) == 0'
check "with all five: the agent sees all" testbed check all.status 'sight.complete == true' 'sandbox.state == whole'
check "with all five: version and cgroup are known" testbed check all.episodes \
    'episodes[supervisor=openshell].version ~ sha256' 'count(episodes[supervisor=by-cgroup]) == 1'

without bpf
check "without bpf: nothing is attached" testbed check bpf.status 'hooks.attached == false' 'any(sight.reasons.reason) == hook_down'
without perfmon
check "without perfmon: nothing is attached" testbed check perfmon.status 'hooks.attached == false' 'any(sight.reasons.reason) == hook_down'
without audit_read
check "without audit_read: hooks see, no source is connected" testbed check audit_read.status \
    'hooks[hook=security_capable].attached == true' 'any(sight.reasons.reason) == source_down'
without sys_ptrace
check "without sys_ptrace: the page says that names are missing" testbed check sys_ptrace.status \
    'any(sight.reasons.reason) == privilege_missing' 'any(lapses.reason) == privilege_missing'
check "without sys_ptrace: the version is missing, the failure is not" testbed check sys_ptrace.episodes \
    'episodes[supervisor=openshell].version == null' 'episodes[supervisor=openshell].verdict == fatal'
without dac_read_search
check "without dac_read_search: the page says that names are missing" testbed check dac_read_search.status \
    'any(sight.reasons.reason) == privilege_missing'
check "without dac_read_search: the cgroup's rule does not match, the failure is seen" testbed check dac_read_search.episodes \
    'count(episodes[supervisor=by-cgroup]) == 0' 'count(episodes[verdict=fatal]) == 2'

# CAP_SYS_ADMIN covers the first two.
tried admin "sys_admin audit_read sys_ptrace dac_read_search"
check "with sys_admin in place of bpf and perfmon: nothing is missing" testbed check admin.json \
    'verdict == all' 'count(capabilities.missing) == 0'
for file in all bpf perfmon audit_read sys_ptrace dac_read_search admin; do
    echo "--- $file"
    sed -n 's/^ *"\(what\|remedy\)"/\1/p' "$file.json"
    tail -n 3 "$file.log"
done
