#undef NDEBUG
#include "conformance.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "th-alloc.h"

int bed_try_listen(struct bed *b, const char *url, struct faas_transport **ret) {
        struct faas_transport_cfg cfg = {
                .struct_size = sizeof(cfg), .end = FAAS_TRANSPORT_LISTEN, .url = url};

        if (b->ops->configure)
                b->ops->configure(&cfg);
        return b->row->open(ret, &cfg);
}

static struct end *add(struct bed *b, struct faas_transport *t, enum faas_transport_end kind) {
        struct end *e = calloc(1, sizeof(*e));
        size_t i = 0;

        cr_assert_not_null(e);
        *e = (struct end){.t = t, .kind = kind};
        fa_list_init(&e->events);
        while (i < ENDS_MAX && b->ends[i])
                i++;
        cr_assert_lt(i, ENDS_MAX);
        b->ends[i] = e;
        return e;
}

void bed_listen(struct bed *b) {
        struct faas_transport *t = NULL;
        const int r = bed_try_listen(b, b->url, &t);

        cr_assert_eq(r, 0, "%s: %s", b->url, faas_error_text());
        b->near = add(b, t, FAAS_TRANSPORT_LISTEN);
        if (b->row->url)
                snprintf(b->url, sizeof(b->url), "%s", b->row->url(t));
}

void bed_open(struct bed *b) {
        *b = (struct bed){.ops = &bed_under_test, .row = bed_under_test.ops};
        b->dir = th_temp_dir();
        b->fds = th_count_fds();
        b->live = th_alloc_live();
        b->ops->address(b->url, sizeof(b->url), b->dir);
        bed_listen(b);
}

struct end *bed_connect(struct bed *b) {
        struct faas_transport_cfg cfg = {
                .struct_size = sizeof(cfg), .end = FAAS_TRANSPORT_CONNECT, .url = b->url};
        struct faas_transport *t = NULL;

        cr_assert_eq(b->row->open(&t, &cfg), 0, "%s: %s", b->url, faas_error_text());
        return add(b, t, FAAS_TRANSPORT_CONNECT);
}

void bed_end(struct bed *b, struct end *e) {
        struct fa_list *l;

        b->row->close(e->t);
        while ((l = fa_list_pop_front(&e->events)))
                got_free(fa_list_entry(l, struct got, link));
        for (size_t i = 0; i < ENDS_MAX; i++)
                if (b->ends[i] == e)
                        b->ends[i] = NULL;
        if (b->near == e)
                b->near = NULL;
        free(e);
}

static void expect_empty(const char *path) {
        DIR *dir = opendir(path);
        const struct dirent *d;

        cr_assert_not_null(dir);
        while ((d = readdir(dir)))
                cr_assert_eq(d->d_name[0], '.', "%s/%s is left behind", path, d->d_name);
        closedir(dir);
}

void bed_close(struct bed *b) {
        for (size_t i = 0; i < ENDS_MAX; i++)
                if (b->ends[i])
                        bed_end(b, b->ends[i]);
        cr_assert_eq(th_count_fds(), b->fds, "%d descriptors are left", th_count_fds() - b->fds);
        cr_assert_eq(th_alloc_live(), b->live, "%lld blocks are left",
                     (long long)(th_alloc_live() - b->live));
        expect_empty(b->dir);
}

static int keep_frame(void *ctx, const void *p, size_t len) {
        struct fa_blob *blob = NULL;

        cr_assert_eq(fa_blob_new(&blob, p, len), 0);
        cr_assert_eq(fa_frames_push(ctx, blob), 0);
        return 0;
}

/* As the library does: frames with release() are kept as they are. */
static void keep(struct end *e, const struct faas_transport_event *ev) {
        struct got *g = calloc(1, sizeof(*g));

        cr_assert_not_null(g);
        g->kind = ev->kind;
        g->peer = ev->peer;
        if (ev->kind == FAAS_TRANSPORT_MESSAGE && ev->message) {
                cr_assert_eq(faas_message_encode(ev->message, keep_frame, &g->frames), 0);
                faas_message_free(ev->message);
        } else if (ev->kind == FAAS_TRANSPORT_MESSAGE) {
                cr_assert_gt(ev->n_frames, 0);
                for (size_t i = 0; i < ev->n_frames; i++) {
                        const struct faas_frame *f = &ev->frames[i];
                        struct fa_blob *blob = NULL;

                        if (!f->release) {
                                keep_frame(&g->frames, f->p, f->len);
                                continue;
                        }
                        cr_assert_eq(fa_blob_wrap(&blob, f->p, f->len, f->release, f->owner), 0);
                        cr_assert_eq(fa_frames_push(&g->frames, blob), 0);
                }
        }
        fa_list_push_back(&e->events, &g->link);
}

static bool read_one(struct bed *b, struct end *e) {
        struct faas_transport_event ev = {0};
        const int r = b->row->recv(e->t, &ev);

        if (r == FAAS_E_AGAIN)
                return false;
        cr_assert_eq(r, 0, "recv gives %d: %s", r, faas_error_text());
        if (e->kind == FAAS_TRANSPORT_CONNECT)
                cr_assert_eq(ev.peer, 0);
        cr_assert_lt(ev.peer, UINT64_C(1) << 56);
        keep(e, &ev);
        return true;
}

