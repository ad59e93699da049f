#!/bin/sh
# In a virtual machine with AppArmor: the agent's metrics, once a second, while a
# supervisor works, is refused by commoncap, and then by two profiles. The samples
# go to standard output, packed, between two marks.
cd /tmp || exit 1
ip link set lo up 2>/dev/null || ifconfig lo up
say() { echo "$*" >&2; }

cat >profiles <<'PROFILES'
abi <abi/3.0>,
profile capwatch_loud flags=(attach_disconnected,mediate_deleted) {
  audit deny capability setpcap,
  capability,
  file rwlkm /{,**},
  allow pix /** -> &capwatch_loud,
  network, unix, signal, ptrace, dbus, mount, umount, pivot_root,
}
profile capwatch_quiet flags=(attach_disconnected,mediate_deleted) {
  deny capability setpcap,
  capability,
  file rwlkm /{,**},
  allow pix /** -> &capwatch_quiet,
  network, unix, signal, ptrace, dbus, mount, umount, pivot_root,
}
PROFILES
apparmor_parser --skip-cache --replace profiles || exit 1

capwatch run >agent.log 2>&1 &
agent=$!
until wget -qO /dev/null http://127.0.0.1:11400/-/ready; do
    kill -0 "$agent" || { cat agent.log; exit 1; }
    sleep 1
done

true=$(command -v true) sleep=$(command -v sleep)
# Or the panels of what programs cost have nothing to show.
echo 1 >/proc/sys/kernel/bpf_stats_enabled
mkdir -p 1 2
working=$PWD/1/openshell-sandbox
supervisor=$PWD/2/openshell-sandbox
cp "$(command -v testbed)" "$working"
cp "$working" "$supervisor"
# Another digest, and so another version.
echo >>"$supervisor"
: >samples
second=0
while [ "$second" -lt 75 ]; do
    case $second in
    8 | 9 | 12 | 28) "$working" do clear exec "$true" ;;
    # One that no rule names: a supervisor by what it does.
    10) testbed do lower setpcap try-clear ;;
    16) "$working" do drop chown lower setpcap drop chown exec "$true" ;;
    20 | 22 | 50) "$supervisor" do lower setpcap clear ;;
    24) "$supervisor" do lower setpcap try-clear exec "$sleep" 100 & ;;
    26) "$supervisor" do lower setpcap try-clear sleep 100000 exit 0 & ;;
    30 | 34 | 38 | 52 | 60) aa-exec -p capwatch_loud -- "$supervisor" do clear ;;
    32 | 36 | 40 | 54 | 62) aa-exec -p capwatch_quiet -- "$supervisor" do clear ;;
    44) aa-exec -p capwatch_loud -- "$supervisor" do try-clear exec "$sleep" 100 & ;;
    esac >/dev/null 2>&1
    { echo "at $(date +%s)"; wget -qO - http://127.0.0.1:11400/metrics; } >>samples
    second=$((second + 1))
    sleep 1
done
say "$(wc -l <samples) lines of metrics"
echo "-----BEGIN SAMPLES-----"
gzip -c samples | base64
echo "-----END SAMPLES-----"
kill "$agent"
