# Helpers of the tests in virtual machines and beside peers.
#
#     . "$CAPWATCH_LIB"
#
# A test prints one line for each check (`ok NAME`, `not ok NAME: why`,
# `skip NAME: why`), which `cargo xtask test` counts, and `note TEXT` for what
# docs/kernels.md says of the machine. Its head may have:
#
#     # root: full              default busybox
#     # kernels: 6.1 6.12       default all
#     # packages: firejail      Debian packages, on top of the full root's
#     # timeout: 120            seconds, default 120
#     # append: lsm=…           arguments for the kernel
#     # env-matrix: HOOKS=fexit,kprobe    one run for each value
#     # daily: 6.12             kernels that it runs on every day, default all
#     # trixie: 6.12            kernels on which, with --full, it runs in Debian 13's root too
#     # systemd                 it is the first process; the script may reboot, and begins again
#     # full-only               only with --full
#     # dist                    the packages of `cargo xtask dist` in /capwatch/dist
#     # alone                   each run has a machine of its own
#
# A variable HOOKS has a mechanism that the kernel has: the table of
# `cargo xtask test` leaves the others out, and says why.

# ok NAME; not_ok NAME WHY; skip NAME WHY
ok() { printf 'ok %s\n' "$1"; }
not_ok() { printf 'not ok %s: %s\n' "$1" "$2"; }
skip() { printf 'skip %s: %s\n' "$1" "$2"; }

# check NAME COMMAND…: a check that passes when the command succeeds. What the
# command says is shown only when it fails.
check() {
    check_name=$1
    shift
    if check_output=$("$@" 2>&1); then
        ok "$check_name"
    else
        check_code=$?
        printf '%s\n' "$check_output"
        not_ok "$check_name" "$* gave $check_code"
    fi
}

# wait_for SECONDS COMMAND…: repeats the command until it succeeds; fails when
# the time is over.
wait_for() {
    wait_rounds=$(($1 * 10))
    shift
    while [ "$wait_rounds" -gt 0 ]; do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.1
        wait_rounds=$((wait_rounds - 1))
    done
    return 1
}

# load_profile FILE…: loads AppArmor profiles, or replaces them.
load_profile() {
    apparmor_parser --skip-cache --replace "$@"
}

# unprivileged_userns_profile: the profile of the incident, on stdout. It allows
# everything but capabilities.
unprivileged_userns_profile() {
    cat <<'PROFILE'
abi <abi/3.0>,
profile unprivileged_userns flags=(attach_disconnected,mediate_deleted) {
  audit deny capability,
  allow file rwlkm /{,**},
  allow pix /** -> &unprivileged_userns,
  allow network, allow unix, allow signal, allow ptrace, allow dbus,
  allow mount, allow umount, allow pivot_root,
}
PROFILE
}

# as_user COMMAND…: runs it as `user`, as a login would; not with set-user-ID
# tools' leave to come back.
as_user() {
    setpriv --reuid 1000 --regid 1000 --clear-groups \
        env HOME=/home/user USER=user XDG_RUNTIME_DIR=/run/user/1000 "$@"
}

# import_busybox: gives user's Podman the image `localhost/busybox`.
import_busybox() {
    cd /home/user && as_user podman import --quiet /usr/share/capwatch/busybox.tar busybox
}

# The series that this kernel is of: 6.12, or 7.x.
series() {
    case $(uname -r) in
    [7-9].*) echo 7.x ;;
    *) uname -r | cut -d. -f1,2 ;;
    esac
}

# golden_of NAME FILE: the same where one kernel is enough.
golden_of() { [ "$(series)-$(uname -m)" != 6.12-x86_64 ] || golden "$@"; }

# golden NAME FILE: compares JSON with what was recorded on this series of
# kernels (data/golden/NAME-SERIES-MACHINE.json), but for times, ids and releases.
# Where nothing was, it prints what would be.
golden() {
    golden_name=$1-$(series)-$(uname -m).json
    # What was missed, and since when, is the moment's.
    sed -e '/^  "sight": {$/,/^  },$/d' -e 's/"after_seconds": [0-9][0-9.e-]*/"after_seconds": 0/' \
        -e 's/"\(boot_id\|kernel\)": "[^"]*"/"\1": ""/' -e 's/(pid [0-9]*)/(pid 0)/' \
        -e 's/"\(pid\|records\|backlog\|user.max_user_namespaces\|locked_memory\)": [0-9][0-9]*/"\1": 0/' \
        "$2" >golden.json
    if [ -e "/capwatch/data/golden/$golden_name" ]; then
        check "golden $golden_name" diff -u "/capwatch/data/golden/$golden_name" golden.json
    else
        sed "s|^|golden $golden_name:|" golden.json
        skip "golden $golden_name" "none was recorded"
    fi
}

