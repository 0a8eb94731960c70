#!/bin/sh
# test/servers.sh -- the servers of bench/ under clients that others wrote
#
# usage: test/servers.sh FOLDER          with echo_lines, http_server, fetch
#
# curl, nc, wrk and ab talk to them; fetch talks to nginx. All on the loopback
# network, each on a free port, each ended by its own process id. What is not
# installed is left out, and said; with NEED_ALL=1 that is a failure.
set -u
programs=$1
work=$(mktemp -d) || exit 2
pids=
failed=0
trap 'for pid in $pids; do kill -9 "$pid" 2>>"$work/log"; done; rm -rf "$work"' EXIT
trap 'exit 2' INT TERM

good() {
    printf '  ok      %s\n' "$1"
}

bad() {
    printf '  FAILED  %s\n' "$1"
    failed=$((failed + 1))
}

# same WHAT HAD WANTED
same() {
    if [ "$2" = "$3" ]; then
        good "$1"
    else
        bad "$1: \"$2\", not \"$3\""
    fi
}

# has COMMAND: is it installed?
has() {
    command -v "$1" >>"$work/log" || [ -x "/usr/sbin/$1" ] && return 0
    if [ -n "${NEED_ALL:-}" ]; then
        bad "$1 is not installed"
    else
        printf '  left out: %s is not installed\n' "$1"
    fi
    return 1
}

# start PROGRAM ADDRESS: the address that it got is in $address, its id in $pid
start() {
    rm -f "$work/said"
    mkfifo "$work/said"
    "$programs/$1" "$2" >"$work/said" 2>>"$work/errors" &
    pid=$!
    pids="$pids $pid"
    read -r address <"$work/said"
}

# stop PROGRAM: by SIGTERM, and it ends well
stop() {
    kill -TERM "$pid"
    wait "$pid"
    same "$1 ends with status 0 after SIGTERM" $? 0
}

port() {
    echo "${address##*:}"
}

say() { # what to say to the server, as printf would
    # shellcheck disable=SC2059 # it is a format
    printf "$1" | timeout 20 nc -N 127.0.0.1 "$(port)"
}

# ---- lines ----

lines() {
    start echo_lines 127.0.0.1:0
    same "lines come back" "$(say 'one\ntwo\nthree')" "$(printf 'one\ntwo\nthree')"
    same "a line that is too long is refused" \
        "$(head -c 40000 /dev/zero | tr '\0' x | timeout 20 nc -N 127.0.0.1 "$(port)")" \
        "That line is too long."
    stop echo_lines
    start echo_lines "unix:$work/socket"
    same "lines come back over a unix socket" \
        "$(printf 'hello\n' | timeout 20 nc -N -U "$work/socket")" hello
    stop echo_lines
}

# ---- HTTP ----

with_curl() {
    get="curl -sS --max-time 20"
    same "GET" "$($get "$url")" "Hello, world"
    same "HEAD has a length and no body" \
        "$($get -I "$url" | tr -d '\r' | grep -i '^content-length')" "Content-Length: 13"
    same "five GETs take one connection" \
        "$($get -w '%{num_connects}' -o "$work/x" "$url" -o "$work/x" "$url" \
            -o "$work/x" "$url" -o "$work/x" "$url" -o "$work/x" "$url")" 10000
    head -c 1000000 /dev/urandom >"$work/body"
    $get -H 'Expect:' --data-binary "@$work/body" -o "$work/back" "$url"
    cmp "$work/body" "$work/back"
    same "a body of a megabyte comes back" $? 0
    head -c 1048577 /dev/zero >"$work/large"
    same "one byte too many is refused" \
        "$($get -H 'Expect:' --data-binary "@$work/large" -o "$work/x" -w '%{http_code}' "$url" 2>>"$work/log")" 413
    same "another method is refused" \
        "$($get -X DELETE -o "$work/x" -w '%{http_code}' "$url")" 405
}

with_nc() {
    same "two requests in one piece get two answers" \
        "$(say 'GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nConnection: close\r\n\r\n' | grep -c 'Hello')" 2
    same "nonsense is refused" \
        "$(say 'what is this\r\n\r\n' | head -n 1 | tr -d '\r')" "HTTP/1.1 400 Bad Request"
    same "a head without end is refused" \
        "$( (printf 'GET / HTTP/1.1\r\n'; yes 'X: y' | head -n 200) |
            timeout 20 nc -N 127.0.0.1 "$(port)" | head -n 1 | tr -d '\r')" \
        "HTTP/1.1 431 Request Header Fields Too Large"

    # Clients that have begun and go no further hold up nobody.
    mkfifo "$work/slow"
    nc 127.0.0.1 "$(port)" <"$work/slow" >"$work/x" &
    slow=$!
    pids="$pids $slow"
    exec 9>"$work/slow"
    printf 'GET / HT' >&9
    same "beside a slow client" "$(say 'GET / HTTP/1.0\r\n\r\n' | tail -n 1)" \
        "Hello, world"
    exec 9>&-
}

