#!/bin/sh
# What a refused drop does to each supervisor that Debian packages, against
# what the catalogue says of it.
# root: full
# kernels: 6.1 6.12
# packages: apparmor
# timeout: 600
# trixie: 6.12
# daily: 6.12
. "$CAPWATCH_LIB"
cd /tmp || exit

cat >nosetpcap.profile <<'PROFILE'
abi <abi/3.0>,
profile nosetpcap flags=(attach_disconnected,mediate_deleted) {
  capability,
  deny capability setpcap,
  file rwlkm /{,**},
  # A mount that is nowhere is /: so runc 1.1.15 executes its copy.
  allow pix /{,**} -> &nosetpcap,
  network, unix, signal, ptrace, dbus, mount, umount, pivot_root,
}
PROFILE
check "the profile loads" load_profile nosetpcap.profile

# traced NAME WORD…: records a run, and leaves its exit code in $status.
traced() {
    name=$1
    shift
    capwatch record -o json --report "/tmp/$name.json" -- "$@" >"/tmp/$name.out" 2>&1
    status=$?
    tail -n 3 "/tmp/$name.out"
}

cat >unpowered <<'SCRIPT'
#!/bin/sh
exec perl -e 'my $n = (`uname -m` =~ /aarch64/) ? 167 : 157;
    syscall($n, 24, 8, 0, 0, 0) == 0 or die "drop: $!"; exec @ARGV or die "exec: $!"' -- "$@"
SCRIPT
cat >user <<'SCRIPT'
#!/bin/sh
exec chroot --userspec=1000:1000 --groups= / env HOME=/home/user XDG_RUNTIME_DIR=/run/user/1000 "$@"
SCRIPT
chmod 755 unpowered user

# bubblewrap
traced bwrap-ok ./user bwrap --ro-bind / / --unshare-user true
check "bwrap as a user: all granted" testbed check bwrap-ok.json \
    'count(episodes[supervisor=bwrap]) == 1' \
    'episodes[supervisor=bwrap].verdict == ok' \
    'episodes[supervisor=bwrap].drops == 41' \
    'episodes[supervisor=bwrap].refused_raised == 0'
traced bwrap-profile aa-exec -p nosetpcap -- ./user bwrap --ro-bind / / --unshare-user true
check "bwrap under the profile: it goes on" test "$status" = 0
check "bwrap under the profile: degraded, and the note says why" testbed check bwrap-profile.json \
    'episodes[supervisor=bwrap].verdict == degraded' \
    'episodes[supervisor=bwrap].layer == apparmor' \
    'episodes[supervisor=bwrap].profile == nosetpcap' \
    'episodes[supervisor=bwrap].fate == exec' \
    'episodes[supervisor=bwrap].explanation ~ bubblewrap ignores EPERM and continues'
sed -n 's/^ *"explanation": "\(Supervisor bwrap.*could not drop.*\)".*/\1/p' bwrap-profile.json

# setpriv and capsh, without SETPCAP
traced setpriv ./unpowered setpriv --bounding-set -all true
# util-linux 2.38 goes on, 2.41 ends.
case $(setpriv --version) in
*2.38*) check "setpriv: goes on" test "$status" = 0 ;;
*) check "setpriv: ends, and says why" grep -q 'setpriv: apply bounding set: Operation not permitted' setpriv.out ;;
esac
check "setpriv: makes no drop call" testbed check setpriv.json \
    'count(episodes[supervisor=setpriv]) == 0'
traced capsh ./unpowered capsh --drop=cap_chown -- -c true
check "capsh: fails" test "$status" != 0
check "capsh: fails before any drop" testbed check capsh.json \
    'count(episodes[supervisor=capsh]) == 0'

# The runtimes, on their own bundle.
for runtime in crun runc; do
    mkdir -p "$runtime/rootfs"
    tar -C "$runtime/rootfs" -xf /usr/share/capwatch/busybox.tar
    (cd "$runtime" && $runtime spec)
    sed -i 's/"terminal": true/"terminal": false/; s/"sh"/"true"/' "$runtime/config.json"
    cat >"run-$runtime" <<SCRIPT
#!/bin/sh
cd /tmp/$runtime && exec $runtime run "test-$runtime-\$\$"
SCRIPT
    chmod 755 "run-$runtime"
    traced "$runtime-ok" "./run-$runtime"
    check "$runtime: starts with SETPCAP" test "$status" = 0
    check "$runtime: all granted" testbed check "$runtime-ok.json" \
        "count(episodes[supervisor=$runtime]) >= 1" \
        "episodes[supervisor=$runtime].verdict == ok"
    traced "$runtime-unpowered" ./unpowered "./run-$runtime"
    unpowered=$status
    traced "$runtime-profile" aa-exec -p nosetpcap -- "./run-$runtime"
    case $runtime in
    crun)
        check "crun without SETPCAP: does not start" test "$unpowered" != 0
        check "crun without SETPCAP: fatal by commoncap" testbed check crun-unpowered.json \
            'any(episodes[supervisor=crun].verdict) == fatal' \
            'episodes[verdict=fatal].layer == commoncap' \
            'episodes[verdict=fatal].explanation ~ crun drops what the container must not have'
        check "crun under the profile: does not start" test "$status" != 0
        check "crun under the profile: fatal by AppArmor" testbed check crun-profile.json \
            'episodes[verdict=fatal].supervisor == crun' \
            'episodes[verdict=fatal].layer == apparmor' \
            'episodes[verdict=fatal].profile == nosetpcap'
        ;;
    runc)
        # AppArmor takes what a profile denies out of capget's answer.
        check "runc without SETPCAP: starts" test "$unpowered" = 0
        check "runc under the profile: starts" test "$status" = 0
        for how in unpowered profile; do
            check "runc, $how: makes no call that is refused" testbed check "runc-$how.json" \
                'sum(episodes[supervisor=runc].refused_raised) == 0'
        done
        ;;
    esac
done
