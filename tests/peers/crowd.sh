#!/usr/bin/env bash
# Fifty open pages and a thousand events a second, on a real agent: it must not
# grow, and every event arrives or is counted as lost.
# Fifty real pages with --full; else five, and clients that ask for the whole feed.
# timeout: 600
. "$(dirname "$0")/lib/common.sh"

need chromium chromium fonts-dejavu-core && need curl curl ||
    { skip crowd "chromium is not to be had"; finish; }
npm_modules playwright-core@1.65.1 ||
    { skip crowd "npm cannot install playwright-core: $(tail -n 1 "$WORK/npm.log")"; finish; }
[ -x "${TESTBED:-}" ] || { skip crowd "TESTBED names no helper"; finish; }
start_agent >"$WORK/start" 2>&1 || { not_ok "crowd: the agent starts" "$(cat "$WORK/start")"; finish; }
[ -n "${AGENT_PID:-}" ] || { skip crowd "the agent was not started here, its memory can't be read"; finish; }

# Each child's refused drop is a separate episode, and an event.
cp "$TESTBED" "$WORK/openshell-sandbox"
storm() {
    "$WORK/openshell-sandbox" do lower setpcap repeat 1000000 fork drop chown end end >/dev/null 2>&1 &
    started+=($!)
    STORM=$!
}

pages=5
[ -n "${CAPWATCH_FULL:-}" ] && pages=50
# People open pages on another machine, which leaves the agent its processors.
coproc CROWD { PAGES=$pages MODULES=$MODULES nice -n 15 node "$ROOT/tests/peers/js/crowd.mjs" "http://$ADDRESS" "$AGENT_PID" "$KEEP" 2>&1; }
crowd=$CROWD_PID
while read -r line <&"${CROWD[0]}"; do
    case $line in
    "begin the storm") storm ;;
    "end the storm") kill "$STORM" && wait "$STORM" 2>/dev/null ;;
    *) echo "$line" ;;
    esac
done
wait "$crowd" || failures=$((failures + 1))
finish
