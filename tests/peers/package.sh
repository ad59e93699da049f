#!/usr/bin/env bash
# The Debian package as packaging tools see it: what is in it, and lintian.
# Installing it is tests/vm/package.sh, with --full.
# timeout: 900
# full-only
. "$(dirname "$0")/lib/common.sh"

need lintian lintian && need dpkg-deb dpkg || { skip package "lintian is not to be had"; finish; }
if ! (cd "$ROOT" && cargo xtask dist --quick) >"$WORK/dist" 2>&1; then
    not_ok "package: it is made" "$(tail -n 15 "$WORK/dist")"
    finish
fi
deb=$(tail -n 1 "$WORK/dist")
dpkg-deb -c "$deb" >"$WORK/contents"
dpkg-deb -R "$deb" "$WORK/tree"
has() { grep -Eq "^$1.* \./$2\$" "$WORK/contents" || { echo "no $1 $2"; return 1; }; }
contents() {
    has -rwxr-xr-x usr/bin/capwatch && has -rw-r--r-- etc/capwatch/capwatch.toml &&
        has -rw-r--r-- usr/lib/sysusers.d/capwatch.conf && has -rw-r--r-- 'usr/share/man/man1/capwatch-record.1.gz' &&
        has -rw-r--r-- usr/share/bash-completion/completions/capwatch && has -rw-r--r-- '(usr/)?lib/systemd/system/capwatch.service' &&
        has -rw-r--r-- '(usr/)?lib/systemd/system/capwatch.socket' &&
        has -rw-r--r-- '(usr/)?lib/systemd/system/capwatch-audit.socket'
}
check "package: it has program, unit, configuration, pages and completions" contents
owners() { ! grep -Ev ' (root/root|0/0) ' "$WORK/contents"; }
check "package: all belongs to root" owners
conffiles() {
    diff <(sort "$WORK/tree/DEBIAN/conffiles") - <<'LIST'
/etc/capwatch/capwatch.toml
/etc/default/capwatch
/etc/logrotate.d/capwatch
LIST
}
check "package: what an administrator changes is a conffile" conffiles
check "package: the configuration in it is valid" "$CAPWATCH" config check "$WORK/tree/etc/capwatch/capwatch.toml"
linted() {
    lintian --fail-on error --allow-root "$deb" || return 1
}
check "package: lintian has no error" linted
finish
