/*
 * progress.c - the progress bar: how much is done, how fast, how much of it failed
 *
 * A line of text goes before it by fa_say(), which hides it; the next fa_progress_show() draws it
 * again.  Nothing of it is left when the program ends, also by SIGINT and SIGTERM.
 */
#include "progress.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "say.h"

enum { NARROWEST = 20, WIDEST = 200, REDRAW_MS = 100, TEXT_MAX = 160 };

#define CLEAR "\r\033[K"

static struct {
        bool on;
        volatile sig_atomic_t shown;
        uint64_t started_ms;
        uint64_t drawn_ms;
} bar;

static uint64_t now_ms(void) {
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void clear_and_die(int sig) {
        if (bar.shown)
                (void)!write(STDERR_FILENO, CLEAR, sizeof(CLEAR) - 1);
        /* SA_RESETHAND: now with the default action, so that the shell sees the signal. */
        (void)raise(sig);
}

static void hide(void) {
        if (!bar.shown)
                return;
        fputs(CLEAR, stderr);
        bar.shown = 0;
        bar.drawn_ms = 0;
}

void fa_progress_start(void) {
        const char *term = getenv("TERM"); /* NOLINT(concurrency-mt-unsafe) */
        struct sigaction sa = {.sa_handler = clear_and_die, .sa_flags = (int)SA_RESETHAND};

        bar.on = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
        if (!bar.on)
                return;
        bar.started_ms = now_ms();
        (void)sigemptyset(&sa.sa_mask);
        (void)sigaction(SIGINT, &sa, NULL);
        (void)sigaction(SIGTERM, &sa, NULL);
        (void)sigaction(SIGHUP, &sa, NULL);
        fa_say_before(hide);
}

bool fa_progress_on(void) {
        return bar.on;
}

static int terminal_width(void) {
        struct winsize ws = {0};
        int width = ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) < 0 || ws.ws_col == 0 ? 80 : ws.ws_col;

        return width < NARROWEST ? NARROWEST : width > WIDEST ? WIDEST : width;
}

static void draw(const char *text, uint64_t done, uint64_t total) {
        char hashes[WIDEST + 1];
        int width = terminal_width() - 1; /* the last column would wrap on some terminals */
        int room = width - (int)strlen(text) - 3;

        bar.shown = 1; /* before: a signal may come as soon as something stands there */
        fputs(CLEAR, stderr);
        if (total > 0 && room >= 10) {
                int full = (int)((double)room * (double)done / (double)total);

                memset(hashes, '#', (size_t)full);
                memset(hashes + full, ' ', (size_t)(room - full));
                hashes[room] = '\0';
                fprintf(stderr, "[%s] ", hashes);
        }
        fprintf(stderr, "%.*s", width, text);
        (void)fflush(stderr);
}

void fa_progress_show(uint64_t done, uint64_t total, uint64_t failed) {
        char text[TEXT_MAX]; /* six numbers of at most 20 digits and the words: fits, or is cut */
        char of[24] = "";
        char bad[32] = "";
        uint64_t now;

        if (!bar.on || (now = now_ms()) - bar.drawn_ms < REDRAW_MS)
                return;
        bar.drawn_ms = now;
        if (total > 0 && done > total)
                total = done; /* the file has grown while it was read */
        uint64_t ms = now - bar.started_ms;
        if (total > 0)
                (void)snprintf(of, sizeof(of), "/%llu", (unsigned long long)total);
        if (failed > 0)
                (void)snprintf(bad, sizeof(bad), ", %llu failed", (unsigned long long)failed);
        (void)snprintf(text, sizeof(text), "%llu%s done, %.0f/s%s", (unsigned long long)done, of,
                       ms ? (double)done * 1000.0 / (double)ms : 0.0, bad);
        draw(text, done, total);
}

void fa_progress_end(void) {
        hide();
        (void)fflush(stderr);
        bar.on = false;
}
