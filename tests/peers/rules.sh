#!/usr/bin/env bash
# Prometheus's own tool checks the rules and runs their unit tests.
. "$(dirname "$0")/lib/common.sh"

need promtool prometheus || { skip rules "promtool is not to be had"; finish; }
cd "$ROOT/dashboards/prometheus" || exit 1

check "rules: promtool check rules" promtool check rules ./*.yml
for tests in tests/*.yml; do
    check "rules: promtool test rules $tests" promtool test rules "$tests"
done

every_alert_has_a_section() {
    local alert anchor bad=0
    while read -r alert; do
        anchor=${alert,,}
        grep -q "^## $alert\$" "$ROOT/docs/runbook.md" || { echo "no section $alert in docs/runbook.md"; bad=1; }
        grep -q "/docs/runbook#$anchor'\$" capwatch.alerts.yml || { echo "$alert has no runbook_url"; bad=1; }
    done < <(sed -n 's/.*- alert: //p' capwatch.alerts.yml)
    return $bad
}
check "rules: every alert has its section in the runbook" every_alert_has_a_section

# Each alert fires in one test and is silent in another.
every_alert_is_tested() {
    local alert bad=0
    while read -r alert; do
        grep -h -A2 "alertname: $alert\$" tests/*.yml | grep -q 'exp_alerts: \[\]' || { echo "$alert has no silent test"; bad=1; }
        grep -h -A2 "alertname: $alert\$" tests/*.yml | grep -qE 'exp_alerts:( &\w+)?$' || { echo "$alert has no firing test"; bad=1; }
    done < <(sed -n 's/.*- alert: //p' capwatch.alerts.yml)
    return $bad
}
check "rules: every alert is tested firing and silent" every_alert_is_tested
finish
