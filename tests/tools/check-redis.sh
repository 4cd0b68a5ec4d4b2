#!/bin/sh
# check-redis.sh FAAS DISPATCHER WORKER MAN-PAGE - the programs with a store in Redis: what they say
# when it is of no use, and what outlives whom
set -eu
faas=$(realpath "$1") dispatcher=$(realpath "$2") worker=$(realpath "$3") page=$(realpath "$4")
. "$(dirname "$0")/lib.sh"
socket=$scratch/redis.sock
store=redis+unix://$socket
unset FAAS_STORE

# start_redis: on $socket, with what is in its folder; its pid in $redis_pid.
start_redis() {
        start redis-server --port 0 --unixsocket "$socket" --dir "$scratch" --save '' --appendonly yes \
                --appendfsync always >redis.log 2>&1
        redis_pid=$started
        until_true 20 redis_answers
}
redis_answers() { [ "$(redis-cli -s "$socket" ping 2>&1)" = PONG ]; }
redis() { redis-cli -s "$socket" "$@" >redis.out 2>&1 && ! grep -q ERR redis.out || die "redis-cli $*: $(cat redis.out)"; }
kill_hard() {
        kill -9 "$1"
        wait "$1" 2>/dev/null || :
}

# refused STATUS TEXT URL OPTION...: in one line, at once, and without any password.
refused() {
        want_status=$1 want_text=$2 url=$3
        shift 3
        expect "$want_status" timeout 20 "$dispatcher" -p 0 --store "$url" "$@"
        said "$want_text"
        [ ! -s out ] || die "printed something: $url"
        ! grep -q hush err || die "the password of $url"
}

# start_dispatcher NAME OPTION...: at ipc://$scratch/NAME, with a short lease; its pid in $started.
start_dispatcher() {
        name=$1
        shift
        start "$dispatcher" --listen "ipc://$scratch/$name" --name "$name" --lease 600 --heartbeat 200 "$@" 2>"$name.log"
        until_true 20 grep -q 'listening on' "$name.log"
}

# ended PID STATUS: it ends by itself, with this exit code.
ended() {
        status=0
        wait "$1" || status=$?
        [ "$status" -eq "$2" ] || die "exit code $status, not $2"
}

# ---- URLs that are none ----

refused 2 'redis URL: expected redis://[user:password@]host' redis:
refused 2 'no host' redis://
refused 2 'no host' redis://:hush@
refused 2 'bad port' redis://h:99999
refused 2 'bad port' redis://:hush@h:x
refused 2 '"x": not a database' redis://h/x
refused 2 '"": not a prefix' 'redis://h?prefix='
refused 2 '"a b": not a prefix' 'redis://h?prefix=a b'
refused 2 '"foo": unknown; expected db, prefix, user or password' 'redis://h?foo=1'
refused 2 'no absolute path' redis+unix://x
refused 2 'no TLS yet' rediss://:hush@h
refused 2 '"redis": expected SCHEME:' redis
refused 2 'two passwords' 'redis://:hush@h?password=hush2'
expect 2 env FAAS_STORE=foo: "$dispatcher" -p 0
said 'store "foo:": unknown scheme'

# ---- nobody there, or somebody else ----

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
refused 1 "redis 127.0.0.1:$port: Connection refused" "redis://:hush@127.0.0.1:$port"
refused 1 "redis $socket: No such file or directory" "$store"
expect 1 "$dispatcher" -p 0 --store "$store" --wait-store 0.3
[ "$(wc -l <err)" -eq 2 ] && head -n 1 err | grep -q "redis $socket: .*; waiting for it" &&
        tail -n 1 err | grep -q "redis $socket: No such file or directory" || die "one that gives up waiting"

start python3 -u -m http.server --bind 127.0.0.1 0 >http.log 2>&1
http=$started
until_true 20 grep -q ' port ' http.log
port=$(sed -n 's/.* port \([0-9]*\) .*/\1/p' http.log)
refused 1 "redis 127.0.0.1:$port: not a Redis" "redis://127.0.0.1:$port"
kill_hard "$http"

