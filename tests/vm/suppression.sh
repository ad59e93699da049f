#!/bin/sh
# What the log leaves out: duplicates, quiet rules, the denier of a stack. The
# hooks count them all, and say which it was.
# kernels: 6.1 6.12 7.x
# timeout: 300
# daily: 6.12
. "$CAPWATCH_LIB"
mkdir -p /tmp/suppression && cd /tmp/suppression || exit
sysctl -qw kernel.printk_ratelimit=0
cat >profiles <<'PROFILE'
abi <abi/3.0>,
profile cw_denied flags=(attach_disconnected,mediate_deleted) {
  audit deny capability setpcap,
  file rwlkmix /{,**},
}
profile cw_quiet flags=(attach_disconnected,mediate_deleted) {
  deny capability setpcap,
  file rwlkmix /{,**},
}
profile cw_complain flags=(attach_disconnected,mediate_deleted,complain) {
  file rwlkmix /{,**},
}
PROFILE
check "the profiles load" load_profile profiles
expires=no
case $(uname -r) in
7.*) expires=yes ;;
esac

# recorded NAME PROFILE STEPS…
recorded() {
    recorded_name=$1 recorded_profile=$2
    shift 2
    capwatch record -o json --report "$recorded_name.json" --stream "$recorded_name.jsonl" -- \
        aa-exec -p "$recorded_profile" -- testbed do "$@"
    capwatch replay -o json "$recorded_name.jsonl" >replayed.json
    check "$recorded_name: the stream gives the same report" cmp "$recorded_name.json" replayed.json
}

setpcap='denials[capability=setpcap, comm=testbed]'
recorded many cw_denied repeat 1000 drop chown
check "a thousand denials and few records" testbed check many.json \
    "$setpcap.count == 1000" "$setpcap.profile == cw_denied" \
    "$setpcap.logged >= 1" "$setpcap.logged <= 20" \
    "$setpcap.leftover == duplicate" \
    'audit.matched <= 20' 'audit.ebpf_only >= 980' 'audit.audit_only == 0' \
    'audit.leftovers.duplicate >= 980'

# With a pause that duplicates do not outlive where they expire.
recorded quiet cw_quiet drop chown sleep 1500 drop chown
reason=quiet_rule_or_duplicate
[ "$expires" = no ] || reason=quiet_rule
check "a quiet rule: $reason" testbed check quiet.json \
    "$setpcap.count == 2" "$setpcap.profile == cw_quiet" "$setpcap.logged == 0" \
    "$setpcap.leftover == $reason" "audit.leftovers.$reason == 2" 'audit.records == 0'

# Duplicates of the runs before are reported again: the profiles are new to the kernel.
apparmor_parser --remove profiles
check "the profiles load anew" load_profile profiles
recorded stack 'cw_complain//&cw_denied' drop chown
if [ "$expires" = yes ]; then
    check "the log says ALLOWED of a refusal" testbed check stack.json \
        "$setpcap.count == 1" "$setpcap.layer == apparmor" \
        "$setpcap.leftover == log_says_allowed" \
        'episodes[comm=testbed].verdict == fatal' \
        'audit.records == 1' 'audit.matched == 1' 'audit.audit_only == 0'
else
    check "the log says both, and DENIED is the event's" testbed check stack.json \
        "$setpcap.count == 1" "$setpcap.layer == apparmor" \
        "$setpcap.leftover == null" \
        'audit.records >= 1' 'audit.matched == 1' 'audit.audit_only == 0'
fi

# The agent's metric shows the difference.
ifconfig lo 127.0.0.1 up
apparmor_parser --remove profiles
load_profile profiles
capwatch run >run.out 2>&1 &
agent=$!
fetch() { wget -qO metrics http://127.0.0.1:11400/metrics; }
check "the agent serves" wait_for 20 fetch
aa-exec -p cw_denied -- testbed do repeat 1000 drop chown
has_nine() { fetch && grep -q 'capwatch_audit_matches_total{result="ebpf_only"} 9' metrics; }
check "audit_matches_total shows what the log left out" wait_for 20 has_nine
grep 'audit_matches_total{' metrics
matched=$(sed -n 's/^capwatch_audit_matches_total{result="matched"} //p' metrics)
unmatched=$(sed -n 's/^capwatch_audit_matches_total{result="ebpf_only"} //p' metrics)
check "matched and ebpf_only are all there were" test $((matched + unmatched)) = 1000
kill "$agent"
wait "$agent"
