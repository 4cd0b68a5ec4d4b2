/* conform-pair.c - both ends, in one process */
#undef NDEBUG
#include "conformance.h"

#include <errno.h>
#include <string.h>

static const struct {
        unsigned items;
        size_t len;
} shapes[] = {
        {0, 0},      {1, 0},
        {1, 1},      {1, 4096},
        {1, 4097},   {1, FA_INLINE_MAX},
        {1, 8193},   {1, FA_PAYLOAD_MAX},
        {3, 100},    {256, 0},
        {256, 4096}, {256, 8193},
};

static void expect_frames(const struct fa_frames *sent, const struct fa_frames *got) {
        cr_assert_eq(sent->n, got->n);
        for (size_t i = 0; i < sent->n; i++) {
                const size_t len = fa_blob_len(sent->v[i]);

                cr_assert_eq(len, fa_blob_len(got->v[i]));
                cr_assert_eq(memcmp(fa_blob_ptr(sent->v[i]), fa_blob_ptr(got->v[i]), len), 0);
        }
}

/* Sends one of each shape and receives it. */
static void exchange(struct bed *b, struct end *from, uint64_t to, struct end *at, uint64_t peer) {
        for (unsigned i = 0; i < FA_ARRAY_SIZE(shapes); i++) {
                struct fa_msg *m = message(i, shapes[i].items, shapes[i].len);
                struct fa_frames sent = FA_FRAMES_NULL;
                struct got *g;

                cr_assert_eq(fa_msg_encode(m, &sent), 0);
                end_send(b, from, to, m);
                g = bed_expect(b, at, FAAS_TRANSPORT_MESSAGE);
                cr_assert_eq(g->peer, peer);
                expect_frames(&sent, &g->frames);
                fa_frames_deinit(&sent);
                got_free(g);
        }
}

Test(conform_pair, messages_of_every_size_arrive_as_they_were) {
        struct bed b;
        struct end *far;
        uint64_t peer;

        bed_open(&b);
        far = bed_meet(&b, &peer);
        exchange(&b, far, 0, b.near, peer);
        exchange(&b, b.near, peer, far, 0);
        bed_close(&b);
}

Test(conform_pair, frames_that_are_kept_outlive_their_transport) {
        struct bed b;
        struct end *far;
        uint64_t peer;
        struct got *g;

        bed_open(&b);
        far = bed_meet(&b, &peer);
        end_send(&b, far, 0, message(7, 2, 100000));
        g = bed_expect(&b, b.near, FAAS_TRANSPORT_MESSAGE);
        bed_end(&b, far);
        bed_end(&b, b.near);
        cr_assert_eq(number_of(g), 7);
        got_free(g);
        bed_close(&b);
}

Test(conform_pair, each_peers_messages_keep_their_order) {
        enum { PEERS = 3, N = 1000 };
        struct bed b;
        struct end *far[PEERS];
        uint64_t peers[PEERS];
        unsigned next[PEERS] = {0};

        bed_open(&b);
        for (unsigned p = 0; p < PEERS; p++)
                far[p] = bed_meet(&b, &peers[p]);
        for (unsigned n = 0; n < N; n++)
                for (unsigned p = 0; p < PEERS; p++)
                        end_send(&b, far[p], 0, message(n, 1, n % 100 ? n : 20000));
        for (unsigned i = 0; i < PEERS * N; i++) {
                struct got *g = bed_expect(&b, b.near, FAAS_TRANSPORT_MESSAGE);
                unsigned p = 0;

                while (p < PEERS && peers[p] != g->peer)
                        p++;
                cr_assert_lt(p, PEERS);
                cr_assert_eq(number_of(g), next[p]++);
                got_free(g);
        }
        bed_close(&b);
}

/* The flood goes on as fast as it is read. */
Test(conform_pair, a_peer_that_floods_does_not_silence_the_others) {
        const uint64_t end = fa_now() + WAIT_MS * FA_NS_PER_MS;
        struct bed b;
        struct end *loud, *other;
        struct fa_msg *m;
        uint64_t loud_peer, other_peer;

        bed_open(&b);
        m = message(1, 1, 100);
        loud = bed_meet(&b, &loud_peer);
        other = bed_meet(&b, &other_peer);
        end_send(&b, other, 0, message(2, 0, 0));
        for (bool heard = false; !heard;) {
                struct faas_transport_event ev;
                int r;

                for (unsigned i = 0; i < 100 && (r = end_try(&b, loud, 0, m)) == 0; i++)
                        m = message(1, 1, 100);
                for (unsigned i = 0; i < 50 && b.row->recv(b.near->t, &ev) == 0; i++) {
                        cr_assert_eq(ev.kind, FAAS_TRANSPORT_MESSAGE);
                        heard = heard || ev.peer == other_peer;
                        for (size_t k = 0; !ev.message && k < ev.n_frames; k++)
                                if (ev.frames[k].release)
                                        ev.frames[k].release(ev.frames[k].owner);
                        faas_message_free(ev.message);
                }
                cr_assert_lt(fa_now(), end, "the other is not heard");
        }
        fa_msg_free(m);
        bed_close(&b);
}