# gated NAME EXIT OPTION… -- WORD…: a gate around a command, on what `gate` says, and
# its replay; the report is NAME.json.
gate=fatal,degraded
gated() {
    report=$1
    expected=$2
    shift 2
    capwatch record --fail-on "$gate" -o json --report "/tmp/$report.json" \
        --stream "/tmp/$report.jsonl" "$@" >"/tmp/$report.out" 2>&1
    status=$?
    tail -n 5 "/tmp/$report.out"
    check "$report: exit $expected" test "$status" = "$expected"
    capwatch replay -o json "/tmp/$report.jsonl" >"/tmp/$report.replayed"
    check "$report: the same replayed" cmp "/tmp/$report.json" "/tmp/$report.replayed"
}

# beside_of NAME RUNTIME: the failure is beside the command, and its container named.
beside_of() {
    check "$1: the container is named" testbed check "$1.json" \
        'count(episodes[supervisor=openshell]) == 1' \
        'episodes[supervisor=openshell].verdict == fatal' \
        'episodes[supervisor=openshell].scope == beside' \
        "episodes[supervisor=openshell].container.runtime == $2" \
        'scope.tree.episodes.all == 0' \
        'scope.beside.episodes.supervisor.fatal == 1'
}

# start_pinned [OPTION…]: an agent that goes on with what is pinned, with the rules of
# pins.toml; what it logs is added to the file log.
PIN=/sys/fs/bpf/capwatch
start_pinned() {
    capwatch --config pins.toml run --pin $PIN --state /tmp/state --log-format text \
        --ready-without hooks "$@" >/dev/null 2>>log &
    # A check runs in its own shell.
    echo $! >agent
    wait_for 60 wget -q -O /dev/null http://127.0.0.1:11400/-/ready
}
kill_pinned() {
    kill -9 "$(cat agent)"
    wait_for 10 pinned_is_gone
}
# Its other threads may still be closing what they hold when the first is a zombie.
pinned_is_gone() {
    ! kill -0 "$(cat agent)" || {
        grep -q "^State:.*Z" "/proc/$(cat agent)/status" &&
            test "$(ls "/proc/$(cat agent)/task")" = "$(cat agent)"
    }
}

# no_pins: before a test of pins, also of a run that came to no end: nothing is pinned
# or kept, and `pinsup` is a supervisor by pins.toml.
no_pins() {
    ip link set lo up
    mountpoint -q /sys/fs/bpf 2>/dev/null || mount -t bpf bpf /sys/fs/bpf 2>/dev/null
    capwatch unload --pin $PIN --state /tmp/state >/dev/null 2>&1
    rm -rf state log
    cp "$(command -v testbed)" pinsup
    printf '[[supervisor]]\nname = "pinsup"\nexe = ["pinsup"]\n' >pins.toml
}

# value NAME LABEL: the sum of the agent's samples of this name and label.
value() {
    wget -q -O - http://127.0.0.1:11400/metrics | awk -v name="$1" -v label="$2" \
        'index($0, name "{") == 1 && index($0, label) { sum += $NF } END { print sum + 0 }'
}
# storm_refused: how many of pinsup's checks were counted. storm_is_exact TRUTH: with
# what was missed, it is the truth.
storm_refused() {
    value capwatch_denials_total 'supervisor="pinsup",role="supervisor",capability="sys_chroot"'
}
storm_is_exact() {
    counted=$(storm_refused)
    missed=$(value capwatch_program_misses_total program=)
    test "$counted" -le "$1" && test $((counted + missed)) -ge "$1"
}
