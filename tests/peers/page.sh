#!/usr/bin/env bash
# The status page in a real Chromium.
. "$(dirname "$0")/lib/common.sh"

need chromium chromium fonts-dejavu-core && need curl curl ||
    { skip page "chromium is not to be had"; finish; }
npm_modules playwright-core@1.65.1 axe-core@4.14.1 ||
    { skip page "npm cannot install playwright-core: $(tail -n 1 "$WORK/npm.log")"; finish; }
start_agent >"$WORK/start" 2>&1 || { not_ok "page: the agent starts" "$(cat "$WORK/start")"; finish; }

# A name that is markup, refused and dropping like any other.
hostile() {
    [ -x "${TESTBED:-}" ] || return 1
    cp -n "$TESTBED" "$WORK/<img src=x>"
    "$WORK/<img src=x>" do lower setpcap clear >/dev/null 2>&1
    return 0
}
make_episodes >/dev/null || skip "page: episodes are made" "TESTBED names no helper"
hostile

# One line on standard output asks for one more episode while the page looks on.
coproc BROWSER { MODULES=$MODULES node "$ROOT/tests/peers/js/page.mjs" "http://$ADDRESS/" "$KEEP" 2>&1; }
browser=$BROWSER_PID
while read -r line <&"${BROWSER[0]}"; do
    case $line in
    "make an episode") hostile ;;
    *) echo "$line" ;;
    esac
done
wait "$browser" || failures=$((failures + 1))
finish
