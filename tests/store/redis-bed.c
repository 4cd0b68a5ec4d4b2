/* redis-bed.c - a Redis store on a real server, driven by its test: in virtual or in real time */
#undef NDEBUG
#include "redis-bed.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "store/redis-scripts.h"

struct th_redis rb_server;
const char *const *rb_server_args;
bool rb_append_only;

static unsigned n_stores;
static redisContext *admin;

const char *rb_prefix(void) {
        static char text[16];

        (void)snprintf(text, sizeof(text), "t%u", n_stores - 1);
        return text;
}

/* ---- the server ---- */

void rb_hang_up(void) {
        if (admin)
                redisFree(admin);
        admin = NULL;
}

static redisReply *ask(const char *fmt, va_list args) {
        redisReply *r;

        if (!admin)
                admin = redisConnectUnix(rb_server.socket);
        cr_assert(admin && !admin->err);
        r = redisvCommand(admin, fmt, args);
        cr_assert_not_null(r, "%s: no answer", fmt);
        cr_assert_neq(r->type, REDIS_REPLY_ERROR, "%s: %s", fmt, r->str);
        return r;
}

redisReply *rb_ask(const char *fmt, ...) {
        va_list args;

        va_start(args, fmt);
        redisReply *r = ask(fmt, args);
        va_end(args);
        return r;
}

void rb_do(const char *fmt, ...) {
        va_list args;

        va_start(args, fmt);
        freeReplyObject(ask(fmt, args));
        va_end(args);
}

long long rb_int(const char *fmt, ...) {
        va_list args;

        va_start(args, fmt);
        redisReply *r = ask(fmt, args);
        va_end(args);
        long long n = r->type == REDIS_REPLY_INTEGER ? r->integer
                      : r->str                       ? strtoll(r->str, NULL, 10)
                                                     : 0;
        freeReplyObject(r);
        return n;
}

void rb_text(char *ret, size_t size, const char *fmt, ...) {
        va_list args;

        va_start(args, fmt);
        redisReply *r = ask(fmt, args);
        va_end(args);
        (void)snprintf(ret, size, "%s", r->str ? r->str : "");
        freeReplyObject(r);
}

static bool cluster_ok(void *arg) {
        char text[2000];

        rb_text(text, sizeof(text), "CLUSTER INFO");
        return strstr(text, "cluster_state:ok");
}

#ifdef RB_CLUSTER
#define IN_CLUSTER true
#else
#define IN_CLUSTER false
#endif

void rb_start(void) {
        static const char *const always[] = {"--appendfsync", "always", NULL};
        char bus[16];
        bool new = !rb_server.dir[0];

        if (rb_server.pid)
                return;
        (void)snprintf(bus, sizeof(bus), "%d", th_free_port());
        const char *const node[] = {"--cluster-enabled", "yes", "--cluster-port", bus, NULL};
        if (IN_CLUSTER && new)
                rb_server.port = th_free_port();
        th_redis_start_with(&rb_server, rb_append_only,
                            IN_CLUSTER       ? node
                            : rb_server_args ? rb_server_args
                            : rb_append_only ? always
                                             : NULL);
        if (IN_CLUSTER && new)
                rb_do("CLUSTER ADDSLOTSRANGE 0 16383");
        cr_assert(!IN_CLUSTER || th_until(cluster_ok, NULL, RB_MS));
}

void rb_restart(void) {
        rb_hang_up();
        th_redis_kill(&rb_server);
        rb_start();
}

/* ---- virtual time ---- */

static void wait_for_it(struct bed *b, uint64_t until_ns) {
        struct pollfd p = {.fd = fa_store_fd(b->store), .events = POLLIN};

        cr_assert(poll(&p, 1, fa_poll_ms(until_ns, fa_now())) >= 0, "poll");
}

static void wait_virtual(struct bed *b) {
        wait_for_it(b, fa_now() + 10 * FA_NS_PER_S);
}