Test(conform_pair, numbers_of_peers_are_never_used_again) {
        enum { N = 30 };
        struct bed b;
        uint64_t seen[N];

        bed_open(&b);
        for (unsigned n = 0; n < N; n++) {
                struct end *far = bed_connect(&b);
                struct got *g;

                got_free(bed_expect(&b, far, FAAS_TRANSPORT_UP));
                end_send(&b, far, 0, message(n, 0, 0));
                /* DOWN of earlier ones may come between. */
                while ((g = bed_next(&b, b.near))->kind == FAAS_TRANSPORT_DOWN)
                        got_free(g);
                cr_assert_eq(number_of(g), n);
                for (unsigned i = 0; i < n; i++)
                        cr_assert_neq(seen[i], g->peer);
                seen[n] = g->peer;
                got_free(g);
                bed_end(&b, far);
        }
        bed_close(&b);
}

static bool gone(struct bed *b, uint64_t peer) {
        struct fa_msg *m = message(1, 0, 0);
        const int r = end_try(b, b->near, peer, m);

        if (r)
                fa_msg_free(m);
        bed_pump(b);
        return r == FAAS_E_GONE;
}

struct who {
        struct bed *b;
        uint64_t peer;
};

static bool who_is_gone(void *arg) {
        const struct who *w = arg;

        return gone(w->b, w->peer);
}

Test(conform_pair, a_peer_that_closed_is_gone_and_told_once) {
        struct bed b;
        struct end *far;
        struct got *g;
        struct who w = {.b = &b};

        bed_open(&b);
        far = bed_meet(&b, &w.peer);
        bed_end(&b, far);
        cr_assert(th_until(who_is_gone, &w, WAIT_MS));
        g = bed_expect(&b, b.near, FAAS_TRANSPORT_DOWN);
        cr_assert_eq(g->peer, w.peer);
        got_free(g);
        /* The next to come is the first that anything is heard of. */
        bed_meet(&b, &w.peer);
        bed_close(&b);
}

/* Fills the way from one end to the other, which does not read; returns how many were taken. */
static unsigned fill(struct bed *b, struct end *from, uint64_t to, struct fa_msg **ret_refused) {
        struct fa_msg *m = message(0, 1, 4000);
        unsigned n = 0;
        int r;

        while ((r = end_try(b, from, to, m)) == 0) {
                if (b->row->flush)
                        b->row->flush(from->t);
                m = message(++n, 1, 4000);
                cr_assert_lt(n, 1000000, "there always is room");
        }
        cr_assert_eq(r, FAAS_E_AGAIN);
        *ret_refused = m;
        return n;
}

static void fill_and_read(struct bed *b, struct end *from, uint64_t to, struct end *at) {
        struct fa_msg *m = NULL;
        const unsigned n = fill(b, from, to, &m);

        cr_assert_gt(n, 0);
        end_send(b, from, to, m);
        for (unsigned i = 0; i <= n; i++) {
                struct got *g = bed_expect(b, at, FAAS_TRANSPORT_MESSAGE);

                cr_assert_eq(number_of(g), i);
                got_free(g);
        }
        cr_assert(!end_has(at));
}

Test(conform_pair, without_room_messages_are_refused_and_none_is_lost, .timeout = 120) {
        struct bed b;
        struct end *far;
        uint64_t peer;

        bed_open(&b);
        far = bed_meet(&b, &peer);
        fill_and_read(&b, far, 0, b.near);
        fill_and_read(&b, b.near, peer, far);
        bed_close(&b);
}

Test(conform_pair, a_peer_that_does_not_read_leaves_the_others_their_room) {
        struct bed b;
        struct end *far;
        uint64_t deaf, peer;
        struct fa_msg *m = NULL;

        bed_open(&b);
        bed_meet(&b, &deaf);
        far = bed_meet(&b, &peer);
        (void)fill(&b, b.near, deaf, &m);
        cr_assert_eq(end_try(&b, b.near, peer, message(5, 1, 10)), 0);
        got_free(bed_expect(&b, far, FAAS_TRANSPORT_MESSAGE));
        fa_msg_free(m);
        bed_close(&b);
}

