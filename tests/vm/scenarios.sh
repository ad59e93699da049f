#!/bin/sh
# What every kernel must show of drops, fates, threads and trees, with each mechanism.
# timeout: 900
# env-matrix: HOOKS=fexit,kprobe,tracepoint
. "$CAPWATCH_LIB"

captest suite --hooks="$HOOKS" --groups counts,drops,fail_on,fates,threads,tree
status=$?
# Its lines tell what failed; anything else is a failure of the suite itself.
[ "$status" -le 1 ] || not_ok "the suite" "it ended with $status"
