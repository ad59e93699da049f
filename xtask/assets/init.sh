#!/bin/busybox sh
# The first process of the initramfs: mounts the root's disk, if there is one.
export PATH=/usr/local/lib/busybox:/bin:/sbin
/bin/busybox mkdir -p /usr/local/lib/busybox /proc /sys /dev /tmp /root /run
/bin/busybox --install -s /usr/local/lib/busybox

if [ -d /capwatch/modules ]; then
    mount -t proc proc /proc
    mount -t devtmpfs dev /dev
    for module in /capwatch/modules/*; do
        insmod "$module" || echo "init: cannot load $module"
    done
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        root=$(findfs LABEL=root) && modules=$(findfs LABEL=modules) && break
        sleep 0.5
    done
    mkdir /newroot
    mount -t ext4 "$root" /newroot || exec echo "init: no root disk"
    mkdir -p /newroot/usr/lib/modules
    mount -t ext4 -o ro "$modules" /newroot/usr/lib/modules
    rm -r /capwatch/modules
    cp -a /capwatch /newroot/
    umount /dev /proc
    exec switch_root /newroot /capwatch/guest.sh
fi
exec /capwatch/guest.sh