Test(conform_pair, closing_does_not_wait_for_a_peer_that_does_not_read) {
        struct bed b;
        struct end *far;
        uint64_t peer;
        struct fa_msg *m = NULL;

        bed_open(&b);
        far = bed_meet(&b, &peer);
        (void)fill(&b, b.near, peer, &m);
        fa_msg_free(m);
        (void)fill(&b, far, 0, &m);
        fa_msg_free(m);
        bed_close(&b);
}

Test(conform_pair, what_was_said_just_before_closing_is_heard) {
        struct bed b;
        struct end *far;
        uint64_t peer;
        struct got *g;

        bed_open(&b);
        far = bed_meet(&b, &peer);
        end_send(&b, far, 0, message(11, 1, 100));
        bed_end(&b, far);
        g = bed_expect(&b, b.near, FAAS_TRANSPORT_MESSAGE);
        cr_assert_eq(number_of(g), 11);
        got_free(g);

        far = bed_connect(&b);
        while ((g = bed_next(&b, far))->kind != FAAS_TRANSPORT_UP)
                got_free(g);
        got_free(g);
        end_send(&b, far, 0, message(12, 0, 0));
        while ((g = bed_next(&b, b.near))->kind != FAAS_TRANSPORT_MESSAGE)
                got_free(g);
        end_send(&b, b.near, g->peer, message(13, 1, 100));
        got_free(g);
        bed_end(&b, b.near);
        g = bed_expect(&b, far, FAAS_TRANSPORT_MESSAGE);
        cr_assert_eq(number_of(g), 13);
        got_free(g);
        bed_close(&b);
}

struct ask {
        struct bed *b;
        struct end *e;
};

static bool calls(void *arg) {
        const struct ask *a = arg;

        return end_calls(a->b, a->e);
}

static bool quiet(void *arg) {
        const struct ask *a = arg;

        bed_pump(a->b);
        return !end_calls(a->b, a->e);
}

Test(conform_pair, an_end_calls_when_it_has_something_and_is_quiet_else) {
        struct bed b;
        struct end *far;
        uint64_t peer;

        bed_open(&b);
        far = bed_meet(&b, &peer);
        for (unsigned i = 0; i < 50; i++) {
                cr_assert(th_until(quiet, &(struct ask){&b, b.near}, WAIT_MS));
                cr_assert(th_until(quiet, &(struct ask){&b, far}, WAIT_MS));
                end_send(&b, far, 0, message(i, 1, 10));
                /* A send in between must not take the call away. */
                end_send(&b, b.near, peer, message(i, 1, 10));
                cr_assert(th_until(calls, &(struct ask){&b, b.near}, WAIT_MS));
                cr_assert(th_until(calls, &(struct ask){&b, far}, WAIT_MS));
                got_free(bed_expect(&b, b.near, FAAS_TRANSPORT_MESSAGE));
                got_free(bed_expect(&b, far, FAAS_TRANSPORT_MESSAGE));
        }
        bed_close(&b);
}

Test(conform_pair, a_taken_address_is_refused_and_its_owner_undisturbed) {
        struct faas_transport *t = NULL;
        struct bed b;
        uint64_t peer;

        bed_open(&b);
        cr_assert_eq(bed_try_listen(&b, b.url, &t), -EADDRINUSE);
        cr_assert_null(t);
        cr_assert_not_null(strstr(faas_error_text(), b.url), "%s", faas_error_text());
        bed_meet(&b, &peer);
        bed_close(&b);
}

Test(conform_pair, an_address_is_free_again_when_its_owner_has_closed) {
        struct bed b;
        uint64_t peer;

        bed_open(&b);
        struct end *far = bed_meet(&b, &peer); /* keeps the process's sockets going */
        for (unsigned i = 0; i < 10; i++) {
                bed_end(&b, b.near);
                bed_listen(&b);
        }
        bed_end(&b, far);
        bed_close(&b);
}

Test(conform_pair, who_connects_need_not_wait_for_the_one_who_listens) {
        struct bed b;
        struct end *far;
        struct got *g;

        bed_open(&b);
        bed_end(&b, b.near);
        far = bed_connect(&b);
        bed_pump(&b);
        bed_listen(&b);
        g = bed_expect(&b, far, FAAS_TRANSPORT_UP);
        got_free(g);
        end_send(&b, far, 0, message(3, 0, 0));
        g = bed_expect(&b, b.near, FAAS_TRANSPORT_MESSAGE);
        cr_assert_eq(number_of(g), 3);
        got_free(g);
        bed_close(&b);
}
