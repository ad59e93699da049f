#!/usr/bin/env bash
# TLS and passwords: curl and a real Prometheus ask a real agent; wrong ones, an expired
# certificate and broken files have clear errors, and what was in force stays. A Unix
# socket, and one that is passed as systemd does.
. "$(dirname "$0")/lib/common.sh"

need prometheus prometheus && need curl curl && need openssl openssl && need htpasswd apache2-utils &&
    need python3 python3 || { skip tls "prometheus, curl, openssl, htpasswd or python3 is not to be had"; finish; }
agent_binary || { not_ok "tls: the agent is built" ""; finish; }
[ "$(id -u)" = 0 ] || { skip tls "only root can attach"; finish; }

cd "$WORK" || exit 1
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=test >openssl.log 2>&1
# sign NAME DAYS: a certificate for 127.0.0.1; negative days: one that has expired.
sign() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.csr" -subj /CN=capwatch >>openssl.log 2>&1
    openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days "$2" -out "$1.pem" \
        -extfile <(echo subjectAltName=IP:127.0.0.1) >>openssl.log 2>&1
}
sign server 2
sign expired -1
hash=$(htpasswd -nbBC 10 ann secret | cut -d: -f2)
cat >web.yml <<YAML
tls_server_config: {cert_file: server.pem, key_file: server.key}
basic_auth_users:
  ann: $hash
YAML
check "tls: promtool takes the same file" promtool check web-config web.yml

port=$((20000 + RANDOM % 20000))
"$CAPWATCH" run --web.config.file web.yml --web.open-probes --web.listen-address "127.0.0.1:$port" \
    --web.listen-address "unix:$WORK/web.sock" >agent.log 2>&1 &
agent=$!
started+=("$agent")
url=https://127.0.0.1:$port
ask() { curl -sS --max-time 20 --cacert ca.pem "$@"; }
answers() {
    local _
    for _ in $(seq 150); do
        ask -o /dev/null "$url/-/healthy" 2>/dev/null && return 0
        sleep 0.2
    done
    tail -n 5 agent.log
    return 1
}
if ! answers >said; then
    not_ok "tls: the agent starts" "$(cat said)"
    finish
fi
code() { ask -o /dev/null -w '%{http_code}' "$@"; }
is() { [ "$1" = "$2" ] || { echo "$1 in place of $2"; return 1; }; }
check "tls: it says where it serves" grep -q "serving https://127.0.0.1:$port/" agent.log
check "tls: a probe needs no password" is "$(code "$url/-/healthy")" 200
check "tls: without a password nothing is shown" is "$(code "$url/metrics")" 401
check "tls: nor with a wrong one" is "$(code -u ann:wrong "$url/metrics")" 401
check "tls: nor on the page" is "$(code "$url/")" 401
check "tls: with the right one all is shown" is "$(code -u ann:secret "$url/metrics")" 200
check "tls: TLS 1.2 too" is "$(code --tls-max 1.2 -u ann:secret "$url/metrics")" 200
check "tls: the Unix socket asks for it too" is "$(code --unix-socket web.sock http://localhost/metrics)" 401
check "tls: the Unix socket answers" is "$(code --unix-socket web.sock -u ann:secret http://localhost/metrics)" 200

# Prometheus, with the right password and with a wrong one.
scraper=$((40000 + RANDOM % 20000))
cat >prometheus.yml <<YAML
global: {scrape_interval: 2s}
scrape_configs:
$(for login in secret wrong; do
    echo "  - {job_name: $login, scheme: https, tls_config: {ca_file: $WORK/ca.pem},"
    echo "     basic_auth: {username: ann, password: $login}, static_configs: [{targets: ['127.0.0.1:$port']}]}"
done)
YAML
prometheus --config.file=prometheus.yml --storage.tsdb.path="$WORK/tsdb" \
    --web.listen-address="127.0.0.1:$scraper" --log.level=warn >prometheus.log 2>&1 &
started+=($!)
target() {
    curl -fsS "http://127.0.0.1:$scraper/api/v1/targets" 2>/dev/null | tr '{' '\n' | grep "\"scrapePool\":\"$1\"" | grep -- "$2" >/dev/null
}
check "tls: Prometheus scrapes it" soon target secret '"health":"up"'
check "tls: Prometheus with a wrong password is refused" soon target wrong '401 Unauthorized'

# Changes while it runs.
logged() { grep -q "$1" agent.log; }
serial() { echo | openssl s_client -connect "127.0.0.1:$port" 2>/dev/null | openssl x509 -noout -serial; }
first=$(serial)
cp server.pem good.pem
cp server.key good.key
echo nonsense >server.pem
check "tls: a broken certificate is said" soon logged 'server.pem has no certificate in PEM form; the previous web configuration stays active'
cp expired.key server.key
cp expired.pem server.pem
check "tls: an expired certificate is said" soon logged 'expired at .*; the previous web configuration stays active'
check "tls: the former one stays" is "$(serial)" "$first"
cp good.key server.key
cp good.pem server.pem
cp web.yml good.yml
echo 'basic_auth_users: {ann: secret}' >web.yml
check "tls: a password that is no hash is said" soon logged 'ann: not a bcrypt hash; make one with'
check "tls: the former password stays" is "$(code -u ann:secret "$url/metrics")" 200
sed "s|ann:.*|ann: '$(htpasswd -nbBC 10 ann other | cut -d: -f2)'|" good.yml >web.yml
changed() { [ "$(code -u ann:other "$url/metrics")" = 200 ] && [ "$(code -u ann:secret "$url/metrics")" = 401 ]; }
check "tls: a new password holds soon" soon changed
sign server 2
renewed() { [ "$(serial)" != "$first" ]; }
check "tls: a renewed certificate is shown soon" soon renewed

# A mistake at the start ends it, before anything is attached.
wrong() {
    echo 'tls_server_config: {cert_file: nowhere.pem, key_file: server.key}' >bad.yml
    ! "$CAPWATCH" run --web.config.file bad.yml --web.listen-address 127.0.0.1:0 >bad.log 2>&1 &&
        grep -q 'invalid web configuration bad.yml: cannot read nowhere.pem: No such file' bad.log || { cat bad.log; return 1; }
}
check "tls: a mistake at the start is an error" wrong
kill "$agent"
wait "$agent" 2>/dev/null
gone() { [ ! -e web.sock ]; }
check "tls: the socket's file goes with the agent" gone

# A socket as systemd passes it: descriptor 3.
cat >pass.py <<'PY'
import os, socket, sys
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen()
print(listener.getsockname()[1], flush=True)
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
os.execv(sys.argv[1], [sys.argv[1], "run", "--web.systemd-socket"])
PY
python3 pass.py "$CAPWATCH" >port 2>passed.log &
started+=($!)
passed() { curl -fsS "http://127.0.0.1:$(head -n 1 port)/metrics" 2>/dev/null | grep ^capwatch_build_info >/dev/null; }
check "tls: it serves on a socket that was passed" soon passed
none() {
    "$CAPWATCH" run --web.systemd-socket >none.log 2>&1
    grep -q 'none was passed; start the agent from a .socket unit' none.log || { cat none.log; return 1; }
}
check "tls: without one it says so" none
finish