/* What is due at this time is done. */
static void settle(struct bed *b) {
        uint64_t end = fa_now() + RB_MS * FA_NS_PER_MS;
        const char *why;

        while (!fa_redis_settled(b->store, b->now_ns)) {
                int r = fa_store_state(b->store, &why);
                cr_assert_lt(fa_now(), end, "not in time; %d %s", r, why);
                fa_store_tick(b->store, b->now_ns);
                if (!fa_redis_settled(b->store, b->now_ns) &&
                    fa_store_deadline(b->store) > b->now_ns)
                        wait_virtual(b);
        }
}

void rb_virtual_open(struct bed *b, const struct fa_store_cfg *cfg) {
        char url[160];

        rb_start();
        b->now_ns = 1000 * FA_NS_PER_S;
        n_stores++;
        (void)snprintf(url, sizeof(url), "redis+unix://%s?prefix=%s", rb_server.socket,
                       rb_prefix());
        cr_assert_eq(fa_store_open(&b->store, url, cfg), 0, "%s", faas_error_text());
        fa_redis_for_tests(b->store, &b->now_ns);
        settle(b);
}

void rb_close(struct bed *b) {
        b->store = fa_store_close(b->store);
        rb_hang_up();
}

struct fa_group *rb_virtual_drive(struct bed *b) {
        uint64_t end = fa_now() + RB_MS * FA_NS_PER_MS;
        const char *why;
        struct fa_group *g;

        while (!(g = fa_store_reap(b->store, b->now_ns))) {
                int r = fa_store_state(b->store, &why);
                cr_assert_lt(fa_now(), end, "not in time; %d %s", r, why);
                if (fa_store_deadline(b->store) > b->now_ns)
                        wait_virtual(b);
        }
        return g;
}

void rb_virtual_advance(struct bed *b, uint64_t ns) {
        uint64_t end = b->now_ns + ns;

        fa_redis_for_tests(b->store, &b->now_ns);
        settle(b);
        for (uint64_t at; (at = fa_store_deadline(b->store)) <= end;) {
                b->now_ns = at > b->now_ns ? at : b->now_ns;
                settle(b);
        }
        b->now_ns = end;
}

/* Says what the first connection to a new server says. */
void rb_virtual_restart(struct bed *b) {
        static unsigned n;

        rb_do("EVAL %s 1 {%s}:meta 2 another-%u", fa_redis_lua_hello, rb_prefix(), n++);
}

/* ---- real time ---- */

void rb_open_url(struct bed *b, const struct fa_store_cfg *cfg, const char *url) {
        b->now_ns = fa_now();
        cr_assert_eq(fa_store_open(&b->store, url, cfg), 0, "%s", faas_error_text());
}

void rb_open(struct bed *b, const struct fa_store_cfg *cfg) {
        char url[160];

        rb_start();
        n_stores++;
        (void)snprintf(url, sizeof(url), "redis+unix://%s?prefix=%s", rb_server.socket,
                       rb_prefix());
        rb_open_url(b, cfg, url);
}

void rb_until(struct bed *b, bool (*done)(struct bed *b, void *arg), void *arg) {
        uint64_t end = fa_now() + RB_MS * FA_NS_PER_MS;
        const char *why;

        for (;;) {
                b->now_ns = fa_now();
                if (done(b, arg))
                        return;
                int r = fa_store_state(b->store, &why);
                cr_assert_lt(b->now_ns, end, "not in time; %d %s", r, why);
                wait_for_it(b, FA_MIN(fa_store_deadline(b->store), end));
        }
}

static bool reaped(struct bed *b, void *arg) {
        struct fa_group **ret = arg;

        return (*ret = fa_store_reap(b->store, b->now_ns));
}

struct fa_group *rb_drive(struct bed *b) {
        struct fa_group *g = NULL;

        rb_until(b, reaped, &g);
        return g;
}

struct wanted {
        int r;
        const char *text;
};

