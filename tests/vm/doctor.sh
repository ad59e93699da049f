#!/bin/sh
# `capwatch doctor` is right: as root, as nobody, without BTF, with too little memory.
# timeout: 300
. "$CAPWATCH_LIB"
cd /tmp || exit

# doctor NAME EXIT COMMAND…: its diagnosis goes to NAME.json.
doctor() {
    name=$1
    expected=$2
    shift 2
    "$@" capwatch --quiet doctor -o json >"$name.json" 2>"$name.err"
    status=$?
    cat "$name.err"
    check "$name: exit $expected" test "$status" = "$expected"
}

unprivileged_userns_profile >profile
check "the profile loads" load_profile profile

doctor root 0
check "root: every hook is attached, and saw what was provoked" testbed check root.json \
    'schema == capwatch.doctor/1' \
    'verdict == all' \
    'hooks[needed=true].attached == true' \
    'count(hooks) == 15' \
    'self_test.seen == true' \
    'self_tests[kind=hook, provoked=true].seen == true' \
    'count(self_tests[kind=hook, provoked=true]) == 5' \
    'count(findings[level=problem]) == 0'
check "root: AppArmor's denial was seen, with its layer" testbed check root.json \
    'self_tests[kind=lsm, name=apparmor].provoked == true' \
    'self_tests[kind=lsm, name=apparmor].seen == true'
check "root: a record came through every source" testbed check root.json \
    'sources[name=netlink].up == true' \
    'self_tests[name=netlink].seen == true' \
    'self_tests[name=kmsg].seen == true' \
    'audit.off_at_boot == false' \
    'audit.status.lost == 0'
check "root: the host is described" testbed check root.json \
    'btf == true' \
    'kprobes == true' \
    'lockdown == none' \
    'cgroup == v2' \
    'inside.container == null' \
    'inside.user_namespace == false' \
    'inside.network_namespace == false' \
    'host.lsm ~ apparmor'
golden doctor root.json

doctor nobody 2 testbed do setuid 65534 exec
check "nobody: blind, and each privilege is named" testbed check nobody.json \
    'verdict == blind' \
    'count(capabilities.missing) == 5' \
    'any(findings.what) ~ CAP_BPF' \
    'any(findings.what) ~ CAP_AUDIT_READ' \
    'self_test.seen == false'
golden_of doctor-nobody nobody.json

doctor user-namespace 2 unshare --user --map-root-user
check "in a user namespace: blind, and says which" testbed check user-namespace.json \
    'verdict == blind' \
    'inside.user_namespace == true' \
    'any(findings.what) ~ namespace'
golden_of doctor-user-namespace user-namespace.json

doctor network-namespace 1 unshare --net
check "in a network namespace: the audit log is not received, and why" testbed check network-namespace.json \
    'verdict == degraded' \
    'self_test.seen == true' \
    'inside.network_namespace == true' \
    'sources[name=netlink].up == false' \
    'any(findings.what) ~ network'
golden_of doctor-network-namespace network-namespace.json

# Without BTF nothing can be attached; the audit log is still read.
mount -t tmpfs none /sys/kernel/btf
doctor no-btf 1
check "without BTF: a clear word, and the audit source runs" testbed check no-btf.json \
    'verdict == degraded' \
    'btf == false' \
    'hooks.attached == false' \
    'any(findings.what) ~ BTF' \
    'sources[name=netlink].up == true' \
    'self_tests[name=netlink].seen == true'
golden_of doctor-no-btf no-btf.json
# A profile of which nothing was logged yet: the kernel leaves duplicates out.
unprivileged_userns_profile | sed s/unprivileged_userns/without_btf/ >without_btf
load_profile without_btf
capwatch run --events no-btf.jsonl >/dev/null 2>run.err &
agent=$!
aa_denial() { aa-exec -p without_btf -- unshare -Ur true; grep -q '"capability":"sys_admin"' no-btf.jsonl; }
check "without BTF: run reports a denial from its record" wait_for 10 aa_denial
kill $agent
wait $agent
umount /sys/kernel/btf

# Before 5.11 maps count as locked memory.
case $(uname -r) in
5.10.*)
    doctor memory 1 sh -c 'ulimit -l 64; exec testbed do drop sys_resource exec "$@"' sh
    check "without locked memory: what fails is named" testbed check memory.json \
        'verdict == degraded' \
        'hooks.attached == false' \
        'any(findings.what) ~ memory'
    golden doctor-memory memory.json
    ;;
esac

# A cgroup's limit: the kernel ends what exceeds it, without a word.
if echo +memory >/sys/fs/cgroup/cgroup.subtree_control 2>/dev/null; then
    mkdir /sys/fs/cgroup/small
    echo 16M >/sys/fs/cgroup/small/memory.max
    sh -c 'echo $$ >/sys/fs/cgroup/small/cgroup.procs; exec capwatch doctor' >/dev/null 2>small.err
    status=$?
    check "under a memory limit of 16 MiB: it is killed" test "$status" = 137
    check "under a memory limit of 16 MiB: the word came first" grep -q 'memory limit of this cgroup is 16 MiB' small.err
else
    skip "under a memory limit" "this kernel has no memory controller"
fi
