#!/bin/sh
# Each form of AppArmor's records, provoked on a real kernel: what the kernel
# writes, and what capwatch reads. The goldens apparmor_real_*.in were taken from
# the lines that this prints.
# kernels: 5.10 6.1 6.12 7.x
# timeout: 300
# daily: 6.12
. "$CAPWATCH_LIB"
mkdir -p /tmp/records && cd /tmp/records || exit
sysctl -qw kernel.printk_ratelimit=0

# profile NAME FLAGS RULES…: a profile that allows everything but what is asked here.
profile() {
    profile_name=$1 profile_flags=$2
    shift 2
    cat <<PROFILE
profile "$profile_name" flags=(attach_disconnected,mediate_deleted$profile_flags) {
  file rwlkmix /{,**},
  network, unix, signal, ptrace, dbus,
  $*
}
PROFILE
}

{
    echo 'abi <abi/3.0>,'
    profile cw_denied '' 'audit deny capability setpcap, mount, umount,'
    profile cw_quiet '' 'deny capability setpcap, mount, umount,'
    profile cw_complain ',complain' 'mount, umount,'
    profile cw_audit '' 'audit capability setpcap, capability, mount, umount,'
    profile cw_killed ',kill' 'mount, umount,'
    profile cw_mount '' 'capability, audit deny mount,'
    profile 'cw odd é' '' 'mount, umount,'
} >profiles
check "the profiles load" load_profile profiles
mkdir /sys/kernel/security/apparmor/policy/namespaces/cwns
{
    echo 'abi <abi/3.0>,'
    profile cw_inside '' 'mount, umount,'
} >inside
check "a profile loads in a namespace of policy" \
    apparmor_parser --skip-cache --replace --namespace cwns inside

# The number of the last record of the kernel's log so far.
last() { dmesg -r | wc -l; }
before=$(last)

# in PROFILE COMMAND…
in_profile() {
    in_name=$1
    shift
    aa-exec -p "$in_name" -- "$@"
}
drop="testbed do drop chown"
in_profile cw_denied $drop
in_profile cw_quiet $drop
in_profile cw_complain $drop
in_profile cw_audit $drop
in_profile cw_killed $drop
aa-exec -n cwns -p cw_inside -- $drop
cp "$(command -v testbed)" 'th name"x'
in_profile 'cw odd é' "./th name\"x" do drop chown
# Asks for SYS_PTRACE with CAP_OPT_NOAUDIT: another user's memory map.
testbed do setuid 65534 exec sleep 60 &
sleeper=$!
sleep 0.3
in_profile cw_complain ps >/dev/null
in_profile cw_complain cat "/proc/$sleeper/stat" >/dev/null
kill "$sleeper"
mkdir -p mnt
in_profile cw_mount mount -t tmpfs none mnt 2>/dev/null
aa-exec -p cw_nowhere -- true 2>/dev/null
in_profile 'cw_denied//&cw_complain' $drop
in_profile 'cw_complain//&cw_denied' $drop
apparmor_parser --remove inside --namespace cwns 2>/dev/null
sleep 0.5

# As /dev/kmsg gives them: what dmesg would change is not changed.
timeout 2 cat /dev/kmsg 2>/dev/null | grep -a 'type=1400 audit(' >kmsg
# Loading writes many lines of one form: the first and the last are enough.
echo "--- $(uname -r) $(date -u +%F)"
cat kmsg
echo '--- end'

capwatch replay --records kmsg >records.json
check "as many records as lines" test "$(wc -l <kmsg)" = "$(wc -l <records.json)"
check "none is malformed" sh -c '! grep -v "\"malformed\":null" records.json'
has() { grep -q "$1" records.json; }
for form in \
    '"verdict":"denied","operation":"capable".*"profile":"cw_denied".*"capability":"setpcap","number":8' \
    '"verdict":"allowed","operation":"capable".*"profile":"cw_complain".*"capability":"setpcap"' \
    '"verdict":"audit","operation":"capable".*"profile":"cw_audit".*"capability":"setpcap"' \
    '"verdict":"killed","operation":"capable".*"profile":"cw_killed".*"capability":"setpcap"' \
    '"profile":"cw_inside","namespace":"root//cwns".*"capability":"setpcap"' \
    '"profile":"cw odd é".*"comm":"th name\\"x".*"capability":"setpcap"' \
    '"operation":"mount".*"profile":"cw_mount".*"capability":null' \
    '"operation":"change_onexec".*"capability":null' \
    '"verdict":"status","operation":"profile_load"' \
    '"info":"optional: no audit","error":-1'; do
    check "a record: $form" has "$form"
done
check "a quiet rule leaves no record" sh -c '! grep -q "\"profile\":\"cw_quiet\",.*\"capability\":\"setpcap\"" records.json'