bool bed_pump(struct bed *b) {
        bool any = false;

        for (size_t i = 0; i < ENDS_MAX; i++)
                if (b->ends[i]) {
                        for (unsigned n = 0; n < 64 && read_one(b, b->ends[i]); n++)
                                any = true;
                        if (b->row->flush)
                                b->row->flush(b->ends[i]->t);
                }
        return any;
}

static uint64_t deadline(const struct bed *b, const struct end *e) {
        return b->row->deadline ? b->row->deadline(e->t) : FA_NEVER;
}

static void sleep_on_all(struct bed *b, uint64_t end) {
        struct pollfd fds[ENDS_MAX];
        uint64_t at = end;
        nfds_t n = 0;

        for (size_t i = 0; i < ENDS_MAX; i++)
                if (b->ends[i]) {
                        fds[n++] =
                                (struct pollfd){.fd = b->row->fd(b->ends[i]->t), .events = POLLIN};
                        at = FA_MIN(at, deadline(b, b->ends[i]));
                }
        poll(fds, n, fa_poll_ms(at, fa_now()));
}

struct got *bed_next(struct bed *b, struct end *e) {
        const uint64_t end = fa_now() + WAIT_MS * FA_NS_PER_MS;

        while (fa_list_empty(&e->events)) {
                if (bed_pump(b))
                        continue;
                cr_assert_lt(fa_now(), end, "nothing came to the %s end",
                             e == b->near ? "near" : "far");
                sleep_on_all(b, end);
        }
        return fa_list_entry(fa_list_pop_front(&e->events), struct got, link);
}

struct got *bed_expect(struct bed *b, struct end *e, enum faas_transport_event_kind kind) {
        struct got *g = bed_next(b, e);

        cr_assert_eq(g->kind, kind, "%s: event %d came, not %d", e == b->near ? "near" : "far",
                     g->kind, kind);
        return g;
}

void got_free(struct got *g) {
        fa_frames_deinit(&g->frames);
        free(g);
}

bool end_has(const struct end *e) {
        return !fa_list_empty(&e->events);
}

bool end_calls(const struct bed *b, const struct end *e) {
        struct pollfd p = {.fd = b->row->fd(e->t), .events = POLLIN};

        return poll(&p, 1, 0) == 1 || deadline(b, e) <= fa_now();
}

struct end *bed_meet(struct bed *b, uint64_t *ret_peer) {
        struct end *e = bed_connect(b);
        struct got *g = bed_expect(b, e, FAAS_TRANSPORT_UP);

        got_free(g);
        end_send(b, e, 0, message(99, 0, 0));
        g = bed_expect(b, b->near, FAAS_TRANSPORT_MESSAGE);
        cr_assert_eq(number_of(g), 99);
        *ret_peer = g->peer;
        got_free(g);
        return e;
}

struct fa_msg *message(unsigned n, unsigned items, size_t len) {
        struct fa_msg *m = NULL;

        cr_assert_eq(fa_msg_new(&m, FA_MSG_TASK), 0);
        m->seq = n;
        for (unsigned i = 0; i < items; i++) {
                struct fa_item *it = fa_msg_add(m);
                uint8_t *p = NULL;

                cr_assert_not_null(it);
                it->fence = (struct fa_fence){1, 1, i + 1};
                it->function = (struct fa_slice){(const uint8_t *)"f", 1};
                cr_assert_eq(fa_blob_new_uninit(&it->payload, &p, len), 0);
                for (size_t k = 0; k < len; k++)
                        p[k] = (uint8_t)(n + i + k + k / 251);
        }
        return m;
}

unsigned number_of(const struct got *g) {
        struct fa_msg *m = NULL;
        unsigned n;

        cr_assert_eq(fa_msg_decode(&m, &g->frames, FA_ROLE_DISPATCHER, NULL), 0, "%s",
                     faas_error_text());
        n = (unsigned)m->seq;
        fa_msg_free(m);
        return n;
}

int end_try(struct bed *b, struct end *e, uint64_t peer, struct fa_msg *m) {
        return b->row->send(e->t, peer, fa_message_of(m));
}

void end_send(struct bed *b, struct end *e, uint64_t peer, struct fa_msg *m) {
        const uint64_t end = fa_now() + WAIT_MS * FA_NS_PER_MS;
        int r;

        while ((r = end_try(b, e, peer, m)) == FAAS_E_AGAIN) {
                cr_assert_lt(fa_now(), end, "there is no room");
                if (!bed_pump(b))
                        sleep_on_all(b, end);
        }
        cr_assert_eq(r, 0);
        if (b->row->flush)
                b->row->flush(e->t);
}

int bed_raw(const struct bed *b) {
        struct sockaddr_un un = {.sun_family = AF_UNIX};
        struct sockaddr_in in = {.sin_family = AF_INET};
        const char *rest = strstr(b->url, "://") + 3;
        const bool tcp = strncmp(b->url, "tcp", 3) == 0;
        int fd = socket(tcp ? AF_INET : AF_UNIX, b->ops->socket_type | SOCK_CLOEXEC, 0);

        cr_assert_geq(fd, 0);
        if (tcp) {
                in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
                in.sin_port = htons((uint16_t)atoi(strrchr(rest, ':') + 1));
                cr_assert_eq(connect(fd, (const struct sockaddr *)&in, sizeof(in)), 0);
        } else {
                cr_assert_lt(strlen(rest), sizeof(un.sun_path));
                strcpy(un.sun_path, rest);
                cr_assert_eq(connect(fd, (const struct sockaddr *)&un, sizeof(un)), 0);
        }
        return fd;
}
