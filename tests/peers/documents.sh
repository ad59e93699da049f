#!/usr/bin/env bash
# The commands of the documents, as they are written there: those that can run on this host
# are run beside an agent, and the others say why not (lib/documents.py has the list).
# timeout: 600
. "$(dirname "$0")/lib/common.sh"

need curl curl && need python3 python3 && need perl perl-base && need setpriv util-linux ||
    { skip documents "curl, python3, perl or setpriv is not to be had"; finish; }
[ "$(id -u)" = 0 ] || { skip documents "only root can attach"; finish; }
agent_binary || { skip documents "no agent: give CAPWATCH"; finish; }
curl -fsS -o "$WORK/other" http://127.0.0.1:11400/-/healthy 2>/dev/null &&
    { skip documents "another agent has the documents' port"; finish; }

mkdir "$WORK/bin" "$WORK/project"
ln -s "$(realpath "$CAPWATCH")" "$WORK/bin/capwatch"
PATH=$WORK/bin:$PATH
ADDRESS=127.0.0.1:11400
capwatch run >"$WORK/agent.log" 2>&1 &
started+=($!)
ready() { wait_for "http://$ADDRESS/-/healthy"; }
check "documents: the agent starts" ready

# What the commands name: tests of a project, and the rules of docs/supervisors.md.
cd "$WORK/project" || exit 1
printf '#!/bin/sh\ntrue\n' >integration-tests.sh
chmod +x integration-tests.sh
sed -n '/^    \[\[supervisor\]\]$/,/^    labels/s/^    //p' "$ROOT/docs/supervisors.md" >rules.toml
check "documents: docs/supervisors.md has rules" test -s rules.toml

python3 "$ROOT/tests/peers/lib/documents.py" "$ROOT" run || failures=$((failures + 1))
finish
