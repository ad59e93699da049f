#!/bin/sh
# What AppArmor refuses: layer, profile, and the record joined with its event.
# timeout: 600
# env-matrix: HOOKS=fexit,kprobe
# daily: 6.12
. "$CAPWATCH_LIB"
cd /tmp || exit

# fresh FILE…: loads profiles that the kernel has not logged anything of yet. An
# unchanged one it would keep, and with it what it has logged already.
fresh() {
    apparmor_parser --remove "$@" 2>/dev/null
    load_profile "$@"
}

unprivileged_userns_profile >userns.profile
cat >quiet.profile <<'PROFILE'
abi <abi/3.0>,
profile capwatch_quiet flags=(attach_disconnected,mediate_deleted) {
  capability,
  deny capability setpcap,
  file rwlkm /{,**},
  allow pix /** -> &capwatch_quiet,
  network, unix, signal, ptrace, dbus, mount, umount, pivot_root,
}
PROFILE
check "the profiles load" fresh userns.profile quiet.profile

testbed suite --hooks="$HOOKS" --groups apparmor
status=$?
[ "$status" -le 1 ] || not_ok "the suite" "it ended with $status"

# The incident's record: another process, another capability. Since 6.14 the
# no-audit checks of memory accounting show too, and are counted apart.
fresh userns.profile
capwatch record --hooks="$HOOKS" --fail-on denied -o json --report incident.json -- \
    aa-exec -p unprivileged_userns -- unshare -Ur true 2>incident.err
status=$?
check "the incident's record: --fail-on denied is 3" test "$status" = 3
check "the incident's record: joined with its event" testbed check incident.json \
    'denials[capability=sys_admin, comm=unshare, audited=yes].layer == apparmor' \
    'denials[capability=sys_admin, comm=unshare, audited=yes].profile == unprivileged_userns' \
    'denials[capability=sys_admin, comm=unshare, audited=yes].number == 21' \
    'count(denials[capability=sys_admin, comm=unshare, audited=yes]) == 1' \
    'count(episodes) == 0' \
    'any(sources.up) == true' \
    'audit.records >= 1' \
    'audit.matched >= 1' \
    'audit.audit_only == 0'
# Before 6.14 it is kprobes' witness alone: a trampoline there would see nothing that
# security_capable's exit doesn't show.
case $HOOKS-$(uname -r) in
fexit-5.* | fexit-6.[0-9].* | fexit-6.1[0-3].*) direct=false ;;
*) direct=true ;;
esac
check "the hooks are the ones that were asked for" testbed check incident.json \
    "hooks[hook=security_capable].mechanism == $HOOKS" \
    "hooks[hook=security_capable].attached == true" \
    "hooks[hook=cap_capable].attached == $direct" \
    "hooks[hook=aa_capable].mechanism == $HOOKS" \
    "hooks[hook=cap_task_prctl].mechanism == $HOOKS"
