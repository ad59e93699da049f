#!/usr/bin/env bash
# The dashboards are what their sources build, and fit Grafana's own types.
. "$(dirname "$0")/lib/common.sh"

need node nodejs || { skip dashboards "node is not to be had"; finish; }
check "dashboards: the JSON is what its sources build" node "$ROOT/dashboards/grafana/build.mjs" --check

npm_modules @grafana/schema@13.2.3 typescript@5.9.3 ||
    { skip "dashboards: typed against @grafana/schema" "npm cannot install it: $(tail -n 1 "$WORK/npm.log")"; finish; }
folder=$MODULES/typed
mkdir -p "$folder"
node "$ROOT/tests/peers/js/schema.mjs" "$folder" || { not_ok "dashboards: typed" "cannot write the types"; finish; }
check "dashboards: typed against @grafana/schema" node "$MODULES/node_modules/typescript/bin/tsc" -p "$folder"
finish
