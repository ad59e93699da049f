#!/bin/sh
# Installs capwatch from its tarball on a host with systemd, or removes it:
#   ./install.sh              what is in /etc stays as it is
#   ./install.sh --uninstall  what is in /etc and /var stays
#   ./install.sh --purge      nothing stays
# DESTDIR=DIR puts the files below DIR and starts nothing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=${DESTDIR:-}

# SOURCE TARGET MODE
files() {
    cat <<LIST
capwatch usr/bin/capwatch 755
deploy/systemd/capwatch.service usr/lib/systemd/system/capwatch.service 644
deploy/systemd/capwatch-early.service usr/lib/systemd/system/capwatch-early.service 644
deploy/systemd/capwatch.socket usr/lib/systemd/system/capwatch.socket 644
deploy/systemd/capwatch-audit.socket usr/lib/systemd/system/capwatch-audit.socket 644
deploy/systemd/capwatch.sysusers usr/lib/sysusers.d/capwatch.conf 644
deploy/systemd/capwatch.tmpfiles usr/lib/tmpfiles.d/capwatch.conf 644
pages/capwatch.bash usr/share/bash-completion/completions/capwatch 644
pages/_capwatch usr/share/zsh/site-functions/_capwatch 644
pages/capwatch.fish usr/share/fish/vendor_completions.d/capwatch.fish 644
LIST
    for page in "$here"/pages/man/*.1.gz; do
        echo "pages/man/${page##*/} usr/share/man/man1/${page##*/} 644"
    done
}
# What the administrator may change.
configuration() {
    cat <<LIST
deploy/capwatch.toml etc/capwatch/capwatch.toml 644
deploy/systemd/capwatch.default etc/default/capwatch 644
deploy/systemd/capwatch.logrotate etc/logrotate.d/capwatch 644
LIST
}
# A host to start things on, not a folder for files.
live() { [ -z "$root" ] && [ -d /run/systemd/system ]; }

remove() {
    if live; then
        systemctl disable --now capwatch.service capwatch-early.service || true
    fi
    if [ -z "$root" ]; then
        # What is pinned would count on until the next boot.
        /usr/bin/capwatch unload || true
    fi
    files | while read -r _ target _; do rm -f "$root/$target"; done
    if [ "$1" = --purge ]; then
        configuration | while read -r _ target _; do rm -f "$root/$target"; done
        rm -rf "$root/etc/capwatch" "$root/var/lib/capwatch"
        if [ -z "$root" ] && getent passwd capwatch >/dev/null; then
            userdel capwatch
        fi
    fi
    if live; then
        systemctl daemon-reload
    fi
}

case ${1:-} in
--uninstall | --purge)
    remove "$1"
    exit
    ;;
'') ;;
*)
    sed -n '2,6s/^# //p' "$0" >&2
    exit 2
    ;;
esac

files | while read -r source target mode; do
    install -D -m "$mode" "$here/$source" "$root/$target"
done
configuration | while read -r source target mode; do
    [ -e "$root/$target" ] || install -D -m "$mode" "$here/$source" "$root/$target"
done
if live; then
    systemd-sysusers capwatch.conf
    systemd-tmpfiles --create capwatch.conf
    systemctl daemon-reload
    systemctl enable capwatch.service
    systemctl restart capwatch.service
    echo "capwatch runs: http://127.0.0.1:11400/, systemctl status capwatch"
elif [ -z "$root" ]; then
    echo "no systemd runs here: start /usr/bin/capwatch run as root by what starts services here"
fi