static bool is_wanted(struct bed *b, void *arg) {
        const struct wanted *w = arg;
        const char *why;

        fa_store_tick(b->store, b->now_ns);
        return fa_store_state(b->store, &why) == w->r && strstr(why, w->text);
}

void rb_state(struct bed *b, int r, const char *text) {
        rb_until(b, is_wanted, &(struct wanted){r, text});
}

bool rb_lost(struct bed *b, void *arg) {
        fa_store_tick(b->store, b->now_ns);
        return fa_store_lost(b->store);
}

void rb_bind_again(struct ep *e, uint64_t cursor) {
        struct fa_group *g = ep_control(e), *done = ep_control(e);
        struct fa_op *op = put(g, FA_OP_REBIND, 0, 0);

        op->state = FA_REBIND_OWN;
        op->cursor = cursor;
        op->more->name = e->name;
        op->more->endpoint = "";
        op->more->owned = calloc(1, sizeof(struct fa_owned));
        op->more->owned[op->more->n_owned++] = (struct fa_owned){e->epoch, e->epoch, 1};
        put(done, FA_OP_REBIND, 0, 0)->state = FA_REBIND_DONE;
        fa_store_apply(e->bed->store, done, fa_now());
        fa_store_apply(e->bed->store, g, fa_now());
        cr_assert_eq(rb_drive(e->bed), g, "REBIND goes first");
        cr_assert_eq(g->r, 0);
        cr_assert_eq(g->ops[0].r, 0);
        cr_assert_geq(g->ops[0].more->last_seq, cursor, "always: nothing was lost");
        cr_assert_eq(rb_drive(e->bed), done);
        cr_assert_eq(done->r, 0);
        fa_group_free(g);
        fa_group_free(done);
}

/* ---- the books ---- */

