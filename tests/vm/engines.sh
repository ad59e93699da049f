#!/bin/sh
# A gate around the clients of containerd and Docker (see beside.sh).
# root: full
# kernels: 6.1 6.12
# packages: containerd,docker.io
# timeout: 600
# daily: 6.12
. "$CAPWATCH_LIB"
cd /tmp || exit
cp "$(command -v testbed)" /usr/local/bin/openshell-sandbox

# containerd, and the client that comes with it.
mkdir rootfs
tar -C rootfs -xf /usr/share/capwatch/busybox.tar
cp /usr/local/bin/openshell-sandbox rootfs/
containerd >/tmp/containerd.out 2>&1 &
containerd=$!
check "containerd answers" wait_for 120 ctr version || tail -n 5 /tmp/containerd.out
gated ctr 3 -- ctr run --rm --rootfs --cap-drop CAP_SETPCAP /tmp/rootfs mybox \
    /openshell-sandbox incident -- /bin/true
beside_of ctr containerd
check "ctr: by its id" testbed check ctr.json \
    'episodes[supervisor=openshell].container.id == mybox'

# Docker.
dockerd --iptables=false --ip6tables=false --bridge=none --storage-driver=vfs \
    --exec-opt native.cgroupdriver=cgroupfs >/tmp/dockerd.out 2>&1 &
dockerd=$!
check "dockerd answers" wait_for 120 docker version || tail -n 5 /tmp/dockerd.out
check "docker: the image imports" docker import /usr/share/capwatch/busybox.tar busybox
gated docker 3 -- docker run --rm --name dock --network=none --cap-drop SETPCAP \
    -v /usr/local/bin/openshell-sandbox:/openshell-sandbox:ro busybox \
    /openshell-sandbox incident -- /bin/true
beside_of docker docker
check "docker: by its name" testbed check docker.json \
    'episodes[supervisor=openshell].container.name == dock' \
    'scope.clients ~ docker'
kill "$dockerd" "$containerd"
