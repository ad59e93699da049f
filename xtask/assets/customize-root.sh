# Makes a Debian root ready for rootless Podman. $1 is its directory.
set -eu
root=$1

# Where packages were unpacked only, nobody made these yet.
for file in passwd group; do
    [ -e "$root/etc/$file" ] || cp "$root/usr/share/base-passwd/$file.master" "$root/etc/$file"
done
[ -e "$root/usr/bin/awk" ] || [ -L "$root/usr/bin/awk" ] || ln -s mawk "$root/usr/bin/awk"
[ -e "$root/bin/sh" ] || ln -s dash "$root/bin/sh"
[ -e "$root/lib/modules" ] || [ -L "$root/lib" ] || ln -s ../usr/lib/modules "$root/lib/modules"

echo user:x:1000:1000::/home/user:/bin/bash >>"$root/etc/passwd"
echo user:x:1000: >>"$root/etc/group"
mkdir -p "$root/home/user"
chown 1000:1000 "$root/home/user"
echo user:100000:65536 >"$root/etc/subuid"
echo user:100000:65536 >"$root/etc/subgid"
# Set-user-ID instead of file capabilities: mke2fs -d loses extended attributes.
chmod 4755 "$root/usr/bin/newuidmap" "$root/usr/bin/newgidmap"

mkdir -p "$root/etc/containers"
cat >"$root/etc/containers/containers.conf" <<'CONF'
[engine]
# No systemd in the guest.
cgroup_manager = "cgroupfs"
events_logger = "file"
CONF

# An image of busybox alone, for `podman import`.
image=$(mktemp -d)
mkdir -p "$image/bin" "$image/etc" "$image/proc" "$image/sys" "$image/dev" "$image/tmp"
cp "$root/bin/busybox" "$image/bin/"
# Every build of a release has the same ones; another machine's can't run here.
applets=$(busybox --list)
for applet in $applets; do
    [ "$applet" = busybox ] || ln -s busybox "$image/bin/$applet"
done
echo root:x:0:0:root:/:/bin/sh >"$image/etc/passwd"
mkdir -p "$root/usr/share/capwatch"
tar -C "$image" --owner=0 --group=0 -cf "$root/usr/share/capwatch/busybox.tar" .
rm -r "$image"

echo capwatch-test >"$root/etc/hostname"
echo 127.0.0.1 localhost capwatch-test >"$root/etc/hosts"
rm -rf "$root"/var/cache/apt/*.bin "$root"/var/lib/apt/lists/*