/* Written from docs/STORE.md, not from the scripts.  Answers what is wrong, a line each. */
static const char books[] =
        "local base = string.sub(KEYS[1], 1, -5)\n"
        "local wrong, keys = {}, {}\n"
        "local function bad(...) if #wrong < 20 then wrong[#wrong + 1] = table.concat({...}, ' ') "
        "end end\n"
        "local function hash(name) local t, a = {}, redis.call('HGETALL', base .. name)\n"
        "  for i = 1, #a, 2 do t[a[i]] = a[i + 1] end return t end\n"
        "local function num(x) return string.format('%.0f', x) end\n"
        "local function hex(s) return (string.gsub(s, '.', function(c) return "
        "string.format('%02x', string.byte(c)) end)) end\n"
        "local function be8(text) local b = {0, 0, 0, 0, 0, 0, 0, 0}\n"
        "  for d in string.gmatch(text, '%d') do local c = tonumber(d)\n"
        "    for i = 8, 1, -1 do c = b[i] * 10 + c; b[i] = c % 256; c = math.floor(c / 256) end "
        "end\n"
        "  return string.char(unpack(b)) end\n"
        "local m, live = hash('meta'), hash('live')\n"
        "local function n(f) return tonumber(m[f] or 0) end\n"
        "for _, k in ipairs(redis.call('KEYS', base .. '*')) do keys[string.sub(k, #base + 1)] = "
        "true end\n"
        "local have = {open = 0, obytes = 0, final = 0, fbytes = 0, tombs = 0}\n"
        "local journal, xlive, at = {}, {}, {}\n"
        "for k in pairs(keys) do local bucket = string.match(k, '^r:(%d+)$')\n"
        "  if bucket then for id, v in pairs(hash(k)) do\n"
        "    local a, b = struct.unpack('>I4I2', id)\n"
        "    if num(math.floor((a * 65536 + b) / 64)) ~= bucket then bad('bucket of', hex(id)) "
        "end\n"
        "    local s = string.byte(v, 1)\n"
        "    if s == 255 and #v == 1 then have.tombs = have.tombs + 1; at[id] = 't'\n"
        "    elseif s == 0 then have.open = have.open + 1; have.obytes = have.obytes + #v + 100\n"
        "      local part = string.sub(v, 2, 13); journal[part] = (journal[part] or 0) + 1; at[id] "
        "= 'j' .. part\n"
        "    elseif s == 2 or s == 3 or s == 4 then have.final = have.final + 1; have.fbytes = "
        "have.fbytes + #v + 100\n"
        "      local part = num(struct.unpack('>I4', string.sub(v, 10, 13)))\n"
        "      xlive[part] = (xlive[part] or 0) + 1; at[id] = 'x' .. part\n"
        "    else bad('record', hex(id)) end end end end\n"
        "for f, v in pairs(have) do if n(f) ~= v then bad(f, 'is', m[f] or 'nil', 'but', num(v), "
        "'are there') end end\n"
        "local seen = {}\n"
        "for k in pairs(keys) do\n"
        "  local P, part = string.match(k, '^j:(%d+):(%d+)$')\n"
        "  local log, number = string.match(k, '^([xt]):(%d+)$')\n"
        "  if P then local e, place = redis.call('GET', base .. k), be8(P) .. struct.pack('>I4', "
        "tonumber(part))\n"
        "    local alive = journal[place] or 0\n"
        "    if #e % 16 ~= 0 then bad(k, 'has', #e, 'bytes') end\n"
        "    if tonumber(live[k] or 0) ~= alive then bad(k, 'live', live[k] or 'nil', 'but', "
        "alive) end\n"
        "    if alive == 0 and part ~= (m['s:' .. P] or '0') then bad(k, 'is empty, and there') "
        "end\n"
        "    if tonumber(part) < n('f:' .. P) and alive > 0 then bad(k, 'is before the first') "
        "end\n"
        "    for i = 1, #e, 16 do local id = string.sub(e, i, i + 15)\n"
        "      if at[id] == 'j' .. place then if seen[id] then bad('twice in', k) end seen[id] = "
        "true end end\n"
        "  elseif log then local e, tail, head = redis.call('GET', base .. k), m[log .. 'tail'] or "
        "'0', n(log .. 'head')\n"
        "    local alive = log == 'x' and (xlive[number] or 0) or 0\n"
        "    if #e % 24 ~= 0 then bad(k, 'has', #e, 'bytes') end\n"
        "    if number == tail and #e / 24 ~= n(log .. 'n') then bad(k, 'has', #e / 24, 'entries, "
        "not', n(log .. 'n')) end\n"
        "    if log == 'x' and tonumber(live[k] or 0) ~= alive then bad(k, 'live', live[k] or "
        "'nil', 'but', alive) end\n"
        "    if number ~= tail and alive == 0 and (log == 'x' or tonumber(number) < head) then "
        "bad(k, 'is done, and there') end\n"
        "    for i = 1, #e, 24 do local id = string.sub(e, i, i + 15)\n"
        "      if tonumber(number) > head or tonumber(number) == head and (i - 1) / 24 >= n(log .. "
        "'at') then\n"
        "        if log == 't' and at[id] == 't' or at[id] == 'x' .. number then seen[id] = true "
        "end end end end end\n"
        "for id, place in pairs(at) do if not seen[id] then bad(hex(id), 'is not where it "
        "belongs:', string.sub(place, 1, 1)) end end\n"
        "for k, v in pairs(live) do if not keys[k] then bad('live', k, v, 'has no key') end end\n"
        "if redis.call('HLEN', base .. 'bad') > n('bad') then bad('more set aside than counted') "
        "end\n"
        "return wrong\n";

void rb_books(const char *prefix) {
        redisReply *r = rb_ask("EVAL %s 1 {%s}:meta", books, prefix);

        cr_assert_eq(r->type, REDIS_REPLY_ARRAY);
        for (size_t i = 0; i < r->elements; i++)
                cr_log_error("books of %s: %s", prefix, r->element[i]->str);
        cr_assert_eq(r->elements, 0, "%s: %s", prefix, r->element[0]->str);
        freeReplyObject(r);
}