# One that waits: a signal ends it, and Redis begins it.
start "$dispatcher" -p 0 --store "$store" --wait-store 60 2>waiting.log
until_true 20 grep -q 'waiting for it' waiting.log
kill "$started"
ended "$started" 0
[ "$(wc -l <waiting.log)" -eq 1 ] || die "a stop while it waits is no error"
start "$dispatcher" -p 0 --store "$store" --wait-store 60 2>waiting.log
waiting=$started
until_true 20 grep -q 'waiting for it' waiting.log
start_redis
until_true 20 grep -q 'listening on' waiting.log
tail -n 1 waiting.log | grep -q 'listening on' || die "the last word: $(cat waiting.log)"
kill "$waiting"
ended "$waiting" 0

# ---- a Redis that is not as it should be ----

redis flushall
refused 1 'database 77 is out of range' "$store?db=77"
redis set '{faas}:meta' x
refused 1 '{faas}:meta is a string that is not ours; choose another prefix' "$store"
redis del '{faas}:meta'
redis hset '{faas}:meta' v 7
refused 1 '{faas}:meta is of another version of libfaas: it has schema 7' "$store"
redis del '{faas}:meta'
# Another key, before and after the start.
redis set '{faas}:live' x
refused 1 '{faas}:live' "$store"
redis del '{faas}:live'
start_dispatcher stuck --store "$store"
redis set '{faas}:live' x
"$faas" --url "ipc://$scratch/stuck" submit noop >out 2>err || :
until_true 20 grep -q '{faas}:live.*all tasks wait' stuck.log
redis del '{faas}:live'
until_true 20 grep -q 'it is there again' stuck.log
expect 0 "$faas" --url "ipc://$scratch/stuck" submit noop
kill_hard "$started"
redis flushall

redis config set maxmemory 100mb
redis config set maxmemory-policy allkeys-lru
refused 1 'it may evict keys' "$store"
start_dispatcher lax --store "$store" --allow-eviction
kill "$started"
ended "$started" 0
redis config set maxmemory-policy noeviction
redis config set maxmemory 0

# Without memory new tasks are refused, and what is there ends.
start_dispatcher full --store "$store"
full=$started
export FAAS_URL="ipc://$scratch/full"
id=$("$faas" submit echo 'before')
redis config set maxmemory 1
expect 1 "$faas" submit noop
said 'is full'
grep -q 'has no memory left (maxmemory): new tasks are refused' full.log || die "why: $(cat full.log)"
start "$worker" -w 1 2>/dev/null
expect 0 "$faas" wait "$id"
[ "$(cat out)" = before ] || die "one that was there before"
redis config set maxmemory 0
until_true 20 "$faas" run echo after
kill_hard "$started"
kill_hard "$full"

redis config set appendonly no
start_dispatcher forgetful --store "$store"
grep -q 'appendonly off' forgetful.log || die "that it forgets"
kill "$started"
ended "$started" 0
redis config set appendonly yes

# ---- passwords and rights ----

set -f # the rights have a * each
redis acl setuser noeval on '>hush' '~{faas}*' '+@all' -evalsha
redis acl setuser nokeys on '>hush' '~{other}*' '+@all'
rights=$(sed -n '/^ACL SETUSER faas/,/^```/p' "$page" | sed '/^```/d; s/^ACL SETUSER faas on >PASSWORD//')
redis acl setuser exact on '>hush' $rights
set +f
refused 1 'user noeval lacks a right that is needed here: ' "redis+unix://noeval:hush@$socket"
grep -q evalsha err || die "which right"
refused 1 'user nokeys lacks a right that is needed here: ' "redis+unix://nokeys:hush@$socket"
refused 1 'wrong password, or no such user' "redis+unix://nobody:hush@$socket"
start_dispatcher exact --store "redis+unix://exact:hush@$socket"
exact=$started
export FAAS_URL="ipc://$scratch/exact"
start "$worker" -w 1 2>/dev/null
seq 3000 >lines
expect 0 "$faas" map echo <lines
cmp lines out
id=$("$faas" submit sleep 600)
expect 0 "$faas" cancel "$id"
kill_hard "$started"
kill_hard "$exact"
! grep -q 'lacks a right\|all tasks wait' exact.log || die "the rights of the man page: $(cat exact.log)"
redis config set requirepass hush
refused 1 'it asks for a password' "$store"
refused 1 'wrong password' "redis+unix://:hush2@$socket"

