#!/bin/sh
# Units of systemd, by its own managers: ambient capabilities that a user's manager can't
# give, and the remedies of units, followed.
# root: full
# kernels: 6.12
# packages: dbus,dbus-user-session,libpam-systemd,systemd
# systemd
# timeout: 600
# full-only
. "$CAPWATCH_LIB"
cd /tmp || exit
wait_for 60 systemctl is-active --quiet multi-user.target
cp "$(command -v testbed)" /usr/local/bin/openshell-sandbox
gate=rule

# A unit of an ordinary user, with ambient capabilities. The root's own `user` has no line
# in /etc/shadow, which PAM wants of whoever has a manager.
check "there is a user" useradd --create-home --uid 1001 unituser
check "the user's manager starts" systemctl start user@1001 || {
    systemctl status --no-pager user@1001
    journalctl -b --no-pager -o cat | tail -n 40
}
unit="setpriv --reuid 1001 --regid 1001 --clear-groups env HOME=/home/unituser
    XDG_RUNTIME_DIR=/run/user/1001 DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1001/bus
    systemctl --user"
# shellcheck disable=SC2086
check "the user's manager answers" wait_for 60 $unit is-active basic.target ||
    journalctl -b --no-pager -o cat | tail -n 40
mkdir -p /home/unituser/.config/systemd/user
cat >/home/unituser/.config/systemd/user/ambient.service <<'UNIT'
[Service]
Type=oneshot
AmbientCapabilities=CAP_NET_BIND_SERVICE
ExecStart=/bin/true
UNIT
chown -R 1001:1001 /home/unituser/.config
$unit daemon-reload
# shellcheck disable=SC2086
gated user-unit 3 --scope host -- $unit start ambient.service
check "user-unit: it ends with 218/CAPABILITIES" test \
    "$($unit show -P ExecMainStatus ambient.service)" = 218
journalctl -b --no-pager -o cat | grep -i 'capabilit' | tail -n 5
jq -M -c '.rule_refusals[]' user-unit.json
check "user-unit: the rule and the unit are named" testbed check user-unit.json \
    'count(rule_refusals[call=capset]) >= 1' \
    'rule_refusals[call=capset].missing == ["net_bind_service"]' \
    'rule_refusals[call=capset].container.id == ambient.service' \
    'rule_refusals[call=capset].explanation ~ "system unit with User="'
# As it is advised, by the system's manager.
directive=$(jq -r '.rule_refusals[].explanation' user-unit.json |
    grep -o 'AmbientCapabilities=CAP_NET_BIND_SERVICE' | head -n 1)
printf '[Service]\nType=oneshot\nUser=unituser\n%s\nExecStart=/bin/true\n' "$directive" \
    >/etc/systemd/system/ambient.service
systemctl daemon-reload
gated user-unit-followed 0 --scope host -- systemctl start ambient.service
check "user-unit: the remedy helps" test \
    "$(systemctl show -P Result,ExecMainStatus ambient.service | tr '\n' ' ')" = "success 0 "

# A unit of the system that lacks SETPCAP: the directives that are advised help.
gate=fatal,degraded
cat >/etc/systemd/system/sandbox.service <<'UNIT'
[Service]
Type=oneshot
User=33
ExecStart=/usr/local/bin/openshell-sandbox incident -- /bin/true
UNIT
systemctl daemon-reload
gated unit 3 --scope host -- systemctl start sandbox.service
advised() {
    jq -r '[.episodes[] | select(.supervisor == "openshell")][0].explanation' unit.json
}
advised
check "unit: it is named" testbed check unit.json \
    'episodes[supervisor=openshell].verdict == fatal' \
    'episodes[supervisor=openshell].container.id == sandbox.service'
directives=$(advised | grep -o '\(AmbientCapabilities\|CapabilityBoundingSet\)=CAP_SETPCAP' | sort -u)
check "unit: directives are advised" test -n "$directives"
mkdir -p /etc/systemd/system/sandbox.service.d
printf '[Service]\n%s\n' "$directives" >/etc/systemd/system/sandbox.service.d/override.conf
systemctl daemon-reload
gated unit-followed 0 --scope host -- systemctl start sandbox.service
check "unit: the remedy helps" testbed check unit-followed.json \
    'episodes[supervisor=openshell].verdict == ok'
