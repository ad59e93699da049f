#!/bin/sh
# What every kernel must show of drops, fates, threads and trees, with each mechanism.
# timeout: 480
# env-matrix: HOOKS=fexit,kprobe,tracepoint
. "$CAPWATCH_LIB"
cd /tmp || exit

captest suite --hooks="$HOOKS" --groups counts,drops,fail_on,fates,threads,tree
status=$?
# Its lines tell what failed; anything else is a failure of the suite itself.
[ "$status" -le 1 ] || not_ok "the suite" "it ended with $status"

# A kernel that finds fault with what the programs do says so here.
if dmesg | grep -E 'WARNING:|BUG:|Oops' >complaints; then
    dmesg | grep -A 25 -E 'WARNING:|BUG:|Oops' | head -60
    not_ok "the kernel complains of nothing" "$(head -n 1 complaints)"
else
    ok "the kernel complains of nothing"
fi
