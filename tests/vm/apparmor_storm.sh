#!/bin/sh
# A storm of denials by an AppArmor profile: each is counted or said to be missed, the
# page and the metrics go on, the audit log's losses are reported, and a supervisor that
# fails meanwhile is reported.
# kernels: 6.12 7.x
# timeout: 600
# daily: 6.12
. "$CAPWATCH_LIB"
cd /tmp || exit
ip link set lo up
unprivileged_userns_profile >userns.profile
check "the profile loads" load_profile userns.profile
for name in stormsup stormer; do cp "$(command -v testbed)" "$name"; done
printf '[[supervisor]]\nname = "stormsup"\nexe = ["stormsup"]\n' >storm.toml
PATH=$PATH:$PWD

capwatch run --config storm.toml >/dev/null 2>log &
agent=$!
check "the agent is ready" wait_for 60 wget -qO /dev/null http://127.0.0.1:11400/-/ready
# Below the profile a process has all capabilities, and the profile grants none.
denied() {
    value capwatch_denials_total 'capability="sys_chroot"'
}
truth=800000
testbed do profile unprivileged_userns exec "$PWD/stormer" storm --threads 8 \
    --count $((truth / 8)) >/dev/null &
storm=$!
scrapes=0
last=0
grows=0
while kill -0 $storm 2>/dev/null; do
    now=$(denied)
    [ "$now" -lt "$last" ] && not_ok "a counter fell" "from $last to $now"
    [ "$now" -gt "$last" ] && grows=$((grows + 1))
    last=$now
    scrapes=$((scrapes + 1))
    # A supervisor beside it.
    [ $scrapes != 3 ] || testbed do drop except:chown exec stormsup \
        do repeat 20 fork drop chown exit 1 end end exit 0
    wget -qO /dev/null http://127.0.0.1:11400/api/v1/status ||
        not_ok "the status is answered" "in the storm"
done
wait $storm
check "scrapes show it grow" test $grows -ge 3
exact() {
    counted=$(denied)
    missed=$(value capwatch_program_misses_total 'program="')
    test "$counted" -le $truth && test $((counted + missed)) -ge $truth
}
check "each denial is counted, or said to be missed" wait_for 30 exact
fatal() { test "$(value capwatch_bounding_drop_episodes_total 'supervisor="stormsup"')" -ge 20; }
check "the supervisor's failures are reported" wait_for 20 fatal
echo "note apparmor_storm: $scrapes scrapes in $truth denials, $(denied) counted, $(value capwatch_program_misses_total 'program="') missed"
wget -qO - http://127.0.0.1:11400/metrics | grep -E '^capwatch_(audit|sight)' | grep -v ' 0$'
kill $agent
wait $agent
check "it ends in good order" test $? = 0
