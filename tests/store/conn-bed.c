/* conn-bed.c - a connection that its test drives, and a server that is no Redis */
#include "conn-bed.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include <faas/error.h>

#include "base/clock.h"
#include "base/macros.h"
#include "th-alloc.h"

void cb_open(struct conn_bed *b, const char *url, ...) {
        char text[512];
        va_list args;

        va_start(args, url);
        vsnprintf(text, sizeof(text), url, args);
        va_end(args);
        *b = (struct conn_bed){.live = th_alloc_live(), .n_fds = th_count_fds()};
        cr_assert_eq(fa_redis_url_parse(&b->url, text), 0, "%s", faas_error_text());
        cr_assert_eq(fa_redis_conn_new(&b->c, &b->url, 1), 0, "%s", faas_error_text());
}

void cb_close(struct conn_bed *b) {
        fa_redis_conn_free(b->c);
        cr_assert_eq(th_alloc_live(), b->live);
        cr_assert_eq(th_count_fds(), b->n_fds);
}

void cb_drive(struct conn_bed *b, bool (*done)(struct conn_bed *b)) {
        uint64_t end = fa_now() + CB_MS * FA_NS_PER_MS;
        const char *why;

        for (;;) {
                fa_redis_conn_turn(b->c, fa_now());
                if (done(b))
                        return;
                fa_redis_conn_state(b->c, &why);
                cr_assert_lt(fa_now(), end, "not in time; %s", why);
                struct pollfd p = {.fd = fa_redis_conn_fd(b->c), .events = POLLIN};
                uint64_t until = FA_MIN(fa_redis_conn_deadline(b->c), end);
                poll(&p, 1, fa_poll_ms(until, fa_now()));
        }
}

static bool is_ready(struct conn_bed *b) {
        return fa_redis_conn_state(b->c, NULL) == 0;
}

void cb_ready(struct conn_bed *b) {
        const char *why;

        cb_drive(b, is_ready);
        cr_assert_eq(fa_redis_conn_state(b->c, &why), 0);
        cr_assert_str_eq(why, "");
}

static int wanted;

static bool is_wanted(struct conn_bed *b) {
        return fa_redis_conn_state(b->c, NULL) == wanted;
}

void cb_state(struct conn_bed *b, int r, const char *text) {
        const char *why;

        wanted = r;
        cb_drive(b, is_wanted);
        fa_redis_conn_state(b->c, &why);
        cr_assert(strstr(why, text), "%s", why);
        cr_assert(strstr(why, b->url.shown), "%s", why);
        cr_assert(!b->url.password[0] || !strstr(why, b->url.password), "%s", why);
}

void cb_send(struct conn_bed *b, const char *line) {
        struct fa_buf *out = fa_redis_conn_out(b->c);
        size_t n = 1;

        for (const char *p = line; *p; p++)
                n += *p == ' ';
        fa_redis_put_array(out, n);
        for (const char *p = line; n--; p += strcspn(p, " ") + 1)
                fa_redis_put_bulk(out, p, strcspn(p, " "));
}

static struct redisReply *got;

static bool has_reply(struct conn_bed *b) {
        const char *why;

        cr_assert_eq(fa_redis_conn_state(b->c, &why), 0, "%s", why);
        got = fa_redis_conn_reply(b->c);
        return got != NULL;
}

struct redisReply *cb_reply(struct conn_bed *b) {
        cb_drive(b, has_reply);
        return got;
}

struct redisReply *cb_ask(struct conn_bed *b, const char *line) {
        cb_send(b, line);
        return cb_reply(b);
}

void cb_expect(struct conn_bed *b, const char *line, const char *text) {
        struct redisReply *reply = cb_ask(b, line);

        cr_assert(reply->type == REDIS_REPLY_STATUS || reply->type == REDIS_REPLY_STRING,
                  "%s: %d %s", line, reply->type, reply->str ? reply->str : "");
        cr_assert_str_eq(reply->str, text, "%s: %s", line, reply->str);
        freeReplyObject(reply);
}

void fake_open(struct fake *f) {
        struct sockaddr_un addr = {.sun_family = AF_UNIX};

        *f = (struct fake){.fd = -1};
        snprintf(f->path, sizeof(f->path), "%s/s", th_temp_dir());
        strcpy(addr.sun_path, f->path);
        f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        cr_assert_geq(f->listener, 0);
        cr_assert_eq(bind(f->listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
        cr_assert_eq(listen(f->listener, 8), 0);
}

void fake_open_tcp(struct fake *f) {
        struct sockaddr_in addr = {.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof(addr);

        *f = (struct fake){.fd = -1};
        f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        cr_assert_geq(f->listener, 0);
        cr_assert_eq(bind(f->listener, (struct sockaddr *)&addr, len), 0);
        cr_assert_eq(listen(f->listener, 8), 0);
        cr_assert_eq(getsockname(f->listener, (struct sockaddr *)&addr, &len), 0);
        f->port = ntohs(addr.sin_port);
}

void fake_hang_up(struct fake *f) {
        if (f->fd >= 0)
                close(f->fd);
        f->fd = -1;
}

void fake_close(struct fake *f) {
        fake_hang_up(f);
        close(f->listener);
}

void fake_accept(struct fake *f) {
        fake_hang_up(f);
        f->fd = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
        cr_assert_geq(f->fd, 0);
}

void fake_say(struct fake *f, const char *text) {
        cr_assert_eq(send(f->fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

void fake_greet(struct fake *f, const char *info) {
        char text[512];

        snprintf(text, sizeof(text), "$%zu\r\n%s\r\n*0\r\n", strlen(info), info);
        fake_say(f, text);
}
