#!/bin/sh
# What every kernel must show of drops, fates, threads and trees, with each mechanism.
# timeout: 1500
# env-matrix: HOOKS=fexit,kprobe,tracepoint
# daily: 6.12
# alone
. "$CAPWATCH_LIB"
cd /tmp || exit

# Every day one mechanism has calls, fates and trees, the other sets.
groups=counts,drops,fail_on,fates,sets,threads,tree
case ${CAPWATCH_FULL:-daily}-$HOOKS in
daily-kprobe) groups=sets ;;
daily-*) groups=counts,drops,fail_on,fates,threads,tree ;;
esac
# One agent at a time: what the kernel does to its own code when two attach and detach at
# once is not safe on emulated processors (a null call in security_capable on 6.1, an int3
# left over in do_exit on 6.12).
testbed suite --hooks="$HOOKS" --jobs 1 --groups "$groups"
status=$?
# Its lines show what failed; anything else is a failure of the suite itself.
[ "$status" -le 1 ] || not_ok "the suite" "it ended with $status"

# What the walk gives is what the kernel's own functions answered.
if [ "$HOOKS" != tracepoint ]; then
    capwatch run --hooks="$HOOKS" --web.listen-address 127.0.0.1:11400 >run.log 2>&1 &
    agent=$!
    wait_for 60 wget -qO /dev/null http://127.0.0.1:11400/-/ready
    testbed do fork lower setuid,sys_chroot repeat 20 setuid 65534 setuid 0 end exit 0 end \
        fork unshare fork drop chown exit 0 end exit 0 end exit 0
    testbed storm --threads 2 --count 100 --capability sys_chroot
    sleep 1
    wget -qO metrics http://127.0.0.1:11400/metrics
    grep '^capwatch_walk' metrics | sed 's/^/note: /'
    check "the walk agrees with the kernel" grep -qx 'capwatch_walk_disagreements_total 0' metrics
    # Before 6.14 only kprobes see commoncap's own answer.
    case $HOOKS-$(uname -r) in
    kprobe-*|*-7.*) check "the walk was compared" \
        test "$(sed -n 's/^capwatch_walk_comparisons_total //p' metrics)" -ge 100 ;;
    esac
    kill $agent
    wait $agent
fi

# A kernel that finds fault with what the programs do says so here.
if dmesg | grep -E 'WARNING:|BUG:|Oops' >complaints; then
    dmesg | grep -A 25 -E 'WARNING:|BUG:|Oops' | head -60
    not_ok "the kernel complains of nothing" "$(head -n 1 complaints)"
else
    ok "the kernel complains of nothing"
fi
