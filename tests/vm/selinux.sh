#!/bin/sh
# SELinux for real: a policy of two domains, one of which may use no capability.
# The golden selinux_real.in was taken from the lines that this prints.
# root: full
# kernels: 6.12
# packages: secilc
# timeout: 300
# append: security=selinux selinux=1 enforcing=1
. "$CAPWATCH_LIB"
mkdir -p /tmp/selinux && cd /tmp/selinux || exit
sysctl -qw kernel.printk_ratelimit=0

low='chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap
    linux_immutable net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner
    sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice
    sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap'
high='mac_override mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore'
sids='kernel security unlabeled fs file file_labels init any_socket port netif netmsg node
    igmp_packet icmp_socket tcp_socket sysctl_modprobe sysctl sysctl_fs sysctl_kernel sysctl_net
    sysctl_net_unix sysctl_vm sysctl_dev kmod policy scmp_packet devnull'
{
    echo "(mls true)(handleunknown allow)
        (class process (transition dyntransition))
        (class capability ($low)) (class capability2 ($high))
        (class cap_userns ($low)) (class cap2_userns ($high))
        (classorder (process capability capability2 cap_userns cap2_userns))
        (sensitivity s0) (sensitivityorder (s0)) (category c0) (categoryorder (c0))
        (sensitivitycategory s0 (c0)) (level low (s0)) (levelrange all (low low))
        (user u) (role r) (type system_t) (type confined_t)
        (userrole u r) (roletype r system_t) (roletype r confined_t)
        (userlevel u low) (userrange u all)
        (allow system_t system_t (process (transition dyntransition)))
        (allow system_t confined_t (process (transition dyntransition)))
        (allow confined_t confined_t (process (transition dyntransition)))
        (allow system_t system_t (capability ($low))) (allow system_t system_t (capability2 ($high)))
        (allow system_t system_t (cap_userns ($low))) (allow system_t system_t (cap2_userns ($high)))
        (allow confined_t confined_t (capability (net_raw)))"
    for sid in $sids; do
        echo "(sid $sid) (sidcontext $sid (u r system_t all))"
    done
    echo "(sidorder ($sids))"
} >policy.cil
check "the policy compiles" secilc -c 33 -o policy -f /dev/null policy.cil
mountpoint -q /sys/fs/selinux || mount -t selinuxfs selinuxfs /sys/fs/selinux
check "the policy loads" sh -c 'cat policy >/sys/fs/selinux/load'
echo 1 >/sys/fs/selinux/enforce
check "SELinux enforces" grep -q 1 /sys/fs/selinux/enforce

# confined COMMAND…: in the domain that may use no capability.
confined() (
    printf u:r:confined_t:s0 >/proc/self/attr/exec
    exec "$@"
)
cat >confined <<'SCRIPT'
#!/bin/sh
printf u:r:confined_t:s0 >/proc/self/attr/exec
exec "$@"
SCRIPT
chmod +x confined

# recorded NAME COMMAND…: with a report in NAME.json.
recorded() {
    recorded_name=$1
    shift
    capwatch record -o json --report "$recorded_name.json" --stream "$recorded_name.jsonl" -- "$@"
}
recorded capability ./confined testbed do drop chown
recorded cap_userns ./confined testbed do unshare drop chown
recorded capability2 ./confined dmesg >/dev/null 2>&1
confined dmesg >/dev/null 2>&1
timeout 2 cat /dev/kmsg 2>/dev/null | grep -a 'type=1400 audit(' >kmsg
echo "--- $(uname -r) $(date -u +%F)"
cat kmsg
echo '--- end'
capwatch replay --records kmsg >records.json
check "as many records as lines" test "$(wc -l <kmsg)" = "$(wc -l <records.json)"
check "none is malformed" sh -c '! grep -v "\"malformed\":null" records.json'
for form in \
    '"lsm":"selinux","verdict":"denied".*"class":"capability","profile":"confined_t".*"comm":"testbed","capability":"setpcap","number":8' \
    '"class":"cap_userns","profile":"confined_t".*"capability":"setpcap"' \
    '"class":"capability2","profile":"confined_t".*"capability":"syslog","number":34'; do
    check "a record: $form" grep -q "$form" records.json
done
for class in capability cap_userns; do
    check "$class: joined with its event" testbed check $class.json \
        'denials[capability=setpcap, comm=testbed].layer == selinux' \
        'denials[capability=setpcap, comm=testbed].profile == confined_t' \
        'denials[capability=setpcap, comm=testbed].count == 1' \
        'episodes[comm=testbed].verdict == fatal' \
        'episodes[comm=testbed].layer == selinux' \
        'episodes[comm=testbed].profile == confined_t' \
        'audit.matched >= 1' \
        'audit.audit_only == 0' \
        'audit.malformed == 0'
    capwatch replay -o json $class.jsonl >replayed.json
    check "$class: the stream gives the same report" cmp $class.json replayed.json
done
check "capability2: joined with its event" testbed check capability2.json \
    'denials[capability=syslog].layer == selinux' \
    'denials[capability=syslog].profile == confined_t' \
    'audit.matched >= 1' \
    'audit.audit_only == 0'
