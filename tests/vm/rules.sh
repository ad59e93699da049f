#!/bin/sh
# What the kernel refuses by a rule, without a check: every row of the table that can
# be provoked, with its rule, capabilities, error and process; and nothing else.
# timeout: 900
# daily: 6.12
# env-matrix: HOOKS=fexit,kprobe
. "$CAPWATCH_LIB"
cd /tmp || exit

errno_of() {
    case $1 in
    setgroups.unmapped) echo 22 ;;
    exec.lost_*) echo 0 ;;
    userns.limit | userns.depth) echo 28 ;;
    *) echo 1 ;;
    esac
}
missing_of() {
    case $1 in
    exec.lost_no_new_privs) echo '["chown"]' ;;
    exec.lost_*) echo '[]' ;;
    exec.*) echo '["net_bind_service"]' ;;
    capset.other_process) echo '[]' ;;
    capset.* | ambient.not_*) echo '["chown"]' ;;
    *.creator_lacks_setfcap) echo '["setfcap"]' ;;
    uid_map.not_own_id) echo '["setuid"]' ;;
    gid_map.not_own_id) echo '["setgid"]' ;;
    *) echo '[]' ;;
    esac
}

# Before 5.12 the creator of a namespace needs no SETFCAP.
rules=$(testbed rules list | { [ "$(series)" = 5.10 ] && grep -v setfcap || cat; })
# Losses are reported for a supervisor's tree alone.
cp "$(command -v testbed)" openshell-sandbox
cat >provoke.sh <<'PROVOKE'
for rule in $*; do
    program=testbed
    case $rule in *.lost_*) program=./openshell-sandbox ;; esac
    pid=$($program rules "$rule") || echo "failed $rule"
    echo "$rule $pid"
done
PROVOKE
capwatch record --hooks="$HOOKS" -o json --report report.json --stream stream.jsonl \
    --fail-on rule -- sh provoke.sh $rules >provoked 2>record.log
status=$?
tail -n 5 record.log
check "record fails on a rule" test "$status" = 3
check "every call was refused" sh -c '! grep failed provoked'
for rule in $rules; do
    call=${rule%.*}
    pid=$(sed -n "s/^$rule //p" provoked)
    row="rule_refusals[call=$call, rule=${rule#*.}]"
    check "$rule" testbed check report.json "count($row) == 1" "$row.count == 1" \
        "$row.errno == $(errno_of "$rule")" "$row.missing == $(missing_of "$rule")" \
        "$row.pid == ${pid:-0}"
done
all=$(echo "$rules" | wc -l)
beyond='rule_refusals[rule=file_beyond_bounding]'
check "nothing else was refused" testbed check report.json \
    "count(rule_refusals) == $all" "sum(rule_refusals.count) == $all"
check "the refused file is named" testbed check report.json \
    "$beyond.exe == testbed-beyond" "$beyond.explanation ~ setcap" \
    "$beyond.path == /tmp/testbed-beyond"
check "what is lost is reported of its supervisor, and is no refusal" testbed check report.json \
    'count(rule_refusals[errno=0]) == 4' 'rule_refusals[errno=0].supervisor == openshell' \
    'rule_refusals[rule=lost_nosuid].explanation ~ "its mount is nosuid"' \
    "rule_refusals[rule=lost_nosuid].explanation ~ set-user-id"
check "the episode says why" testbed check report.json \
    'any(episodes.explanation) ~ "then could not execute"'
capwatch replay -o json stream.jsonl >replayed.json
check "the same replayed" cmp report.json replayed.json
if [ "$(series)" = 7.x ]; then
    skip "sight is complete" "Linux 7 skips a program now and then, and sight says so"
else
    check "sight is complete" testbed check report.json 'sight.complete == true'
fi

# No rule refusal is reported for a granted call.
count=200
[ "${CAPWATCH_FULL:+$(series)}" != 6.12 ] || count=10000
capwatch record --hooks="$HOOKS" -o json --report granted.json -- \
    testbed rules succeed --count "$count" >granted.log 2>&1
check "execs, capsets and maps that succeed are no refusals" \
    testbed check granted.json 'count(rule_refusals) == 0' 'command.exit_code == 0'

# A loop is counted to the unit, and reported now and then.
capwatch run --hooks="$HOOKS" --web.listen-address 127.0.0.1:11400 --events events.jsonl \
    >run.log 2>&1 &
agent=$!
wait_for 60 wget -qO /dev/null http://127.0.0.1:11400/-/ready
testbed rules capset.permitted_beyond_permitted --count 2000 >/dev/null
sleep 2
wget -qO metrics http://127.0.0.1:11400/metrics
check "a loop is counted" grep -q \
    'capwatch_rule_refusals_total{.*rule="permitted_beyond_permitted".* 2000$' metrics
check "and reported now and then" test "$(grep -c rule_refusal events.jsonl)" -le 20
kill $agent
wait $agent
