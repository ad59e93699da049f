#!/usr/bin/env bash
# The Helm chart by Helm's own engine (helm-python-sdk), and what comes out of it by the
# schemas of three Kubernetes versions (kubernetes-validate); the plain manifests too.
# timeout: 300
. "$(dirname "$0")/lib/common.sh"

need python3 python3 && { python3 -c 'import ensurepip' 2>/dev/null || need pip3 python3-venv; } ||
    { skip chart "python3 with venv is not to be had"; finish; }
need promtool prometheus || { skip chart "promtool is not to be had"; finish; }
venv=${CARGO_TARGET_DIR:-$ROOT/target}/peers-chart
if [ ! -e "$venv/complete" ]; then
    rm -rf "$venv"
    { python3 -m venv "$venv" && "$venv/bin/pip" install -q kubernetes-validate==1.37.0 helm-python-sdk==0.2.2 &&
        touch "$venv/complete"; } >"$WORK/pip" 2>&1 ||
        { skip chart "kubernetes-validate or helm-python-sdk is not to be had: $(tail -n 1 "$WORK/pip")"; finish; }
fi
"$venv/bin/python" "$ROOT/tests/peers/lib/chart.py" "$ROOT" "$WORK" || failures=$((failures + 1))
finish