with_wrk() {
    cat >"$work/check.lua" <<'LUA'
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init() wrong = 0; right = 0 end
function response(status, headers, body)
    if status == 200 and body == "Hello, world\n" then
        right = right + 1
    else
        wrong = wrong + 1
    end
end
function done(summary)
    local e, wrong, right = summary.errors, 0, 0
    for _, thread in ipairs(threads) do
        wrong = wrong + thread:get("wrong")
        right = right + thread:get("right")
    end
    wrong = wrong + e.connect + e.read + e.write + e.status + e.timeout
    print("wrong " .. wrong .. (right > 100 and " of many" or " of few"))
end
LUA
    same "wrk: each answer is right" \
        "$(timeout 60 wrk -t 2 -c 64 -d 2s -s "$work/check.lua" "$url" | grep '^wrong')" \
        "wrong 0 of many"
}

with_ab() {
    timeout 60 ab -q -k -n 5000 -c 32 "$url" >"$work/ab" 2>&1
    same "ab: all are answered" \
        "$(sed -n 's/^Complete requests: *//p' "$work/ab")" 5000
    same "ab: none fails" "$(sed -n 's/^Failed requests: *//p' "$work/ab")" 0
    same "ab: connections are kept" \
        "$(sed -n 's/^Keep-Alive requests: *//p' "$work/ab")" 5000
    timeout 60 ab -q -n 2000 -c 32 "$url" >"$work/ab" 2>&1
    same "ab: a connection for each" \
        "$(sed -n -e 's/^Complete requests: *//p' -e 's/^Failed requests: *//p' "$work/ab" | tr '\n' ' ')" "2000 0 "
}

# ---- fetching ----

with_nginx() {
    mkdir -p "$work/www" "$work/logs"
    for i in 1 2 3 4 5 6 7 8 9 10; do
        head -c $((i * 1000)) /dev/zero >"$work/www/$i"
    done
    nginx=$(command -v nginx || echo /usr/sbin/nginx)
    number=$((20000 + $$ % 10000))
    cat >"$work/nginx.conf" <<CONF
daemon off;
worker_processes 1;
pid $work/nginx.pid;
error_log $work/logs/error.log;
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path $work/logs;
    proxy_temp_path $work/logs;
    fastcgi_temp_path $work/logs;
    uwsgi_temp_path $work/logs;
    scgi_temp_path $work/logs;
    server { listen 127.0.0.1:$number; root $work/www; }
}
CONF
chmod 755 "$work" "$work/www"
"$nginx" -p "$work" -c "$work/nginx.conf" 2>>"$work/log" &
pid=$!
pids="$pids $pid"
base=http://127.0.0.1:$number
urls=
for i in 1 2 3 4 5 6 7 8 9 10 1 2 3 4 5 6 7 8 9 10; do
    urls="$urls $base/$i"
done
# It tries again until nginx listens.
# shellcheck disable=SC2086 # words
timeout 60 "$programs/fetch" $urls $base/none >"$work/fetched"
same "fetch: all went well" $? 0
same "fetch: twenty files from nginx" \
    "$(grep -c ': 200, [1-9]0*000 bytes' "$work/fetched")" 20
same "fetch: one that is not there" "$(grep -c '/none: 404' "$work/fetched")" 1
kill -QUIT "$pid"
wait "$pid"
}

refused() {
    timeout 60 "$programs/fetch" http://127.0.0.1:1/ >"$work/fetched"
    same "fetch: who is refused fails" $? 1
    same "fetch: after four attempts" "$(grep -c '4 attempts' "$work/fetched")" 1
}

has nc && lines
start http_server 127.0.0.1:0
url=http://127.0.0.1:$(port)/
for client in curl nc wrk ab; do
    has $client && with_$client
done
stop http_server
has nginx && with_nginx
refused

[ -s "$work/errors" ] && cat "$work/errors"
[ "$failed" = 0 ] || exit 1
echo "The servers work."