# Who gives it in the environment shows it to nobody.
for json in '' --json; do
        # shellcheck disable=SC2086
        FAAS_STORE="redis+unix://:hush@$socket?db=1" start_dispatcher secret --log-level debug $json
        grep -q "store redis+unix://$socket?db=1" secret.log || die "which store: $(cat secret.log)"
        ! grep -q hush secret.log || die "the password: $(cat secret.log)"
        ! grep -q hush "/proc/$started/cmdline" || die "the password in the command line"
        kill "$started"
        ended "$started" 0
done
redis-cli -s "$socket" --no-auth-warning -a hush config set requirepass '' >/dev/null
redis flushall

# ---- several dispatchers ----

export FAAS_STORE="$store"
start_dispatcher a
a=$started
start_dispatcher b
b=$started
export FAAS_URL="ipc://$scratch/a,ipc://$scratch/b"
start "$worker" -w 2 --name w 2>worker.log
w=$started
until_true 20 sh -c '[ "$(grep -c "registered with" worker.log)" -eq 2 ]'
expect 0 "$faas" workers
[ "$(wc -l <out)" -eq 2 ] && grep -qE '^w +2 ' out || die "the table of workers"
expect 0 "$faas" --json stats
json out 'o["workers"] == 1 and o["epoch"] > 0'
"$faas" --url "ipc://$scratch/a" --json stats >a.json
"$faas" --url "ipc://$scratch/b" --json stats >b.json
! cmp -s a.json b.json || die "two dispatchers, two epochs"

# One is killed: the other takes over what it had accepted, and who asks there hears of it.
id=$("$faas" --url "ipc://$scratch/a" submit sleep 2)
kill_hard "$a"
expect 0 "$faas" stats
expect 0 "$faas" --url "ipc://$scratch/b" wait "$id"
until_true 20 grep -q "its tasks are this one's now" b.log
start_dispatcher a
a=$started
# A second one under its name, elsewhere.
start "$dispatcher" --listen "ipc://$scratch/twin" --name a --lease 600 2>twin.log
twin=$started
ended "$a" 1
tail -n 1 a.log | grep -q "another process runs under this dispatcher's name, a" || die "why: $(cat a.log)"
kill "$twin" "$b" "$w"
ended "$twin" 0
ended "$b" 0
ended "$w" 0
expect 6 "$faas" --timeout 0.2 stats

# ---- what outlives whom ----

start_dispatcher c --result-ttl 2
c=$started
export FAAS_URL="ipc://$scratch/c"
id=$("$faas" submit echo 'still here')
kill_hard "$c"
kill_hard "$redis_pid"
start "$dispatcher" --listen "$FAAS_URL" --name c --lease 600 --result-ttl 2 --wait-store 60 2>c.log
c=$started
until_true 20 grep -q 'waiting for it' c.log
start_redis
until_true 20 grep -q 'listening on' c.log
expect 0 "$faas" status "$id"
[ "$(cat out)" = QUEUED ] || die "queued still"
# One that is stopped leaves what waits.
kill "$c"
ended "$c" 0
start_dispatcher c --result-ttl 2
start "$worker" -w 1 2>/dev/null
expect 0 "$faas" wait "$id"
[ "$(cat out)" = 'still here' ] || die "its result"
# Some time later nobody has taken it.
has_expired() { "$faas" result "$id" >out 2>err || [ $? -eq 4 ] && [ ! -s out ]; }
until_true 20 has_expired
expect 4 "$faas" result "$id"
said "task $id is done, and its result was collected or has expired"
expect 4 "$faas" status "$id"
expect 4 "$faas" wait "$id"
