#!/bin/sh
# Containers as they really run, each with a supervisor that fails: who it is said to be,
# and the remedy, followed as it is printed, helps. One row of docs/containers.md for each.
# root: full
# kernels: 6.12
# packages: buildah,containerd,docker.io,lxc,python3-grpcio,systemd-container
# timeout: 2400
# full-only
. "$CAPWATCH_LIB"
cd /tmp || exit
cp "$(command -v testbed)" /usr/local/bin/openshell-sandbox
chmod 755 /usr/local/bin/openshell-sandbox
mkdir rootfs
tar -C rootfs -xf /usr/share/capwatch/busybox.tar
chmod 755 rootfs
tar -C rootfs -cf readable.tar .
cp /usr/local/bin/openshell-sandbox rootfs/
supervisor="/openshell-sandbox incident -- /bin/true"
volume="-v /usr/local/bin/openshell-sandbox:/openshell-sandbox:ro"
ip link set lo up

# said NAME: what the report NAME.json explains of the supervisor's episode.
said() { jq -r '[.episodes[] | select(.supervisor == "openshell")][0].explanation' "$1.json"; }
# fails NAME CONDITION… OPTION… -- COMMAND…: it fails there, and the report holds this.
fails() {
    of=$1
    shift
    conditions=''
    while [ "${1#--}" = "$1" ]; do
        conditions="$conditions
$1"
        shift
    done
    gated "$of" 3 "$@"
    said "$of"
    jq -M -c '[.episodes[] | select(.supervisor == "openshell")][0] | .container' "$of.json"
    echo "$conditions" | sed 1d | while read -r condition; do
        check "$of: $condition" testbed check "$of.json" "episodes[supervisor=openshell].$condition"
    done
}
# helps NAME OPTION… -- COMMAND…: what was advised was done, and nothing fails.
helps() {
    of=$1
    shift
    gated "$of-followed" 0 "$@"
    check "$of: the remedy helps" testbed check "$of-followed.json" \
        'episodes[supervisor=openshell].verdict == ok'
}
# advised NAME WORDS: what is printed in parentheses after these words.
advised() { said "$1" | sed -n "s/.*($2 \([^)]*\)).*/\1/p" | head -n 1; }
# row NAME WHAT VERSION REMEDY: of the report NAME.json; a remedy that was not followed is
# none.
row() {
    remedy=$4
    [ -e "$1-followed.json" ] || remedy=–
    jq -r --arg what "$2" --arg version "$3" --arg remedy "$remedy" '
        [.episodes[] | select(.supervisor == "openshell")][0] | .version as $of | .container
        | [.id, .name, .image, $of, .pod.name, .requested.bounding]
        | map(if (. // "") == "" then "–" else "yes" end) | join(" | ")
        | "note | \($what) | \($version) | \(.) | \($remedy) |"' "$1.json"
}
version() { dpkg-query -W -f '${Version}' "$1" | sed 's/^[0-9]*://; s/[-+~].*//'; }

# --- Podman, by root and by a user, with crun and runc ---
check "root's Podman: the image imports" podman import --quiet /usr/share/capwatch/busybox.tar busybox
check "user's Podman: the image imports" import_busybox
cd /tmp || exit
login="chroot --userspec=1000:1000 --groups= / env HOME=/home/user USER=user XDG_RUNTIME_DIR=/run/user/1000"
for who in root user; do
    as=
    [ $who = root ] || as=$login
    for runtime in crun runc; do
        name=podman-$who-$runtime
        podman="$as podman --runtime $runtime run --rm --network=none"
        # shellcheck disable=SC2086
        fails "$name" 'verdict == fatal' 'role == supervisor' 'container.runtime == podman' \
            "container.name == $name" 'container.image ~ busybox' \
            -- $podman --name "$name" --cap-drop SETPCAP $volume busybox $supervisor
        # shellcheck disable=SC2046,SC2086
        helps "$name" -- $podman $(advised "$name" 'podman run') $volume busybox $supervisor
        row "$name" "Podman ($who, $runtime)" "$(version podman)" "podman run --cap-add"
    done
done
podman="podman run --rm --network=none"
# Podman makes what is added ambient, so that another user has it too.
# shellcheck disable=SC2086
fails podman-33 'container.requested.user == 33' -- $podman --user 33 --cap-drop SETPCAP $volume \
    busybox $supervisor
# shellcheck disable=SC2046,SC2086
helps podman-33 -- $podman --user 33 $(advised podman-33 'podman run') $volume busybox $supervisor
row podman-33 "Podman, \`--user 33\`" "$(version podman)" "podman run --cap-add"
# Below a launcher a supervisor in a container is one all the same.
# shellcheck disable=SC2086
fails podman-below 'role == supervisor' 'container.name == below' -- setpriv --nnp $podman \
    --name below --cap-drop SETPCAP $volume busybox $supervisor
# Another store, another parent.
check "another store: the image imports" podman --root /srv/store --runroot /run/other import --quiet \
    /usr/share/capwatch/busybox.tar busybox
moved="podman --root /srv/store --runroot /run/other run --rm --network=none"
# shellcheck disable=SC2086
fails podman-moved 'container.name == moved' 'container.image ~ busybox' -- $moved --name moved \
    --cap-drop SETPCAP $volume busybox $supervisor
# shellcheck disable=SC2046,SC2086
helps podman-moved -- $moved $(advised podman-moved 'podman run') $volume busybox $supervisor
row podman-moved "Podman, \`--root\`" "$(version podman)" "podman run --cap-add"
# shellcheck disable=SC2086
fails podman-parent 'container.name == parented' -- $podman --cgroup-parent /mine \
    --name parented --cap-drop SETPCAP $volume busybox $supervisor
# shellcheck disable=SC2046,SC2086
helps podman-parent -- $podman --cgroup-parent /mine $(advised podman-parent 'podman run') $volume \
    busybox $supervisor
row podman-parent "Podman, \`--cgroup-parent\`" "$(version podman)" "podman run --cap-add"
# --- bubblewrap, by root and by a user ---
bwrap="bwrap --ro-bind / / --dev /dev --proc /proc"
# shellcheck disable=SC2086
fails bwrap 'verdict == fatal' 'role == supervisor' \
    -- $bwrap --cap-drop CAP_SETPCAP openshell-sandbox incident -- /bin/true
# shellcheck disable=SC2046,SC2086
helps bwrap -- $bwrap --cap-drop CAP_SETPCAP $(advised bwrap bwrap) openshell-sandbox incident -- /bin/true
bwrap="setpriv --reuid 1000 --regid 1000 --clear-groups $bwrap --unshare-user --uid 0 --cap-add ALL"
# shellcheck disable=SC2086
fails bwrap-user 'verdict == fatal' 'role == supervisor' \
    -- $bwrap --cap-drop CAP_SETPCAP openshell-sandbox incident -- /bin/true
# shellcheck disable=SC2046,SC2086
helps bwrap-user -- $bwrap --cap-drop CAP_SETPCAP $(advised bwrap-user bwrap) \
    openshell-sandbox incident -- /bin/true

# --- containerd, by its own client ---
containerd >/tmp/containerd.out 2>&1 &
containerd=$!
check "containerd answers" wait_for 120 ctr version || tail -n 5 /tmp/containerd.out
for namespace in default moby-like buildkit; do
    name=ctr-$namespace
    ctr="ctr -n $namespace run --rm --rootfs"
    # shellcheck disable=SC2086
    fails "$name" 'container.runtime == containerd' "container.id == box-$namespace" \
        -- $ctr --cap-drop CAP_SETPCAP /tmp/rootfs "box-$namespace" $supervisor
done
# shellcheck disable=SC2046,SC2086
helps ctr-default -- ctr run --rm --rootfs $(advised ctr-default 'ctr run') /tmp/rootfs again $supervisor
row ctr-default "containerd, \`ctr\`" "$(version containerd)" "ctr run --cap-add"
if ctr run --help | grep -q -- --user; then
    # shellcheck disable=SC2086
    fails ctr-33 'container.requested.user == 33' -- ctr run --rm --rootfs --user 33 \
        --cap-add CAP_SETPCAP /tmp/rootfs box-33 $supervisor
    # shellcheck disable=SC2046,SC2086
    helps ctr-33 -- ctr run --rm --rootfs $(advised ctr-33 'ctr run') /tmp/rootfs again33 $supervisor
    row ctr-33 "containerd, \`ctr --user 33\`" "$(version containerd)" "ctr run --user 0 --cap-add"
else
    skip "ctr --user" "ctr $(version containerd) has no such option"
fi

# --- Docker ---
start_docker() {
    dockerd --iptables=false --ip6tables=false --bridge=none --storage-driver=vfs \
        --exec-opt native.cgroupdriver=cgroupfs "$@" >/tmp/dockerd.out 2>&1 &
    wait_for 120 docker version
}
check "dockerd answers" start_docker || tail -n 5 /tmp/dockerd.out
check "docker: the image imports" docker import readable.tar busybox
docker="docker run --rm --network=none"
# shellcheck disable=SC2086
fails docker 'container.runtime == docker' 'container.name == dock' 'container.image ~ busybox' \
    -- $docker --name dock --cap-drop SETPCAP $volume busybox $supervisor
# shellcheck disable=SC2046,SC2086
helps docker -- $docker $(advised docker 'docker run') $volume busybox $supervisor
row docker Docker "$(version docker.io)" "docker run --cap-add"
for added in '' '--cap-add SETPCAP'; do
    name=docker-33${added:+-added}
    # shellcheck disable=SC2086
    fails "$name" 'container.requested.user == 33' -- $docker --user 33 $added $volume busybox $supervisor
    # shellcheck disable=SC2046,SC2086
    helps "$name" -- $docker $(advised "$name" 'docker run') $volume busybox $supervisor
done
row docker-33 "Docker, \`--user 33\`" "$(version docker.io)" "docker run --user 0 --cap-add"
# shellcheck disable=SC2086
docker run -d --name long --network=none --cap-add SETPCAP $volume busybox sleep 1000 >/dev/null
# shellcheck disable=SC2086
fails docker-exec 'container.name == long' 'explanation ~ "exec --user 0"' \
    --scope host -- docker exec --user 33 long $supervisor
# shellcheck disable=SC2086
helps docker-exec --scope host -- docker exec --user 0 long $supervisor
row docker-exec "Docker, \`exec --user 33\`" "$(version docker.io)" "docker exec --user 0"
# It was given the capability, and gave it up before the drop.
# shellcheck disable=SC2086
fails docker-setuid 'container.name == long' 'explanation ~ "before it changes its user"' \
    --scope host -- docker exec long /openshell-sandbox do setuid 33 drop chown exit 1
# shellcheck disable=SC2086
helps docker-setuid --scope host -- docker exec long /openshell-sandbox do drop chown setuid 33
check "docker rename" docker rename long renamed
# shellcheck disable=SC2086
fails docker-renamed 'container.name == renamed' --scope host -- docker exec --user 33 renamed $supervisor
docker rm -f renamed >/dev/null
# shellcheck disable=SC2086
fails docker-parent 'container.name == parented' -- $docker --cgroup-parent /mine --name parented \
    --cap-drop SETPCAP $volume busybox $supervisor
# shellcheck disable=SC2046,SC2086
helps docker-parent -- $docker --cgroup-parent /mine $(advised docker-parent 'docker run') $volume \
    busybox $supervisor
row docker-parent "Docker, \`--cgroup-parent\`" "$(version docker.io)" "docker run --cap-add"
# A build, of which a step fails; its image is the base's.
mkdir context
cp /usr/local/bin/openshell-sandbox context/
printf 'FROM busybox\nCOPY openshell-sandbox /\nRUN ["/openshell-sandbox","do","lower","setpcap","drop","chown"]\n' \
    >context/Dockerfile
gated docker-build 3 -- docker build --network=none context
jq -M -c '.episodes[] | [.supervisor, .container, .explanation]' docker-build.json
check "docker build: said to be a build, from its base" testbed check docker-build.json \
    'episodes[supervisor=openshell].container.build == docker' \
    'episodes[supervisor=openshell].container.image ~ busybox'
row docker-build "\`docker build\`" "$(version docker.io)" "–"
# A step of Podman's that fails. Its cgroup has the name of the step alone: no image.
mkdir podman-context
cp /usr/local/bin/openshell-sandbox podman-context/
printf 'FROM busybox\nCOPY openshell-sandbox /\nRUN ["/openshell-sandbox","incident","--","/bin/true"]\n' \
    >podman-context/Dockerfile
build="podman build --no-cache --network=none"
# shellcheck disable=SC2086
fails build-oci 'verdict == fatal' 'container.build == buildah' \
    -- $build --isolation oci --cap-drop SETPCAP podman-context
# shellcheck disable=SC2046,SC2086
helps build-oci -- $build --isolation oci $(advised build-oci 'podman build') podman-context
row build-oci "\`podman build\`" "$(version podman)" "podman build --cap-add"
# With chroot isolation there is no container: it is a process below podman.
build="podman build --no-cache --isolation chroot"
# shellcheck disable=SC2086
fails build-chroot 'verdict == fatal' 'container == null' -- $build --cap-drop SETPCAP podman-context
row build-chroot "\`podman build --isolation chroot\`" "$(version podman)" "–"
kill "$(pidof dockerd)"
wait_for 30 sh -c '! pidof dockerd'
# The command line of dockerd is not read: its configuration is.
mkdir -p /etc/docker
echo '{"data-root":"/srv/docker"}' >/etc/docker/daemon.json
check "dockerd answers from elsewhere" start_docker || tail -n 5 /tmp/dockerd.out
check "docker, moved: the image imports" docker import readable.tar busybox
# shellcheck disable=SC2086
fails docker-moved 'container.name == moved' 'container.image ~ busybox' -- $docker --name moved \
    --cap-drop SETPCAP $volume busybox $supervisor
# shellcheck disable=SC2046,SC2086
helps docker-moved -- $docker $(advised docker-moved 'docker run') $volume busybox $supervisor
row docker-moved "Docker, \`data-root\` in daemon.json" "$(version docker.io)" "docker run --cap-add"
kill "$(pidof dockerd)"

# --- containerd by CRI, as the kubelet asks ---
podman import --quiet --change 'CMD ["/bin/sleep","1000"]' /usr/share/capwatch/busybox.tar pause
podman save --quiet --format oci-archive --output pause.oci localhost/pause:latest
podman save --quiet --format oci-archive --output busybox.oci localhost/busybox:latest
kill "$containerd"
wait_for 30 sh -c '! pidof containerd'
mkdir -p /etc/containerd
printf 'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\nsandbox_image = "localhost/pause:latest"\n' \
    >/etc/containerd/config.toml
containerd >/tmp/containerd.out 2>&1 &
containerd=$!
check "containerd answers, with CRI" wait_for 120 ctr version || tail -n 5 /tmp/containerd.out
for image in pause busybox; do
    check "CRI: $image imports" ctr -n k8s.io images import --index-name "localhost/$image:latest" "$image.oci"
done
cri="python3 /capwatch/data/cri.py"
# shellcheck disable=SC2086
fails cri 'container.runtime == containerd' 'container.name == agent' 'container.pod.name == sandbox-7' \
    'container.pod.namespace == agents' 'container.image ~ busybox' \
    --scope host -- $cri sandbox-7 agent --drop SETPCAP -- $supervisor
check "cri: the remedy is the pod's" test "$(advised cri 'securityContext.capabilities.add:')" = "[SETPCAP]"
# shellcheck disable=SC2086
helps cri --scope host -- $cri sandbox-8 agent --add SETPCAP -- $supervisor
row cri "containerd, CRI" "$(version containerd)" "capabilities.add"
# shellcheck disable=SC2086
fails cri-33 'container.pod.name == sandbox-9' 'container.requested.user == 33' \
    --scope host -- $cri sandbox-9 agent --user 33 --add SETPCAP -- $supervisor
check "cri-33: the remedy is another user" sh -c 'echo "$1" | grep -q "runAsUser: 0"' sh "$(said cri-33)"
# shellcheck disable=SC2086
helps cri-33 --scope host -- $cri sandbox-10 agent --user 0 --add SETPCAP -- $supervisor
row cri-33 "containerd, CRI, \`runAsUser: 33\`" "$(version containerd)" "runAsUser: 0 and capabilities.add"
kill "$containerd"

# --- machines ---
# systemd-nspawn wants to know the host's.
[ -s /etc/machine-id ] || tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id
mkdir -p machine/usr
tar -C machine -xf /usr/share/capwatch/busybox.tar
cp /usr/local/bin/openshell-sandbox machine/
nspawn="systemd-nspawn --quiet --register=no --keep-unit --directory=/tmp/machine --machine=mach"
# shellcheck disable=SC2086
fails nspawn 'verdict == fatal' -- $nspawn --drop-capability=CAP_SETPCAP $supervisor
# shellcheck disable=SC2046,SC2086
helps nspawn -- $nspawn $(advised nspawn systemd-nspawn | sed 's/,.*//') $supervisor
check "nspawn: the other half of the remedy is said" sh -c 'echo "$1" | grep -q "no --drop-capability="' \
    sh "$(said nspawn)"
row nspawn "systemd-nspawn" "$(version systemd-container)" "systemd-nspawn --capability"
mkdir -p /var/lib/lxc/lxcbox
cat >/var/lib/lxc/lxcbox/config <<'LXC'
lxc.uts.name = lxcbox
lxc.rootfs.path = dir:/tmp/rootfs
lxc.net.0.type = none
lxc.cap.drop = setpcap
lxc.apparmor.profile = unconfined
LXC
# shellcheck disable=SC2086
fails lxc 'verdict == fatal' 'container.runtime == lxc' 'container.id == lxcbox' \
    -- lxc-execute -n lxcbox -- $supervisor
sed -i '/lxc.cap.drop/d' /var/lib/lxc/lxcbox/config
# shellcheck disable=SC2086
helps lxc -- lxc-execute -n lxcbox -- $supervisor
row lxc LXC "$(version lxc)" "lxc.cap.drop"
